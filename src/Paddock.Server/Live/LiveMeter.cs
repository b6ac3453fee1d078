using System.Diagnostics;
using Paddock.Block;

namespace Paddock.Server.Live;

/// <summary>
/// Records the requests to a disk while somebody watches it. Nothing is allocated for a request and no lock is taken; without a watcher a
/// request costs one read of a field.
/// </summary>
/// <param name="trace">Receives each request; null: no trace is written.</param>
internal sealed class LiveMeter(ITraceSink? trace)
{
    private readonly Lock _preparing = new();
    private volatile ZoneHeat? _heat;
    private int _watchers;

    public LiveMeter()
        : this(null)
    {
    }

    /// <summary>Whether requests are recorded.</summary>
    public bool IsOn => trace is not null || Volatile.Read(ref _watchers) != 0;

    /// <summary>Counts by kind.</summary>
    public LiveCounters Counters { get; } = new();

    /// <summary>Counts by zone; null for a plain disk, and before the first watcher.</summary>
    public ZoneHeat? Heat => _heat;

    /// <summary>Adds a watcher.</summary>
    public void Watch() => Interlocked.Increment(ref _watchers);

    /// <summary>Removes a watcher.</summary>
    public void Unwatch() => Interlocked.Decrement(ref _watchers);

    /// <summary>Prepares the counts by zone for the disk's current zones.</summary>
    public ZoneHeat Prepare(ZonedLimits limits)
    {
        lock (_preparing)
        {
            var before = _heat;
            if (before?.Zones == limits.ZoneCount)
            {
                return before;
            }

            var heat = new ZoneHeat(limits.ZoneCount, limits.ZoneSize);
            if (before is not null)
            {
                heat.CopyFrom(before);
            }

            _heat = heat;
            return heat;
        }
    }

    /// <summary>Records a request that has ended.</summary>
    /// <param name="request">The request, at its final offset.</param>
    /// <param name="failed">Whether it failed.</param>
    public void Record(in LiveRequest request, bool failed)
    {
        long ticks = Stopwatch.GetTimestamp() - request.StartedAt;
        bool transfers = request.Operation is LiveOperation.Read or LiveOperation.Write or LiveOperation.Append;
        Counters.Count(request.Operation, transfers ? request.Length : 0, ticks, failed);
        if (!failed)
        {
            _heat?.Count(request.Operation, request.Offset, request.Length);
        }

        trace?.Add(request, ticks, failed);
    }
}
