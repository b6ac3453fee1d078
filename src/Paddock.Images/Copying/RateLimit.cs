namespace Paddock.Images.Copying;

/// <summary>Spreads a copy's bytes over time.</summary>
internal sealed class RateLimit(long bytesPerSecond, TimeProvider time)
{
    // a timer takes 49 days at most; the wait for one request at 1 B/s is longer
    private static readonly TimeSpan LongestDelay = TimeSpan.FromDays(1);

    private readonly long _began = time.GetTimestamp();
    private long _bytes;

    /// <summary>Waits until this many more bytes may be written.</summary>
    public async ValueTask PassAsync(long count, CancellationToken cancellationToken)
    {
        long before = Interlocked.Add(ref _bytes, count) - count;
        var until = TimeSpan.FromSeconds((double)before / bytesPerSecond);
        for (TimeSpan due; (due = until - time.GetElapsedTime(_began)) > TimeSpan.Zero;)
        {
            await Task.Delay(due < LongestDelay ? due : LongestDelay, time, cancellationToken);
        }
    }
}
