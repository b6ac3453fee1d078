using Paddock.Block.Concurrency;

namespace Paddock.Images.Filters;

/// <summary>One limit of a throttle group: a bucket that requests fill and time empties.</summary>
/// <param name="Average">Units a second; 0 for no limit.</param>
/// <param name="Burst">Units a second in a burst; 0 for a tenth of a second's worth of units at once.</param>
/// <param name="BurstSeconds">How long a burst may last.</param>
internal readonly record struct ThrottleLimit(long Average, long Burst, long BurstSeconds);

/// <summary>Limits that several disks share: bytes and requests a second, of reads, writes, or both.</summary>
/// <remarks>Requests are admitted in the order in which they arrive, reads and writes by themselves.</remarks>
internal sealed class ThrottleGroup
{
    private readonly Lock _lock = new();
    private readonly Bucket[] _buckets;
    private readonly AsyncMutex _reads = new(), _writes = new();
    private readonly long _requestSize;
    private readonly TimeProvider _time;
    private long _leaked;

    /// <summary>Creates a group without limits.</summary>
    public ThrottleGroup()
        : this(new Dictionary<ThrottleKind, ThrottleLimit>(), 0, TimeProvider.System)
    {
    }

    /// <param name="limits">The limits by kind.</param>
    /// <param name="requestSize">Bytes that count as one request; 0 if every request counts once.</param>
    /// <param name="time">Clock.</param>
    public ThrottleGroup(IReadOnlyDictionary<ThrottleKind, ThrottleLimit> limits, long requestSize, TimeProvider time)
    {
        _buckets = [.. limits.Where(static l => l.Value.Average > 0).Select(static l => new Bucket(l.Key, l.Value))];
        _requestSize = requestSize;
        _time = time;
        _leaked = time.GetTimestamp();
    }

    /// <summary>Completes when a request may begin.</summary>
    /// <param name="isWrite">Whether it changes the disk.</param>
    /// <param name="bytes">Its length.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public ValueTask AdmitAsync(bool isWrite, long bytes, CancellationToken cancellationToken)
        => _buckets.Length == 0 ? default : WaitAsync(isWrite, bytes, cancellationToken);

    private async ValueTask WaitAsync(bool isWrite, long bytes, CancellationToken cancellationToken)
    {
        var turn = isWrite ? _writes : _reads;
        await turn.AcquireAsync();
        try
        {
            while (TryAdmit(isWrite, bytes) is { } wait)
            {
                await Task.Delay(wait, _time, cancellationToken);
            }
        }
        finally
        {
            turn.Release();
        }
    }

    // null: it was admitted and counted
    private TimeSpan? TryAdmit(bool isWrite, long bytes)
    {
        lock (_lock)
        {
            long now = _time.GetTimestamp();
            double seconds = _time.GetElapsedTime(_leaked, now).TotalSeconds;
            _leaked = now;
            double wait = 0;
            foreach (var bucket in _buckets)
            {
                bucket.Leak(seconds);
                wait = bucket.Counts(isWrite) ? Math.Max(wait, bucket.Wait) : wait;
            }

            if (wait > 0)
            {
                // whole milliseconds: a timer has no finer ones
                return TimeSpan.FromMilliseconds(Math.Clamp(Math.Ceiling(wait * 1000), 1, int.MaxValue));
            }

            double requests = _requestSize > 0 && bytes > _requestSize ? (double)bytes / _requestSize : 1;
            foreach (var bucket in _buckets.Where(b => b.Counts(isWrite)))
            {
                bucket.Fill(bucket.IsBytes ? bytes : requests);
            }

            return null;
        }
    }

    private sealed class Bucket(ThrottleKind kind, ThrottleLimit limit)
    {
        private const double Slack = 0.1;

        private double _level, _burstLevel;

        public bool IsBytes => kind <= ThrottleKind.WriteBytes;

        // seconds until there is room again
        public double Wait
        {
            get
            {
                double size = limit.Burst == 0 ? limit.Average * Slack : (double)limit.Burst * limit.BurstSeconds;
                double excess = _level - size;
                if (excess > 0)
                {
                    return excess / limit.Average;
                }

                double burstExcess = _burstLevel - (limit.Burst * Slack);
                return limit is { Burst: > 0, BurstSeconds: > 1 } && burstExcess > 0 ? burstExcess / limit.Burst : 0;
            }
        }

        public bool Counts(bool isWrite) => kind switch
        {
            ThrottleKind.Bytes or ThrottleKind.Requests => true,
            ThrottleKind.WriteBytes or ThrottleKind.WriteRequests => isWrite,
            _ => !isWrite,
        };

        public void Leak(double seconds)
        {
            _level = Math.Max(0, _level - (limit.Average * seconds));
            _burstLevel = Math.Max(0, _burstLevel - (limit.Burst * seconds));
        }

        public void Fill(double units)
        {
            _level += units;
            _burstLevel += limit.BurstSeconds > 1 ? units : 0;
        }
    }
}

/// <summary>What a throttle group limits.</summary>
internal enum ThrottleKind
{
    /// <summary>Bytes a second.</summary>
    Bytes,

    /// <summary>Bytes read a second.</summary>
    ReadBytes,

    /// <summary>Bytes written a second.</summary>
    WriteBytes,

    /// <summary>Requests a second.</summary>
    Requests,

    /// <summary>Reads a second.</summary>
    ReadRequests,

    /// <summary>Writes a second.</summary>
    WriteRequests,
}
