using Paddock.Block;
using Paddock.Images;

namespace Paddock.Cli.Native.Watch;

/// <summary>Opens the disk of a <see cref="PolledSource"/>.</summary>
internal interface IPolledDisk : IAsyncDisposable
{
    /// <summary>Where the data come from.</summary>
    string Description { get; }

    /// <summary>The disk to report zones from; null: nothing has changed since the last call. Valid until the next call.</summary>
    ValueTask<IBlockDevice?> NextAsync(CancellationToken cancellationToken);
}

/// <summary>
/// Reports of all zones, again and again. Bytes written and resets are derived from the write pointers; reads and latencies are unknown.
/// </summary>
/// <param name="path">Name of the disk.</param>
/// <param name="disk">The disk.</param>
/// <param name="interval">Time between two reports; longer if a report takes more than a quarter of it.</param>
/// <param name="time">The clock.</param>
internal sealed class PolledSource(string path, IPolledDisk disk, TimeSpan interval, TimeProvider time) : IZoneSource
{
    private const int Batch = 4096, MaxEvents = 8;

    private readonly ZoneDescriptor[] _batch = new ZoneDescriptor[Batch];
    private readonly long _start = time.GetTimestamp();
    private long _written, _resets;

    /// <inheritdoc/>
    public async Task<WatchModel> StartAsync(CancellationToken cancellationToken)
    {
        var device = await disk.NextAsync(cancellationToken)
            ?? throw new InvalidOperationException("the first look at a disk returns it");
        var zoned = device.Zones!;
        var model = new WatchModel(Path.GetFileName(path), disk.Description, new ZoneStore(zoned.Limits, device.Length));
        await ReadAsync(device, model, isFirst: true, cancellationToken);
        return model;
    }

    /// <inheritdoc/>
    public async Task FollowAsync(WatchModel model, CancellationToken cancellationToken)
    {
        var pause = interval;
        while (true)
        {
            await Task.Delay(pause, time, cancellationToken);
            long before = time.GetTimestamp();
            try
            {
                if (await disk.NextAsync(cancellationToken) is { } device)
                {
                    await ReadAsync(device, model, isFirst: false, cancellationToken);
                }

                lock (model.Lock)
                {
                    model.Now = Elapsed;
                    model.Source = disk.Description;
                    model.Problem = null;
                    Count(model);
                    model.Touch();
                }
            }
            catch (Exception e) when (e is BlockException or ToolException or IOException)
            {
                lock (model.Lock)
                {
                    model.Problem = e.Message.ReplaceLineEndings(" ");
                    model.Touch();
                }
            }

            pause = TimeSpan.FromTicks(Math.Max(interval.Ticks, time.GetElapsedTime(before).Ticks * 4));
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => disk.DisposeAsync();

    private long Elapsed => (long)time.GetElapsedTime(_start).TotalMilliseconds;

    private async ValueTask ReadAsync(IBlockDevice device, WatchModel model, bool isFirst, CancellationToken cancellationToken)
    {
        var zoned = device.Zones!;
        var limits = zoned.Limits;
        lock (model.Lock)
        {
            if (limits != model.Zones.Limits || device.Length != model.Zones.DiskLength)
            {
                model.Zones.Resize(limits, device.Length);
            }

            model.OnDisk = ZoneSurvey.SpaceOnDisk(device);
        }

        int events = 0;
        for (long offset = 0; offset < device.Length;)
        {
            int count = await zoned.ReportAsync(offset, _batch, cancellationToken);
            if (count == 0)
            {
                break;
            }

            lock (model.Lock)
            {
                for (int i = 0; i < count; i++)
                {
                    events += Apply(model, _batch[i], isFirst, events < MaxEvents);
                }
            }

            offset = _batch[count - 1].Start + limits.ZoneSize;
        }

        lock (model.Lock)
        {
            if (events > MaxEvents)
            {
                model.Add(new WatchEvent(time.GetLocalNow(), $"{events - MaxEvents} more zones changed their state"));
            }

            model.Now = Elapsed;
            Count(model);
            model.Touch();
        }
    }

    // 1 if the condition changed
    private int Apply(WatchModel model, in ZoneDescriptor zone, bool isFirst, bool reports)
    {
        var zones = model.Zones;
        int index = (int)(zone.Start / zones.Limits.ZoneSize);
        if (index >= zones.Count)
        {
            return 0;
        }

        var (before, writtenBefore) = (zones.ConditionOf(index), zones.WrittenIn(index));
        long written = ZoneCell.WrittenIn(zone);
        zones.Set(index, zone.Condition, written, null, isFirst ? null : Elapsed);
        if (isFirst || zone.Type == ZoneType.Conventional)
        {
            return 0;
        }

        bool isReset = written < writtenBefore;
        _written += isReset ? written : written - writtenBefore;
        _resets += isReset ? 1 : 0;
        if (zone.Condition == before && !isReset)
        {
            return 0;
        }

        if (reports)
        {
            string what = isReset ? "reset, now " : ZoneNames.Name(before) + " to ";
            model.Add(new WatchEvent(time.GetLocalNow(), $"zone {index}: {what}{ZoneNames.Name(zone.Condition)}"));
        }

        return 1;
    }

    private void Count(WatchModel model) => model.Traffic.Add(
        Elapsed,
        [new TrafficCounters("written", -1, _written, 0, []), new TrafficCounters("reset", _resets, 0, 0, [])]);
}
