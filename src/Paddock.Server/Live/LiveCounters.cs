using System.Diagnostics;

namespace Paddock.Server.Live;

/// <summary>Number, bytes, errors and latencies of requests, by kind. All members are thread-safe.</summary>
internal sealed class LiveCounters
{
    private static readonly int Kinds = LiveOperations.Kinds.Count;

    private readonly long[] _requests = new long[Kinds], _bytes = new long[Kinds], _errors = new long[Kinds], _ticks = new long[Kinds];
    private readonly long[] _classes = new long[Kinds * LatencyClasses.Count];

    /// <summary>Counts a request.</summary>
    /// <param name="operation">Its operation.</param>
    /// <param name="bytes">Bytes transferred, if it succeeded.</param>
    /// <param name="ticks">Its duration in <see cref="Stopwatch"/> ticks.</param>
    /// <param name="failed">Whether it failed.</param>
    public void Count(LiveOperation operation, long bytes, long ticks, bool failed)
    {
        int kind = LiveOperations.KindOf(operation);
        Interlocked.Increment(ref _requests[kind]);
        Interlocked.Add(ref _ticks[kind], ticks);
        Interlocked.Increment(ref _classes[(kind * LatencyClasses.Count) + LatencyClasses.Of(ticks)]);
        if (failed)
        {
            Interlocked.Increment(ref _errors[kind]);
        }
        else
        {
            Interlocked.Add(ref _bytes[kind], bytes);
        }
    }

    /// <summary>The counts so far, one entry for each kind.</summary>
    public LiveKind[] Read()
    {
        var kinds = new LiveKind[Kinds];
        for (int i = 0; i < Kinds; i++)
        {
            long[] latency = new long[LatencyClasses.Count];
            for (int c = 0; c < latency.Length; c++)
            {
                latency[c] = Volatile.Read(ref _classes[(i * LatencyClasses.Count) + c]);
            }

            kinds[i] = new LiveKind
            {
                Kind = LiveOperations.Kinds[i],
                Operations = Volatile.Read(ref _requests[i]),
                Bytes = Volatile.Read(ref _bytes[i]),
                Errors = Volatile.Read(ref _errors[i]),
                TotalUs = (long)Stopwatch.GetElapsedTime(0, Volatile.Read(ref _ticks[i])).TotalMicroseconds,
                Latency = latency,
            };
        }

        return kinds;
    }
}
