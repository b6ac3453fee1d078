using System.Net.Sockets;

namespace Paddock.Nbd.Transport;

/// <summary>Takes connections from a listener, never more at once than a cap: further clients wait in the listener's queue.</summary>
internal sealed class AcceptLoop(Socket listener, SemaphoreSlim places, Action<Socket> start, TimeProvider time)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    /// <summary>Runs until cancelled; each started connection gives its place back itself.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        try
        {
            while (true)
            {
                await places.WaitAsync(stop);
                bool started = false;
                try
                {
                    var socket = await listener.AcceptAsync(stop);
                    start(socket);
                    started = true;
                }
                catch (Exception e) when (e is not (OperationCanceledException or ObjectDisposedException))
                {
                    // a client that left at once, or no descriptor or thread free: none of them may end the server
                    await Task.Delay(Pause, time, stop);
                }
                finally
                {
                    if (!started)
                    {
                        places.Release();
                    }
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            // stopped
        }
    }
}
