using System.Diagnostics;

namespace Paddock.Server.Live;

/// <summary>
/// Classes of latencies: four for each power of two from 1 to 2^23 microseconds, so that a percentile is within a quarter of its value.
/// </summary>
internal static class LatencyClasses
{
    /// <summary>Number of classes; the last has no upper bound.</summary>
    public const int Count = 96;

    // a class is found from quarters of a microsecond: 4 is one microsecond
    private const int First = 2;

    /// <summary>Upper bounds of all classes but the last, in microseconds, ascending.</summary>
    public static IReadOnlyList<double> Bounds { get; } = [.. Enumerable.Range(0, Count - 1).Select(BoundOf)];

    /// <summary>The class of a duration.</summary>
    /// <param name="ticks">Duration in <see cref="Stopwatch"/> ticks.</param>
    public static int Of(long ticks)
    {
        long quarters = ticks <= 0 ? 0 : (long)(ticks * (4_000_000.0 / Stopwatch.Frequency));
        if (quarters < 1 << First)
        {
            return (int)quarters;
        }

        int power = (int)long.Log2(quarters);
        return Math.Min(((power - First + 1) << First) + (int)((quarters >> (power - First)) & 3), Count - 1);
    }

    private static double BoundOf(int index)
    {
        int group = index >> First, step = index & 3;
        return group == 0 ? (step + 1) / 4.0 : (5 + step) * Math.Pow(2, group - 1) / 4.0;
    }
}
