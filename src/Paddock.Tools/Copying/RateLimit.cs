namespace Paddock.Tools.Copying;

/// <summary>Spreads a copy's bytes over time.</summary>
internal sealed class RateLimit(long bytesPerSecond, TimeProvider time)
{
    private readonly long _began = time.GetTimestamp();
    private long _bytes;

    /// <summary>Waits until this many more bytes may be written.</summary>
    public async ValueTask PassAsync(long count, CancellationToken cancellationToken)
    {
        long before = Interlocked.Add(ref _bytes, count) - count;
        var due = TimeSpan.FromSeconds((double)before / bytesPerSecond) - time.GetElapsedTime(_began);
        if (due > TimeSpan.Zero)
        {
            await Task.Delay(due, time, cancellationToken);
        }
    }
}
