using Paddock.Qcow2.Engine;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The zone table's part of a flush. When the flush begins, it takes the write pointers that have moved, as far as their data is in
/// the image. It writes them when the data below them, and all tables, are durable: a crash never leaves a pointer above data that
/// is gone.
/// </summary>
internal sealed class ZoneTableStage(ZonedState state, RecordMark mark) : IFlushStage
{
    private List<int> _captured = ZonePointerTable.NoSectors;
    private bool _endsRecord;

    /// <summary>True between the beginning of a flush and the write, and after a flush that failed between the two.</summary>
    public bool HasCaptured => _captured.Count > 0;

    /// <inheritdoc/>
    public bool IsDue => HasCaptured || _endsRecord;

    /// <inheritdoc/>
    public void Begin()
    {
        lock (state.Lock)
        {
            // left over where a flush failed between its beginning and this write
            state.Table.MarkSectorsDirty(_captured);
            _captured = state.Table.Capture(this, static (stage, zone) => stage.StoredPointerOf(zone), state.Zones);

            // its data are in their clusters, durable before the table is written
            _endsRecord = state.Table.MayHaveRecord
                && !(state.Table.Record is { } record && state.Buffers.Find(record.Zone) is { Recorded: > 0 });

            // a reset may have ended it
            mark.IsLive = state.Table.MayHaveRecord;
        }
    }

    /// <inheritdoc/>
    public async ValueTask WriteAsync()
    {
        var sectors = _captured;
        _captured = ZonePointerTable.NoSectors;
        try
        {
            await state.Table.WriteAsync(sectors, _endsRecord);
            _endsRecord = false;
            mark.IsLive = state.Table.MayHaveRecord;
        }
        catch
        {
            lock (state.Lock)
            {
                state.Table.MarkSectorsDirty(sectors);
            }

            throw;
        }
    }

    /// <summary>After the beginning of a flush: takes a zone's pointer above gathered data, which are written with it.</summary>
    /// <returns>The sectors to write, or null if the pointer is not the end of the data.</returns>
    public List<int>? TakeRecorded(int zone, long end)
    {
        lock (state.Lock)
        {
            if (state.Zones.StoredPointerOf(zone) != end)
            {
                return null;
            }

            var sectors = new List<int>(_captured);
            _captured = ZonePointerTable.NoSectors;
            state.Table.Set(zone, end, sectors);
            return sectors;
        }
    }

    /// <summary>The write of what <see cref="TakeRecorded"/> returned failed.</summary>
    public void Restore(int zone, long pointer, List<int> sectors)
    {
        lock (state.Lock)
        {
            state.Table.Set(zone, pointer, sectors);
            state.Table.MarkSectorsDirty(sectors);
        }
    }

    private long StoredPointerOf(int zone)
        => state.Buffers.Find(zone) is { } buffer ? buffer.Start + buffer.Recorded : state.Zones.StoredPointerOf(zone);
}
