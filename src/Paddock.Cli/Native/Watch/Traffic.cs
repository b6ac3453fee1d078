namespace Paddock.Cli.Native.Watch;

/// <summary>Counters of one kind of requests at a moment, since recording began.</summary>
/// <param name="Kind">Name.</param>
/// <param name="Requests">Number of requests; negative: unknown.</param>
/// <param name="Bytes">Bytes transferred.</param>
/// <param name="Errors">Failed requests.</param>
/// <param name="Latency">Number of requests in each latency class; empty: unknown.</param>
internal sealed record TrafficCounters(string Kind, long Requests, long Bytes, long Errors, IReadOnlyList<long> Latency);

/// <summary>Rates of one kind of requests.</summary>
/// <param name="Kind">Name.</param>
/// <param name="RequestsPerSecond">Requests a second; negative: unknown.</param>
/// <param name="BytesPerSecond">Bytes a second.</param>
/// <param name="Errors">Failed requests since recording began.</param>
/// <param name="P50">Median latency in microseconds; null: unknown, or no request.</param>
/// <param name="P99">99th percentile.</param>
/// <param name="P999">99.9th percentile.</param>
internal sealed record TrafficRate(
    string Kind, double RequestsPerSecond, double BytesPerSecond, long Errors, double? P50, double? P99, double? P999);

/// <summary>Rates from counters: over the last two seconds, so that numbers can be read.</summary>
internal sealed class Traffic
{
    /// <summary>Milliseconds over which rates are taken.</summary>
    public const long Window = 2000;

    private readonly List<(long Time, IReadOnlyList<TrafficCounters> Counters)> _samples = [];
    private IReadOnlyList<double> _bounds = [];

    /// <summary>Upper bounds of the latency classes in microseconds; the last class has none.</summary>
    public void SetBounds(IReadOnlyList<double> bounds) => _bounds = bounds;

    /// <summary>Adds a sample.</summary>
    /// <param name="time">Its time, in milliseconds.</param>
    /// <param name="counters">Counters, always of the same kinds in the same order.</param>
    public void Add(long time, IReadOnlyList<TrafficCounters> counters)
    {
        if (_samples.Count > 0 && counters.Count != _samples[^1].Counters.Count)
        {
            _samples.Clear();
        }

        _samples.Add((time, counters));

        // one sample at the far end of the window stays
        while (_samples.Count > 2 && _samples[1].Time <= time - Window)
        {
            _samples.RemoveAt(0);
        }
    }

    /// <summary>The rates, one for each kind.</summary>
    public IReadOnlyList<TrafficRate> Rates()
    {
        if (_samples.Count == 0)
        {
            return [];
        }

        var (from, first) = _samples[0];
        var (to, last) = _samples[^1];
        double seconds = Math.Max(to - from, 1) / 1000.0;
        return [.. last.Select((counters, i) => RateOf(first[i], counters, _samples.Count == 1 ? double.PositiveInfinity : seconds))];
    }

    /// <summary>A copy that does not change any more.</summary>
    public Traffic Clone()
    {
        var copy = new Traffic();
        copy._bounds = _bounds;
        copy._samples.AddRange(_samples);
        return copy;
    }

    private TrafficRate RateOf(TrafficCounters before, TrafficCounters now, double seconds)
    {
        long[] classes = now.Latency.Count == before.Latency.Count
            ? [.. now.Latency.Zip(before.Latency, static (n, b) => Math.Max(0, n - b))] : [];
        return new TrafficRate(
            now.Kind,
            now.Requests < 0 ? -1 : Math.Max(0, now.Requests - before.Requests) / seconds,
            Math.Max(0, now.Bytes - before.Bytes) / seconds,
            now.Errors,
            Quantile(classes, 0.5),
            Quantile(classes, 0.99),
            Quantile(classes, 0.999));
    }

    private double? Quantile(long[] classes, double share)
    {
        long total = classes.Sum(), seen = 0;
        if (total == 0 || _bounds.Count == 0)
        {
            return null;
        }

        long wanted = (long)Math.Ceiling(share * total);
        for (int i = 0; i < classes.Length; i++)
        {
            seen += classes[i];
            if (seen >= wanted)
            {
                return _bounds[Math.Min(i, _bounds.Count - 1)];
            }
        }

        return null;
    }
}
