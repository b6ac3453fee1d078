using Paddock.Block;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// The order in which a flush writes an image: data, reference counts, L2 tables, the L1 table, zone attributes, the zone table,
/// freed space. Whatever refers to something is written after it, with a barrier (a flush of the storage) between them, so
/// that a crash at any point leaves a sound image with leaked clusters at most. Under the image's metadata mutex.
/// </summary>
/// <remarks>
/// Data has no stage: requests write it to the storage themselves, and the first barrier makes it durable; an external data file is
/// flushed before the image's own. After a failure the later stages are not written, and the barrier stays due.
/// </remarks>
/// <param name="storage">Storage of the image.</param>
/// <param name="external">Where its data lie, if not there.</param>
internal sealed class FlushOrder(IStorage storage, IStorage? external = null)
{
    private readonly List<IFlushStage>[] _stages = [.. Enum.GetValues<FlushPlace>().Select(static _ => new List<IFlushStage>())];
    private bool _barrierDue;

    /// <summary>Adds a stage. Stages of one place are written in the order in which they were registered.</summary>
    public void Register(FlushPlace place, IFlushStage stage) => _stages[(int)place].Add(stage);

    /// <summary>Tables in memory now refer to something that may not be durable: a barrier must come before they are written.</summary>
    public void RequireBarrier() => _barrierDue = true;

    /// <summary>Makes durable what was written so far.</summary>
    public ValueTask BarrierAsync() => PassBarrierAsync();

    /// <summary>Makes everything durable that was written and accepted before the call.</summary>
    public async ValueTask RunAsync()
    {
        await storage.OnEventAsync("flush_to_os");
        foreach (var stages in _stages)
        {
            stages.ForEach(static stage => stage.Begin());
        }

        await WriteTablesAsync();
        if (IsDue(FlushPlace.L1))
        {
            await PassBarrierAsync();
            await WriteAsync(FlushPlace.L1);
        }

        await WriteAsync(FlushPlace.ZoneAttributes);
        await storage.OnEventAsync("flush_to_disk");
        await PassBarrierAsync();
        if (IsDue(FlushPlace.ZoneTable))
        {
            await WriteAsync(FlushPlace.ZoneTable);
            await PassBarrierAsync();
        }

        await WriteAsync(FlushPlace.FreedSpace);
    }

    /// <summary>
    /// Begins a flush that may have to write the zone table alone. If not, or if it fails, <see cref="RunAsync"/> begins again.
    /// </summary>
    /// <returns>Whether nothing but the zone table may have to be written.</returns>
    public bool TryBeginZoneTable()
    {
        bool isDue = _barrierDue;
        for (int place = 0; place < _stages.Length; place++)
        {
            _stages[place].ForEach(static stage => stage.Begin());
            isDue |= place != (int)FlushPlace.ZoneTable && IsDue((FlushPlace)place);
        }

        return !isDue;
    }

    /// <summary>Writes reference counts and L2 tables alone: the cache of L2 tables is full of changed ones.</summary>
    public async ValueTask WriteTablesAsync()
    {
        await WriteAsync(FlushPlace.InPlace);
        if (IsDue(FlushPlace.Refcounts))
        {
            _barrierDue = true;
            await WriteAsync(FlushPlace.Refcounts);
        }

        // entries must not outlive what they refer to: with lazy counts, or a zero cluster put to use again, no count went up, and
        // what was copied around the client's data (durable before) would be lost with the copy
        if (_barrierDue && (IsDue(FlushPlace.L2) || IsDue(FlushPlace.L1)))
        {
            await storage.OnEventAsync("flush_to_disk");
            await PassBarrierAsync();
        }

        await WriteAsync(FlushPlace.L2);
    }

    // the barrier stays due when it fails: the next flush must not write the entries without their data
    private async ValueTask PassBarrierAsync()
    {
        if (external is not null)
        {
            await external.FlushAsync();
        }

        await storage.FlushAsync();
        _barrierDue = false;
    }

    private bool IsDue(FlushPlace place) => _stages[(int)place].Exists(static stage => stage.IsDue);

    private async ValueTask WriteAsync(FlushPlace place)
    {
        foreach (var stage in _stages[(int)place])
        {
            if (stage.IsDue)
            {
                await stage.WriteAsync();
            }
        }
    }
}
