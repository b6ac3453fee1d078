using System.Net;
using System.Net.Sockets;
using Paddock.Nvme.Tcp;
using Paddock.Serving;

namespace Paddock.Nvme;

/// <summary>Information about one connection.</summary>
/// <param name="Host">Qualified name of the host; empty until it has connected and, if required, authenticated.</param>
/// <param name="Controller">The controller's identifier.</param>
/// <param name="Queue">0: the admin queue.</param>
/// <param name="Latencies">The completed commands and how long they took.</param>
internal sealed record ConnectionInfo(string Host, int Controller, int Queue, LatencyTable Latencies);

/// <summary>Serves a target over TCP: accepts connections, and ends idle ones.</summary>
public sealed class NvmeTcpServer : IAsyncDisposable
{
    private static readonly TimeSpan WatchPeriod = TimeSpan.FromMilliseconds(250);

    private readonly NvmeTarget _target;
    private readonly Reception<Socket, TcpConnection> _reception;
    private readonly LatencyLedger _latencies = new();
    private readonly Task _watching;
    private long _pdusOfEnded;

    /// <param name="target">What is served.</param>
    public NvmeTcpServer(NvmeTarget target)
    {
        _target = target;
        _reception = new Reception<Socket,
            TcpConnection>(target.Options.Connections, WhenFull.Refuse, Meet, connection => _ = ServeAsync(connection), Discard)
        {
            IdleEviction = target.Options.IdleTimeout,
        };
        _reception.Evicted += connection => Evicted?.Invoke(connection.Host);
        _reception.Refused += OnRefused;
        _watching = WatchAsync();
    }

    /// <param name="target">What is served.</param>
    /// <param name="listener">A socket that listens; the server owns it.</param>
    public NvmeTcpServer(NvmeTarget target, Socket listener)
        : this(target) => Listen(listener);

    /// <summary>Raised when a connection has ended, with the host and, if the server ended it, the reason.</summary>
    public event Action<string, string?>? Ended;

    /// <summary>Raised when a client is rejected because there are too many connections, or no memory for one more.</summary>
    public event Action? Refused;

    /// <summary>Raised with its host when a connection is ended so that another host gets its slot.</summary>
    public event Action<string>? Evicted;

    /// <summary>Address of the first listener.</summary>
    public IPEndPoint Address { get; private set; } = new(IPAddress.None, 0);

    /// <summary>Number of connections accepted so far.</summary>
    public long Accepted => _reception.Accepted;

    /// <summary>Number of PDUs with a valid header received so far, including those of ended connections.</summary>
    public long Pdus => Interlocked.Read(ref _pdusOfEnded) + _reception.Clients.Sum(c => c.Pdus);

    /// <summary>Latencies of commands so far, including those of ended connections.</summary>
    internal LatencyTable Latencies => _latencies.Sum();

    /// <summary>Current connections.</summary>
    internal IReadOnlyList<ConnectionInfo> Connections
        => [.. _reception.Clients.Select(c => new ConnectionInfo(c.IsAdmitted ? c.Host : "", c.Controller?.Id ?? 0, c.Queue, c.Latencies))];

    /// <summary>Starts accepting clients from a listener.</summary>
    /// <param name="listener">A TCP socket that listens; the server owns it.</param>
    public void Listen(Socket listener)
    {
        Address = Address.Port == 0 ? (IPEndPoint)listener.LocalEndPoint! : Address;
        _reception.Listen(listener, listener.AcceptAsync);
    }

    /// <summary>Stops accepting clients, completes the commands in flight, and ends the connections.</summary>
    public async Task StopAsync(TimeSpan limit)
    {
        await _reception.StopAsync(limit);
        await _watching;
    }

    /// <summary>Ends every connection at once, as a power cut would; clients may reconnect.</summary>
    public void DropConnections() => _reception.AbortAll();

    /// <summary>Accepts new clients, or disconnects them at once.</summary>
    public void Admit(bool clients) => _reception.Admits = clients;

    /// <summary>Waits until all clients have disconnected and their commands have ended, up to the limit.</summary>
    public Task GoneAsync(TimeSpan limit) => _reception.GoneAsync(limit);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync(TimeSpan.FromSeconds(1));
        await _reception.DisposeAsync();
    }

    private void OnRefused(Socket socket)
    {
        const string why = "the connection limit is reached, or memory is used up";
        _target.Notify(new ClientNotice(ClientChange.Rejected, ClientSocket.PeerOf(socket), "", why));
        Refused?.Invoke();
    }

    private TcpConnection? Meet(Socket socket)
    {
        if (_target.Buffers.TryRent(SlabPool.StandardSize) is not { } buffer)
        {
            return null;
        }

        ClientSocket.Prepare(socket);
        return new TcpConnection(socket, _target, buffer, _latencies.Open());
    }

    private void Discard(TcpConnection connection)
    {
        connection.GiveUp();
        _latencies.Close(connection.Latencies);
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
            connection.ReportEnd();
            _latencies.Close(connection.Latencies);
            Interlocked.Add(ref _pdusOfEnded, connection.Pdus);
            _reception.Leave(connection);
        }

        Ended?.Invoke(connection.Host, connection.Fault);
    }

    private async Task WatchAsync()
    {
        using var timer = new PeriodicTimer(WatchPeriod);
        try
        {
            while (await timer.WaitForNextTickAsync(_reception.Stopping))
            {
                _target.DropExpired();
                DropSilent();
            }
        }
        catch (OperationCanceledException)
        {
            // the server is stopping
        }
    }

    private void DropSilent()
    {
        foreach (var connection in _reception.Clients)
        {
            if (connection.AuthenticatingMilliseconds > _target.Options.AuthenticationTimeout.TotalMilliseconds)
            {
                connection.End("authentication took too long");
                continue;
            }

            var limit = connection.IsConnected ? _target.Options.IdleTimeout : _target.Options.HandshakeTimeout;
            if (limit > TimeSpan.Zero && connection.IdleMilliseconds > limit.TotalMilliseconds
                && (!connection.IsConnected || !connection.Controller!.HasKeepAlive))
            {
                connection.Dispose();
            }
        }
    }
}
