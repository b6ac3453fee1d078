namespace Paddock.Qcow2.Engine;

/// <summary>
/// Runs of clusters that are free and whose space the file still takes. A run leaves when its space is released, or when its
/// clusters are used again, which saves the file system giving them up and finding others. Disjoint and in order.
/// </summary>
internal sealed class PunchList
{
    /// <summary>Maximum number of runs; if freed clusters are more scattered, the space of further ones is released at once.</summary>
    public const int MaxRuns = 4096;

    private readonly List<(long First, long End)> _runs = [];

    /// <summary>Number of runs.</summary>
    public int Count => _runs.Count;

    /// <summary>Adds clusters that are in no run; false when there are too many runs.</summary>
    public bool TryAdd(long first, long end)
    {
        int at = IndexOfEndAbove(first - 1);
        if (at < _runs.Count && _runs[at].End == first)
        {
            _runs[at] = (_runs[at].First, end);
            if (at + 1 < _runs.Count && _runs[at + 1].First == end)
            {
                _runs[at] = (_runs[at].First, _runs[at + 1].End);
                _runs.RemoveAt(at + 1);
            }

            return true;
        }

        if (at < _runs.Count && _runs[at].First == end)
        {
            _runs[at] = (first, _runs[at].End);
            return true;
        }

        if (_runs.Count >= MaxRuns)
        {
            return false;
        }

        _runs.Insert(at, (first, end));
        return true;
    }

    /// <summary>Whether a cluster is in a run.</summary>
    public bool Contains(long cluster)
    {
        int at = IndexOfEndAbove(cluster);
        return at < _runs.Count && _runs[at].First <= cluster;
    }

    /// <summary>Takes all out.</summary>
    public void Clear() => _runs.Clear();

    /// <summary>Takes clusters out, whichever of them are in.</summary>
    public void Remove(long first, long end)
    {
        int at = IndexOfEndAbove(first);
        while (at < _runs.Count && _runs[at].First < end)
        {
            var (runFirst, runEnd) = _runs[at];
            if (runFirst < first && runEnd > end)
            {
                _runs[at] = (runFirst, first);
                _runs.Insert(at + 1, (end, runEnd));
                return;
            }

            if (runFirst >= first && runEnd <= end)
            {
                _runs.RemoveAt(at);
                continue;
            }

            _runs[at] = runFirst < first ? (runFirst, first) : (end, runEnd);
            at++;
        }
    }

    /// <summary>Takes clusters off the end, which allocation reaches last.</summary>
    /// <param name="most">At most so many; above 0.</param>
    /// <param name="first">The first.</param>
    /// <param name="end">One behind the last.</param>
    public bool TryTakeLast(long most, out long first, out long end)
    {
        if (_runs.Count == 0)
        {
            first = end = 0;
            return false;
        }

        (first, end) = _runs[^1];
        if (end - first > most)
        {
            _runs[^1] = (first, end - most);
            first = end - most;
        }
        else
        {
            _runs.RemoveAt(_runs.Count - 1);
        }

        return true;
    }

    // the first run that ends above a cluster
    private int IndexOfEndAbove(long cluster)
    {
        int low = 0, high = _runs.Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (_runs[middle].End > cluster)
            {
                high = middle;
            }
            else
            {
                low = middle + 1;
            }
        }

        return low;
    }
}
