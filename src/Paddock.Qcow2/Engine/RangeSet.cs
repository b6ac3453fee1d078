using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Ranges of the disk, ascending, with a gap between two. Immutable: read without a lock.</summary>
internal sealed class RangeSet
{
    private readonly UnreadableRange[] _ranges;

    /// <param name="ranges">Ascending, with a gap between two.</param>
    public RangeSet(UnreadableRange[] ranges) => _ranges = ranges;

    public static RangeSet Empty { get; } = new([]);

    public IReadOnlyList<UnreadableRange> Ranges => _ranges;

    public bool IsEmpty => _ranges.Length == 0;

    /// <summary>The first part of a range that is in the set; null if none is.</summary>
    public UnreadableRange? Find(long start, long end)
    {
        int low = 0, high = _ranges.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = _ranges[middle].End <= start ? (middle + 1, high) : (low, middle);
        }

        return low < _ranges.Length && _ranges[low].Start < end
            ? new UnreadableRange(Math.Max(start, _ranges[low].Start), Math.Min(end, _ranges[low].End)) : null;
    }

    /// <summary>Whether one range has parts on both sides of another.</summary>
    public bool Divides(long start, long end)
        => start < end && Find(start, end) is { } part && part.Start == start && part.End == end
            && Find(start - 1, start) is not null && Find(end, end + 1) is not null;

    /// <summary>The set with a range.</summary>
    public RangeSet With(long start, long end)
    {
        var list = new List<UnreadableRange>(_ranges.Length + 1);
        foreach (var range in _ranges)
        {
            if (range.End < start || range.Start > end)
            {
                list.Add(range);
            }
            else
            {
                (start, end) = (Math.Min(start, range.Start), Math.Max(end, range.End));
            }
        }

        int at = list.FindIndex(r => r.Start > start);
        list.Insert(at < 0 ? list.Count : at, new(start, end));
        return new RangeSet([.. list]);
    }

    /// <summary>The set without a range; itself if nothing of it is in.</summary>
    public RangeSet Without(long start, long end)
    {
        if (start >= end || Find(start, end) is null)
        {
            return this;
        }

        var list = new List<UnreadableRange>(_ranges.Length + 1);
        foreach (var range in _ranges)
        {
            if (range.End <= start || range.Start >= end)
            {
                list.Add(range);
                continue;
            }

            if (range.Start < start)
            {
                list.Add(range with { End = start });
            }

            if (range.End > end)
            {
                list.Add(range with { Start = end });
            }
        }

        return new RangeSet([.. list]);
    }
}
