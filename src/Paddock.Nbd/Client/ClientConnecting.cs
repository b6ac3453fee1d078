using Paddock.Block;

namespace Paddock.Nbd.Client;

/// <summary>Connects within a time limit, with retries until the limit.</summary>
internal static class ClientConnecting
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(1);

    /// <summary>Connects, with retries until the limit.</summary>
    /// <param name="target">Where.</param>
    /// <param name="limit">Time limit of all attempts; zero: one attempt.</param>
    /// <param name="stop">Ends it early.</param>
    /// <exception cref="BlockException">The server cannot be reached or rejects the client, or the time limit has passed.</exception>
    public static async Task<ClientConnection> OpenAsync(NbdTarget target, TimeSpan limit, CancellationToken stop)
    {
        long started = target.Time.GetTimestamp();
        BlockException? reason = null;
        for (var pause = FirstPause; ; pause = pause < LongestPause ? pause * 2 : LongestPause)
        {
            try
            {
                return await OnceAsync(target, limit, limit - target.Time.GetElapsedTime(started), reason, stop);
            }
            catch (BlockException e) when (target.Time.GetElapsedTime(started) < limit)
            {
                reason = e;

                // shorter pauses towards the limit, so that a server that starts late is still reached
                var left = limit - target.Time.GetElapsedTime(started);
                var wait = pause < left / 2 ? pause : left > FirstPause ? left / 2 : left;
                await Task.Delay(wait > TimeSpan.Zero ? wait : TimeSpan.Zero, target.Time, stop);
                if (target.Time.GetElapsedTime(started) >= limit)
                {
                    throw;
                }
            }
        }
    }

    /// <param name="target">Where.</param>
    /// <param name="limit">Time limit of all attempts.</param>
    /// <param name="left">Remaining time.</param>
    /// <param name="reason">Error of the last attempt, more useful than a timeout.</param>
    /// <param name="stop">Ends it early.</param>
    private static async Task<ClientConnection> OnceAsync(
        NbdTarget target, TimeSpan limit, TimeSpan left, BlockException? reason, CancellationToken stop)
    {
        // the handshake blocks
        var opening = Task.Run(() => ClientConnection.Open(target), stop);
        if (limit <= TimeSpan.Zero)
        {
            return await opening;
        }

        try
        {
            return await opening.WaitAsync(left > TimeSpan.Zero ? left : TimeSpan.Zero, target.Time, stop);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            // the abandoned attempt ends by itself, at the latest at its own limit
            _ = opening.ContinueWith(
                static late => late.Result.Dispose(), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion,
                TaskScheduler.Default);
            if (e is OperationCanceledException)
            {
                throw;
            }

            throw reason ?? new BlockException(BlockError.Io, $"Failed to connect to '{target}': Connection timed out", e) { Errno = 110 };
        }
    }
}
