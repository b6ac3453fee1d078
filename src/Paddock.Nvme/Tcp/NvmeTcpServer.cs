using System.Net;
using System.Net.Sockets;
using Paddock.Block.Buffers;
using Paddock.Nvme.Tcp;

namespace Paddock.Nvme;

/// <summary>What a server tells of one connection.</summary>
/// <param name="Host">The host's qualified name; empty before it connected.</param>
/// <param name="Controller">The controller's identifier.</param>
/// <param name="Queue">0: the admin queue.</param>
/// <param name="Statistics">Counters.</param>
public sealed record ConnectionInfo(string Host, int Controller, int Queue, QueueStatistics Statistics);

/// <summary>Serves a target over TCP: takes connections in, watches over silent ones, lets them go.</summary>
public sealed class NvmeTcpServer : IAsyncDisposable
{
    private static readonly TimeSpan WatchPeriod = TimeSpan.FromMilliseconds(250);

    private readonly NvmeTarget _target;
    private readonly Socket _listener;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private readonly HashSet<TcpConnection> _connections = [];
    private readonly Task _accepting, _watching;

    /// <param name="target">What is served.</param>
    /// <param name="listener">A socket that listens; the server owns it.</param>
    public NvmeTcpServer(NvmeTarget target, Socket listener)
    {
        _target = target;
        _listener = listener;
        _accepting = AcceptAsync();
        _watching = WatchAsync();
    }

    /// <summary>Raised when a connection ended, with the host and, where we ended it, why.</summary>
    public event Action<string, string?>? Ended;

    /// <summary>Raised when a client is refused because there are too many connections.</summary>
    public event Action? Refused;

    /// <summary>Where it listens.</summary>
    public IPEndPoint Address => (IPEndPoint)_listener.LocalEndPoint!;

    /// <summary>The connections of now.</summary>
    public IReadOnlyList<ConnectionInfo> Connections
    {
        get
        {
            lock (_lock)
            {
                return [.. _connections.Select(c => new ConnectionInfo(c.Host, c.Controller?.Id ?? 0, c.Queue, c.Statistics))];
            }
        }
    }

    /// <summary>Takes no more clients, answers what is running, and ends the connections.</summary>
    public async Task StopAsync(TimeSpan limit)
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        TcpConnection[] all;
        lock (_lock)
        {
            all = [.. _connections];
        }

        await Task.WhenAll(all.Select(c => c.DrainAsync(limit)));
        await Task.WhenAll(_accepting, _watching);
        while (true)
        {
            lock (_lock)
            {
                if (_connections.Count == 0)
                {
                    return;
                }
            }

            await Task.Delay(5);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync(TimeSpan.FromSeconds(1));
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var socket = await _listener.AcceptAsync(_stop.Token);
                Take(socket);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                // that one client failed, or there are no descriptors left: do not spin
                await Task.Delay(20);
            }
        }
    }

    private void Take(Socket socket)
    {
        TcpConnection? connection = null;
        lock (_lock)
        {
            if (_connections.Count < _target.Options.Connections && _target.Buffers.TryRent(SlabPool.StandardSize) is { } buffer)
            {
                _connections.Add(connection = new TcpConnection(socket, _target, buffer));
            }
        }

        if (connection is null)
        {
            socket.Dispose();
            Refused?.Invoke();
            return;
        }

        socket.NoDelay = true;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        _ = ServeAsync(connection);
    }

    private async Task ServeAsync(TcpConnection connection)
    {
        // the loop must not run on the thread that accepts
        await Task.Yield();
        try
        {
            await connection.RunAsync();
        }
        finally
        {
            lock (_lock)
            {
                _connections.Remove(connection);
            }
        }

        Ended?.Invoke(connection.Host, connection.Fault);
    }

    private async Task WatchAsync()
    {
        using var timer = new PeriodicTimer(WatchPeriod);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                _target.DropExpired();
                DropSilent();
            }
        }
        catch (OperationCanceledException)
        {
            // the server stops
        }
    }

    private void DropSilent()
    {
        TcpConnection[] all;
        lock (_lock)
        {
            all = [.. _connections];
        }

        foreach (var connection in all)
        {
            if (connection.AuthenticatingMilliseconds > _target.Options.AuthenticationTimeout.TotalMilliseconds)
            {
                connection.GiveUpAuthentication();
                continue;
            }

            var limit = connection.IsConnected ? _target.Options.IdleTimeout : _target.Options.HandshakeTimeout;
            if (limit > TimeSpan.Zero && connection.IdleMilliseconds > limit.TotalMilliseconds
                && (!connection.IsConnected || connection.Controller!.KeepAliveTimeout == 0))
            {
                connection.Dispose();
            }
        }
    }
}
