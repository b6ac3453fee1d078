using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using Paddock.Block;
using Paddock.Nbd.Server;
using Paddock.Nbd.Transport;
using Paddock.Serving;

namespace Paddock.Nbd;

/// <summary>
/// Serves disks over NBD on any number of listening sockets. Devices are not owned: the caller disposes them after <see cref="StopAsync"/>.
/// </summary>
public sealed class NbdServer : IAsyncDisposable
{
    private const int StackSize = 512 << 10;

    private readonly Dictionary<string, NbdExport> _exports = new(StringComparer.Ordinal);
    private readonly Reception<Socket, ServerConnection> _reception;
    private long _refused;

    /// <param name="options">Server options.</param>
    /// <param name="exports">Exports, with distinct names.</param>
    public NbdServer(NbdServerOptions options, params IEnumerable<NbdExport> exports)
    {
        if (options.Tls != TlsMode.Off && options.Credentials?.HasIdentity != true)
        {
            throw new ArgumentException("TLS needs a certificate or pre-shared keys", nameof(options));
        }

        Options = options;
        Credentials = options.Credentials;
        Pool = options.Buffers ?? new SlabPool();
        _reception = new Reception<Socket, ServerConnection>(
            options.MaxConnections, WhenFull.Wait, Meet, Begin, connection => connection.GiveUp(), options.Time)
        {
            IdleEviction = options.IdleEviction,
        };
        _reception.Evicted += _ => options.Evicted?.Invoke();
        _reception.Refused += socket => options.Notices?.Invoke(
            new ClientNotice(ClientChange.Rejected, ClientSocket.PeerOf(socket), "", "memory is used up"));
        foreach (var export in exports)
        {
            _exports.Add(export.Name, export);
        }
    }

    /// <summary>Raised after a client disconnects, with the number of remaining clients.</summary>
    public event Action<int>? ClientLeft;

    /// <summary>Number of current connections.</summary>
    public int Connections => _reception.Count;

    /// <summary>Number of accepted connections.</summary>
    public long Accepted => _reception.Accepted;

    /// <summary>Number of connections ended by a protocol violation, a TLS failure, a timeout or a lack of memory.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    internal NbdServerOptions Options { get; }

    internal IReadOnlyDictionary<string, NbdExport> Exports => _exports;

    /// <summary>Credentials for later clients; can be replaced while the server runs, if it has any.</summary>
    public TlsCredentials? Credentials { get; set; }

    /// <summary>Latencies of successful requests.</summary>
    internal LatencyTable Latencies => LatencyLedger.Sum();

    internal LatencyLedger LatencyLedger { get; } = new();

    internal SlabPool Pool { get; }

    /// <summary>Starts accepting clients from a listener.</summary>
    /// <param name="listener">A listening socket; owned.</param>
    public void Listen(Socket listener) => _reception.Listen(listener, listener.AcceptAsync);

    /// <summary>Serves one client on an existing connection.</summary>
    /// <param name="connection">A connected socket; owned.</param>
    public void Accept(Socket connection) => _reception.Take(connection);

    /// <summary>
    /// Stops accepting clients and requests, completes requests in flight, disconnects, and flushes every writable export.
    /// </summary>
    /// <param name="limit">Time until remaining connections are dropped (default <see cref="NbdServerOptions.DrainLimit"/>).</param>
    /// <exception cref="BlockException">An export could not be flushed; the first failure is thrown after all have been tried.</exception>
    public async Task StopAsync(TimeSpan? limit = null)
    {
        await _reception.StopAsync(limit ?? Options.DrainLimit);
        ExceptionDispatchInfo? failure = null;
        foreach (var export in _exports.Values.Where(e => !e.IsReadOnly && e.Unavailable is null))
        {
            try
            {
                await export.Device.FlushAsync();
            }
            catch (Exception e)
            {
                // an exception of one device must not prevent the flush of the next
                failure ??= ExceptionDispatchInfo.Capture(e);
            }
        }

        failure?.Throw();
    }

    /// <summary>Drops every connection immediately, as a power cut would; clients may reconnect.</summary>
    public void DropConnections() => _reception.AbortAll();

    /// <summary>Drops the connections of the clients that use a disk; they may reconnect.</summary>
    internal void DropConnections(IBlockDevice device)
    {
        foreach (var client in _reception.Clients.Where(c => c.Export?.Device == device))
        {
            client.Abort();
        }
    }

    /// <summary>Offers the exports of a disk to new clients, or not.</summary>
    /// <param name="device">The disk.</param>
    /// <param name="unavailable">Why it is not offered; null: it is.</param>
    internal void Offer(IBlockDevice device, string? unavailable)
    {
        foreach (var export in _exports.Values.Where(e => e.Device == device))
        {
            export.Unavailable = unavailable;
        }
    }

    /// <summary>Accepts new clients, or disconnects them at once.</summary>
    public void Admit(bool clients) => _reception.Admits = clients;

    /// <summary>Waits until all clients have disconnected and their requests have completed, at most until the limit.</summary>
    public Task GoneAsync(TimeSpan limit) => _reception.GoneAsync(limit);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        try
        {
            if (!_reception.Stopping.IsCancellationRequested)
            {
                await StopAsync();
            }
        }
        finally
        {
            await _reception.DisposeAsync();
        }
    }

    internal void CountRefused() => Interlocked.Increment(ref _refused);

    private ServerConnection? Meet(Socket socket)
    {
        if (Pool.TryRent(SlabPool.StandardSize) is { } buffer)
        {
            ClientSocket.Prepare(socket);
            return new ServerConnection(socket, this, buffer);
        }

        CountRefused();
        Options.Log?.Invoke("no memory is left for one more client");
        return null;
    }

    private void Begin(ServerConnection connection)
        => new Thread(() => Run(connection), StackSize) { IsBackground = true, Name = "nbd client" }.Start();

    private void Run(ServerConnection connection)
    {
        connection.Run();
        connection.Dispose();
        int left = _reception.Leave(connection);
        ClientLeft?.Invoke(left);
    }
}
