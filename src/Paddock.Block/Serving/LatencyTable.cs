using System.Diagnostics;

namespace Paddock.Block.Serving;

/// <summary>How long requests took, by kind and by powers of two of microseconds; every member may be used from any thread.</summary>
/// <param name="kinds">How many kinds there are.</param>
public sealed class LatencyTable(int kinds)
{
    /// <summary>Class i holds requests that took less than 2^i microseconds, the last all others.</summary>
    public const int Classes = 24;

    private readonly long[] _counts = new long[kinds * Classes];
    private readonly long[] _ticks = new long[kinds];

    /// <summary>Upper bounds of the classes, in seconds; the last has none.</summary>
    public static IReadOnlyList<double> Bounds { get; } = [.. Enumerable.Range(0, Classes - 1).Select(i => Math.Pow(2, i) / 1e6)];

    /// <summary>How many kinds there are.</summary>
    public int Kinds => kinds;

    /// <summary>Counts a request that began at a <see cref="Stopwatch"/> time and ends now.</summary>
    public void Count(int kind, long startedAt)
    {
        long ticks = Stopwatch.GetTimestamp() - startedAt;
        long microseconds = ticks * 1_000_000 / Stopwatch.Frequency;
        int index = microseconds <= 0 ? 0 : Math.Min((int)long.Log2(microseconds) + 1, Classes - 1);
        Interlocked.Add(ref _ticks[kind], ticks);
        Interlocked.Increment(ref _counts[(kind * Classes) + index]);
    }

    /// <summary>Requests of a kind, by class.</summary>
    public long[] CountsOf(int kind)
    {
        long[] counts = new long[Classes];
        for (int i = 0; i < Classes; i++)
        {
            counts[i] = Volatile.Read(ref _counts[(kind * Classes) + i]);
        }

        return counts;
    }

    /// <summary>The sum of what the requests of a kind took.</summary>
    public TimeSpan SumOf(int kind) => Stopwatch.GetElapsedTime(0, Volatile.Read(ref _ticks[kind]));

    /// <summary>Adds what another table counted; that one must rest, or what it counts meanwhile may be missed.</summary>
    public void Add(LatencyTable other)
    {
        for (int i = 0; i < _counts.Length; i++)
        {
            Interlocked.Add(ref _counts[i], Volatile.Read(ref other._counts[i]));
        }

        for (int i = 0; i < kinds; i++)
        {
            Interlocked.Add(ref _ticks[i], Volatile.Read(ref other._ticks[i]));
        }
    }
}
