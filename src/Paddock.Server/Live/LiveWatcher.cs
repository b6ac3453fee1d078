using System.Runtime.CompilerServices;

namespace Paddock.Server.Live;

/// <summary>One who follows the live feed: a snapshot first, then what has changed. Not thread-safe.</summary>
internal sealed class LiveWatcher : IDisposable
{
    /// <summary>Maximum number of runs of zones in a frame.</summary>
    public const int MaxRuns = 16384;

    private readonly LiveFeed _feed;
    private readonly IReadOnlyList<LiveDisk> _disks;
    private uint _stamp;
    private long _event;
    private bool _started, _stopped;

    /// <param name="feed">The feed.</param>
    /// <param name="disks">The disks to watch.</param>
    /// <param name="stamp">The look whose zones are known already; null: a snapshot comes first.</param>
    /// <param name="lastEvent">The last event that is known already.</param>
    internal LiveWatcher(LiveFeed feed, IReadOnlyList<LiveDisk> disks, uint? stamp = null, long lastEvent = 0)
    {
        _feed = feed;
        _disks = disks;
        _started = stamp is not null;
        _stamp = stamp ?? 0;
        _event = lastEvent;
        foreach (var disk in disks)
        {
            disk.Watch();
        }
    }

    /// <summary>The frames up to now: all but the last have <see cref="LiveFrame.More"/>.</summary>
    public async IAsyncEnumerable<LiveFrame> NextAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        uint stamp = await _feed.LookAsync(cancellationToken);
        string type = _started ? LiveFrame.Delta : LiveFrame.Snapshot;
        var events = _feed.Events.After(_event);
        long lastEvent = events is [.., var last] ? last.Number : _event;
        var (disks, rooms) = (new List<LiveDiskFrame>(), MaxRuns);
        IReadOnlyList<double>? bounds = _started ? null : LatencyClasses.Bounds;
        foreach (var disk in _disks)
        {
            LiveDiskState? state = _feed.StateOf(disk);
            int zone = 0;
            while (true)
            {
                long[] runs = disk.RunsSince(_stamp, ref zone, rooms);
                rooms -= runs.Length / LiveDiskFrame.RunLength;
                disks.Add(new LiveDiskFrame { Name = disk.Disk.Name, Zones = runs, State = state });
                if (rooms > 0)
                {
                    break;
                }

                yield return Frame(type, stamp, disks, events, bounds) with { More = true };
                (disks, rooms, events, bounds, state) = ([], MaxRuns, [], null, null);
            }
        }

        yield return Frame(type, stamp, disks, events, bounds);
        _stamp = stamp;
        _event = lastEvent;
        _started = true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_stopped)
        {
            return;
        }

        _stopped = true;
        foreach (var disk in _disks)
        {
            disk.Unwatch();
        }
    }

    private LiveFrame Frame(
        string type, uint stamp, IReadOnlyList<LiveDiskFrame> disks, IReadOnlyList<LiveEvent> events, IReadOnlyList<double>? bounds)
        => new()
        {
            Type = type, Stamp = stamp, TimeMs = _feed.Time.GetUtcNow().ToUnixTimeMilliseconds(), Disks = disks, Events = events,
            LatencyBoundsUs = bounds,
        };
}
