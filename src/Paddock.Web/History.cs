using Paddock.Server.Live;

namespace Paddock.Web;

/// <summary>
/// What happened to a disk in the last minutes, for a page that is opened later: the zones as they were, and the frames since then. When a
/// frame is too old, or too many zones have changed, it becomes part of the zones as they were.
/// </summary>
/// <param name="disk">The disk.</param>
internal sealed class History(LiveDisk disk)
{
    private const int MaxFrames = 600, MaxRuns = 1 << 16;

    private readonly Lock _lock = new();
    private readonly Queue<LiveFrame> _frames = [];
    private PastZones _past = new(0);
    private int _runs;

    /// <summary>The disk.</summary>
    public LiveDisk Disk => disk;

    /// <summary>Adds what has changed since the previous frame.</summary>
    public void Add(LiveFrame frame)
    {
        lock (_lock)
        {
            int zones = disk.Zones?.Table.Zones ?? 0;
            if (zones != _past.Count)
            {
                // zones were added or removed: what was before has another shape
                while (_frames.Count > 0)
                {
                    Forget();
                }

                _past = _past.Resized(zones);
            }

            _frames.Enqueue(frame);
            _runs += RunsOf(frame);
            while (_frames.Count > MaxFrames || _runs > MaxRuns || (frame.Type == LiveFrame.Snapshot && _frames.Count > 0))
            {
                Forget();
            }
        }
    }

    /// <summary>The zones as they were, and the frames since then.</summary>
    public (PastZones Zones, LiveFrame[] Frames) Read()
    {
        lock (_lock)
        {
            return (_past.Copy(), [.. _frames]);
        }
    }

    private static int RunsOf(LiveFrame frame) => frame.Disks.Sum(d => d.Zones.Count) / LiveDiskFrame.RunLength;

    private void Forget()
    {
        var frame = _frames.Dequeue();
        _runs -= RunsOf(frame);
        _past.Apply(frame);
    }
}
