using System.Net;
using System.Net.Sockets;

namespace Paddock.Testing;

/// <summary>Forwards connections from a host to a server, and cuts them on request.</summary>
public sealed class Relay : IAsyncDisposable
{
    // a plain socket: TcpListener throws InvalidOperationException when an accept begins after Stop
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Socket> _sockets = [];
    private readonly Task _accepting;
    private volatile TaskCompletionSource? _frozen;

    /// <param name="target">Server port on the loopback.</param>
    public Relay(int target)
    {
        Target = target;
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen();
        Port = ((IPEndPoint)_listener.LocalEndPoint!).Port;
        _accepting = AcceptAsync();
    }

    /// <summary>Endpoint to which hosts connect.</summary>
    public int Port { get; }

    /// <summary>Server port; 0: new connections are closed at once.</summary>
    public int Target { get; set; }

    /// <summary>Stops forwarding, as a server that is stopped does not answer; connections stay.</summary>
    public void Freeze() => _frozen ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Forwards again, first what has been held back.</summary>
    public void Thaw()
    {
        var frozen = _frozen;
        _frozen = null;
        frozen?.TrySetResult();
    }

    /// <summary>Closes all current connections.</summary>
    public void Cut()
    {
        lock (_sockets)
        {
            foreach (var socket in _sockets)
            {
                socket.Dispose();
            }

            _sockets.Clear();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        Thaw();

        // stop the loop before the listener: it may be between two accepts, or add a connection after a cut
        await _accepting;
        _listener.Dispose();
        Cut();
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await ForwardAsync(await _listener.AcceptAsync(_stop.Token));
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException)
            {
                // the test is over, a client disconnected at once, or the server is down: accept the next client in any case
            }
        }
    }

    private async Task ForwardAsync(Socket from)
    {
        var to = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            if (Target == 0)
            {
                throw new SocketException((int)SocketError.ConnectionRefused);
            }

            from.NoDelay = true;
            await to.ConnectAsync(IPAddress.Loopback, Target, _stop.Token);
        }
        catch
        {
            from.Dispose();
            to.Dispose();
            throw;
        }

        lock (_sockets)
        {
            _sockets.AddRange([from, to]);
        }

        _ = PumpAsync(from, to);
        _ = PumpAsync(to, from);
    }

    private async Task PumpAsync(Socket from, Socket to)
    {
        byte[] buffer = new byte[64 << 10];
        try
        {
            int got;
            while ((got = await from.ReceiveAsync(buffer)) > 0)
            {
                await (_frozen?.Task ?? Task.CompletedTask);
                for (int sent = 0; sent < got;)
                {
                    sent += await to.SendAsync(buffer.AsMemory(sent, got - sent));
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // cut
        }

        from.Dispose();
        to.Dispose();
    }
}
