namespace Paddock.Faults;

/// <summary>Ranges that wait to be zeroed: sorted, disjoint, and merged where they touch.</summary>
internal sealed class ZeroRanges
{
    private readonly List<(long Start, long End, bool MayUnmap)> _ranges = [];

    public int Count => _ranges.Count;

    public (long Start, long End, bool MayUnmap) this[int index] => _ranges[index];

    /// <summary>Adds a range; where it overlaps an existing one, the new range takes precedence.</summary>
    public void Add(long start, long end, bool mayUnmap)
    {
        if (start >= end)
        {
            return;
        }

        Remove(start, end);
        int at = FirstBehind(start);
        if (at > 0 && _ranges[at - 1] is var before && before.End == start && before.MayUnmap == mayUnmap)
        {
            start = before.Start;
            _ranges.RemoveAt(--at);
        }

        if (at < _ranges.Count && _ranges[at] is var after && after.Start == end && after.MayUnmap == mayUnmap)
        {
            end = after.End;
            _ranges.RemoveAt(at);
        }

        _ranges.Insert(at, (start, end, mayUnmap));
    }

    /// <summary>Removes a range.</summary>
    public void Remove(long start, long end)
    {
        int first = FirstBehind(start), last = first;
        (long Start, long End, bool MayUnmap)? left = null, right = null;
        for (; last < _ranges.Count && _ranges[last] is var range && range.Start < end; last++)
        {
            left ??= range.Start < start ? range with { End = start } : null;
            right = range.End > end ? range with { Start = end } : null;
        }

        if (last == first)
        {
            return;
        }

        _ranges.RemoveRange(first, last - first);
        if (right is { } r)
        {
            _ranges.Insert(first, r);
        }

        if (left is { } l)
        {
            _ranges.Insert(first, l);
        }
    }

    /// <summary>Whether a byte is in a range, and the end, at most <paramref name="end"/>, of the run for which the same holds.</summary>
    public (bool Inside, long End) Locate(long position, long end)
    {
        int at = FirstBehind(position);
        return at == _ranges.Count ? (false, end)
            : _ranges[at].Start <= position ? (true, Math.Min(end, _ranges[at].End))
            : (false, Math.Min(end, _ranges[at].Start));
    }

    /// <summary>Whether space of any part of the range may be released.</summary>
    public bool MayUnmapIn(long start, long end)
    {
        for (int at = FirstBehind(start); at < _ranges.Count && _ranges[at].Start < end; at++)
        {
            if (_ranges[at].MayUnmap)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Makes pending ranges inside a range keep their space: they are zeroed in place.</summary>
    public void KeepSpace(long start, long end)
    {
        while (start < end)
        {
            var (inside, next) = Locate(start, end);
            if (inside)
            {
                Add(start, next, mayUnmap: false);
            }

            start = next;
        }
    }

    public void Clear() => _ranges.Clear();

    // the first range that ends after a position
    private int FirstBehind(long position)
    {
        int low = 0, high = _ranges.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_ranges[middle].End > position)
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
