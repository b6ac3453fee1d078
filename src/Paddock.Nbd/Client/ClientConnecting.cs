using Paddock.Block;

namespace Paddock.Nbd.Client;

/// <summary>Connecting within a limit: again and again until it is over, whatever the server does meanwhile.</summary>
internal static class ClientConnecting
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(1);

    /// <summary>Connects.</summary>
    /// <param name="target">Where.</param>
    /// <param name="limit">How long to try; zero: once.</param>
    /// <param name="stop">Ends it early.</param>
    /// <exception cref="BlockException">The server cannot be reached, or refuses, or the time is over.</exception>
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

                // shorter pauses towards the end, so that a server that comes late is found all the same
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
    /// <param name="limit">How long to try in all.</param>
    /// <param name="left">What is left of it.</param>
    /// <param name="reason">Why the last attempt failed, which tells more than that the time is over.</param>
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
            // it ends by itself, as its server or its own limit says; nobody waits for it any more
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
