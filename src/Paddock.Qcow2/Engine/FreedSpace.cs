using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Free clusters whose space the file still takes, by how long they have been free. Space that a client uses again soon (a zone
/// that is reset and written again) is not worth a hole: the file system would find other blocks for it, and a disk below it would
/// receive a discard and then writes.
/// </summary>
/// <param name="keep">How long a run stays before it is due: at least this long, at most twice, and longer while others are due.
/// Zero: at once.</param>
/// <param name="clock">Tells the time.</param>
internal sealed class FreedSpace(TimeSpan keep, TimeProvider clock)
{
    private PunchList _fresh = new();
    private PunchList _aged = new();
    private PunchList _due = new();
    private long _turned = clock.GetTimestamp();

    /// <summary>True when there is none.</summary>
    public bool IsEmpty => _fresh.Count + _aged.Count + _due.Count == 0;

    /// <summary>Adds clusters that are in none; false when there are too many runs.</summary>
    public bool TryAdd(HostClusters clusters)
        => (keep == TimeSpan.Zero ? _due : _fresh).TryAdd(clusters.First.Index, clusters.End.Index);

    /// <summary>Takes out clusters that are used again, whichever of them are in.</summary>
    public void Remove(HostClusters clusters)
    {
        var (first, end) = (clusters.First.Index, clusters.End.Index);
        _fresh.Remove(first, end);
        _aged.Remove(first, end);
        _due.Remove(first, end);
    }

    /// <summary>Takes clusters whose space is due; false when there are none.</summary>
    /// <param name="most">At most so many; above 0.</param>
    /// <param name="clusters">The clusters.</param>
    public bool TryTakeDue(long most, out HostClusters clusters)
    {
        if (_due.Count == 0 && clock.GetElapsedTime(_turned) >= keep)
        {
            _turned = clock.GetTimestamp();
            (_due, _aged, _fresh) = (_aged, _fresh, _due);
        }

        return TryTakeLast(_due, most, out clusters);
    }

    /// <summary>Takes any clusters; false when there are none.</summary>
    public bool TryTakeAny(out HostClusters clusters)
        => TryTakeLast(_due, long.MaxValue, out clusters) || TryTakeLast(_aged, long.MaxValue, out clusters)
            || TryTakeLast(_fresh, long.MaxValue, out clusters);

    private static bool TryTakeLast(PunchList list, long most, out HostClusters clusters)
    {
        bool any = list.TryTakeLast(most, out long first, out long end);
        clusters = new(new(first), end - first);
        return any;
    }
}
