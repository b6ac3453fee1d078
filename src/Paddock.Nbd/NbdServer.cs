using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using Paddock.Block;
using Paddock.Nbd.Server;
using Paddock.Nbd.Transport;
using Paddock.Serving;

namespace Paddock.Nbd;

/// <summary>
/// Serves disks over NBD on any listening sockets. Devices are not owned: whoever made them closes them after <see cref="StopAsync"/>.
/// </summary>
public sealed class NbdServer : IAsyncDisposable
{
    private const int StackSize = 512 << 10;

    private readonly Dictionary<string, NbdExport> _exports = new(StringComparer.Ordinal);
    private readonly Reception<Socket, ServerConnection> _reception;
    private long _refused;

    /// <param name="options">How to serve.</param>
    /// <param name="exports">What to serve; no name twice.</param>
    public NbdServer(NbdServerOptions options, params IEnumerable<NbdExport> exports)
    {
        if (options.Tls != TlsMode.Off && options.Credentials?.Certificate is null)
        {
            throw new ArgumentException("TLS needs a certificate", nameof(options));
        }

        Options = options;
        Credentials = options.Credentials;
        Pool = options.Buffers ?? new SlabPool();
        _reception = new Reception<Socket, ServerConnection>(
            options.MaxConnections, WhenFull.Wait, Meet, Begin, options.Time)
        {
            IdleEviction = options.IdleEviction,
        };
        _reception.Evicted += _ => options.Evicted?.Invoke();
        foreach (var export in exports)
        {
            _exports.Add(export.Name, export);
        }
    }

    /// <summary>Told after a client left, with how many are left.</summary>
    public event Action<int>? ClientLeft;

    /// <summary>Clients at this moment.</summary>
    public int Connections => _reception.Count;

    /// <summary>Clients that were taken.</summary>
    public long Accepted => _reception.Accepted;

    /// <summary>
    /// Connections that ended because the client broke the protocol, failed TLS, or took too long, or that found no memory.
    /// </summary>
    public long Refused => Interlocked.Read(ref _refused);

    internal NbdServerOptions Options { get; }

    internal IReadOnlyDictionary<string, NbdExport> Exports => _exports;

    /// <summary>The certificates for clients from now on; may be changed while the server runs, where there are some.</summary>
    public TlsCredentials? Credentials { get; set; }

    /// <summary>How long successful requests took so far.</summary>
    internal LatencyTable Latencies => LatencyLedger.Sum();

    internal LatencyLedger LatencyLedger { get; } = new();

    internal SlabPool Pool { get; }

    /// <summary>Takes clients from a listener from now on.</summary>
    /// <param name="listener">A bound socket that listens; owned.</param>
    public void Listen(Socket listener) => _reception.Listen(listener, listener.AcceptAsync);

    /// <summary>Serves one client whose connection is there already.</summary>
    /// <param name="connection">A connected socket; owned.</param>
    public void Accept(Socket connection) => _reception.Take(connection);

    /// <summary>
    /// Takes no more clients and no more requests, answers those under way, hangs up, and flushes every export that can be written.
    /// </summary>
    /// <param name="limit">
    /// How long it may take before the rest are cut off; <see cref="NbdServerOptions.DrainLimit"/> unless given.
    /// </param>
    /// <exception cref="BlockException">An export could not be flushed: the first of them. The others are flushed all the same.</exception>
    public async Task StopAsync(TimeSpan? limit = null)
    {
        await _reception.StopAsync(limit ?? Options.DrainLimit);
        ExceptionDispatchInfo? failure = null;
        foreach (var export in _exports.Values.Where(e => !e.IsReadOnly))
        {
            try
            {
                await export.Device.FlushAsync();
            }
            catch (Exception e)
            {
                // whatever a device throws must not keep the next one from being flushed
                failure ??= ExceptionDispatchInfo.Capture(e);
            }
        }

        failure?.Throw();
    }

    /// <summary>Ends every connection at once, as a power cut would; clients may come back.</summary>
    public void DropConnections() => _reception.AbortAll();

    /// <summary>Takes clients, or hangs up on those who come.</summary>
    public void Admit(bool clients) => _reception.Admits = clients;

    /// <summary>Waits until all clients are gone, and what they began is done; no longer than the limit.</summary>
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
    {
        try
        {
            new Thread(() => Run(connection), StackSize) { IsBackground = true, Name = "nbd client" }.Start();
        }
        catch (Exception)
        {
            connection.GiveUp();
            throw;
        }
    }

    private void Run(ServerConnection connection)
    {
        connection.Run();
        connection.Dispose();
        int left = _reception.Leave(connection);
        ClientLeft?.Invoke(left);
    }
}
