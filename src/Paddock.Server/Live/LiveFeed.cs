using System.Diagnostics;
using Paddock.Block.Concurrency;
using Paddock.Images;
using Paddock.Server.Disks;
using Paddock.Server.Listeners;

namespace Paddock.Server.Live;

/// <summary>
/// The live feed of a server: zones, counters and events of its disks. Requests are recorded while a disk has a watcher, and the zones are
/// looked at when one wants to know; several share a look.
/// </summary>
internal sealed class LiveFeed
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(250), Shared = TimeSpan.FromMilliseconds(40);

    private readonly IReadOnlyList<IListener> _listeners;
    private readonly AsyncMutex _looking = new();
    private long _lookedAt;
    private volatile uint _stamp;

    /// <param name="disks">The disks.</param>
    /// <param name="listeners">Know what clients have written.</param>
    /// <param name="events">The events of the server.</param>
    /// <param name="time">The clock.</param>
    public LiveFeed(IReadOnlyList<ServedDisk> disks, IReadOnlyList<IListener> listeners, RecentEvents events, TimeProvider time)
    {
        _listeners = listeners;
        Events = events;
        Time = time;
        Disks = [.. disks.Select(d => new LiveDisk(d, events))];
    }

    /// <summary>The disks.</summary>
    public IReadOnlyList<LiveDisk> Disks { get; }

    /// <summary>The events of the server.</summary>
    public RecentEvents Events { get; }

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; }

    /// <summary>Number of the latest look at the zones.</summary>
    public uint Stamp => _stamp;

    /// <summary>Starts to watch a disk, or all of them.</summary>
    /// <param name="image">Name of the disk; null: all disks.</param>
    /// <exception cref="ToolException">No disk has this name.</exception>
    public LiveWatcher Watch(string? image) => new(this, image is null ? Disks : [Find(image)]);

    /// <summary>The disk of a name.</summary>
    /// <exception cref="ToolException">No disk has this name.</exception>
    public LiveDisk Find(string image)
        => Disks.FirstOrDefault(d => d.Disk.Name == image)
            ?? throw new ToolException($"unknown image '{image}'; expected {string.Join(" or ", Disks.Select(d => d.Disk.Name))}");

    /// <summary>Makes the next look see every zone, since a command may have changed any.</summary>
    public void LookAtAll()
    {
        foreach (var disk in Disks)
        {
            disk.Zones?.LookAtAll();
        }
    }

    /// <summary>Looks at the zones of all watched disks, unless another watcher has just done so.</summary>
    /// <returns>Number of the look.</returns>
    public async ValueTask<uint> LookAsync(CancellationToken cancellationToken)
    {
        // a look ends soon, whatever the disks do
        await _looking.AcquireAsync();
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            long now = Stopwatch.GetTimestamp();
            if (_stamp == 0 || Stopwatch.GetElapsedTime(_lookedAt, now) >= Shared)
            {
                uint stamp = _stamp + 1;
                await Task.WhenAll(Disks.Where(d => d.Disk.Meter.IsOn).Select(d => d.LookAsync(stamp, Patience)));
                _stamp = stamp;
                _lookedAt = now;
            }

            return _stamp;
        }
        finally
        {
            _looking.Release();
        }
    }

    /// <summary>The state of a disk.</summary>
    public LiveDiskState StateOf(LiveDisk disk) => disk.StateOf(_listeners.Sum(l => l.BytesWritten(disk.Disk)));
}
