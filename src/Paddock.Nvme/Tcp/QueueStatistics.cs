using System.Diagnostics;

namespace Paddock.Nvme;

/// <summary>Counters of one queue's connection; every member may be read at any time.</summary>
public sealed class QueueStatistics
{
    /// <summary>Classes of latency: class i holds commands that took less than 2^i microseconds, the last all others.</summary>
    public const int LatencyClasses = 24;

    private readonly long[] _latencies = new long[LatencyClasses];
    private long _commands, _ticks;

    /// <summary>Commands that were completed.</summary>
    public long Commands => Volatile.Read(ref _commands);

    /// <summary>Sum of their latencies.</summary>
    public TimeSpan TotalLatency => Stopwatch.GetElapsedTime(0, Volatile.Read(ref _ticks));

    /// <summary>Commands in a class of latency.</summary>
    public long InClass(int index) => Volatile.Read(ref _latencies[index]);

    internal void Count(long startedAt)
    {
        long ticks = Stopwatch.GetTimestamp() - startedAt;
        long microseconds = ticks * 1_000_000 / Stopwatch.Frequency;
        Interlocked.Increment(ref _commands);
        Interlocked.Add(ref _ticks, ticks);
        Interlocked.Increment(ref _latencies[Math.Min(microseconds <= 0 ? 0 : (int)long.Log2(microseconds) + 1, LatencyClasses - 1)]);
    }
}
