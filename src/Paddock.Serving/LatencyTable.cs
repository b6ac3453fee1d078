using System.Diagnostics;

namespace Paddock.Serving;

/// <summary>Latencies of requests, by operation and by powers of two of microseconds. All members are thread-safe.</summary>
internal sealed class LatencyTable
{
    /// <summary>Number of classes: class i holds requests that took less than 2^i microseconds, the last all others.</summary>
    public const int Classes = 24;

    private readonly long[] _counts = new long[RequestCounters.Operations * Classes];
    private readonly long[] _ticks = new long[RequestCounters.Operations];

    /// <summary>Upper bounds of the classes, in seconds; the last has none.</summary>
    public static IReadOnlyList<double> Bounds { get; } = [.. Enumerable.Range(0, Classes - 1).Select(i => Math.Pow(2, i) / 1e6)];

    /// <summary>Total number of requests.</summary>
    public long Requests
    {
        get
        {
            long sum = 0;
            for (int i = 0; i < _counts.Length; i++)
            {
                sum += Volatile.Read(ref _counts[i]);
            }

            return sum;
        }
    }

    /// <summary>Total duration of all requests.</summary>
    public TimeSpan Total => SumOf(Enum.GetValues<ServedOperation>());

    /// <summary>Counts a request that started at a <see cref="Stopwatch"/> time and ends now.</summary>
    public void Count(ServedOperation operation, long startedAt) => Count(operation, startedAt, Stopwatch.GetTimestamp());

    /// <summary>Counts a request that started and ended at <see cref="Stopwatch"/> times.</summary>
    public void Count(ServedOperation operation, long startedAt, long endedAt)
    {
        long ticks = endedAt - startedAt;
        long microseconds = ticks / (Stopwatch.Frequency / 1_000_000);
        int index = microseconds <= 0 ? 0 : Math.Min((int)long.Log2(microseconds) + 1, Classes - 1);
        Interlocked.Add(ref _ticks[(int)operation], ticks);
        Interlocked.Increment(ref _counts[((int)operation * Classes) + index]);
    }

    /// <summary>Number of requests of some operations, by class.</summary>
    public long[] CountsOf(params ReadOnlySpan<ServedOperation> operations)
    {
        long[] counts = new long[Classes];
        foreach (var operation in operations)
        {
            for (int i = 0; i < Classes; i++)
            {
                counts[i] += Volatile.Read(ref _counts[((int)operation * Classes) + i]);
            }
        }

        return counts;
    }

    /// <summary>Total duration of the requests of some operations.</summary>
    public TimeSpan SumOf(params ReadOnlySpan<ServedOperation> operations)
    {
        long ticks = 0;
        foreach (var operation in operations)
        {
            ticks += Volatile.Read(ref _ticks[(int)operation]);
        }

        return Stopwatch.GetElapsedTime(0, ticks);
    }

    /// <summary>Adds the counts of another table; requests that it counts meanwhile may be missed.</summary>
    public void Add(LatencyTable other)
    {
        for (int i = 0; i < _counts.Length; i++)
        {
            Interlocked.Add(ref _counts[i], Volatile.Read(ref other._counts[i]));
        }

        for (int i = 0; i < _ticks.Length; i++)
        {
            Interlocked.Add(ref _ticks[i], Volatile.Read(ref other._ticks[i]));
        }
    }
}
