using System.Net.Sockets;
using Paddock.Block;
using Paddock.Block.Buffers;
using Paddock.Nbd.Server;
using Paddock.Nbd.Transport;

namespace Paddock.Nbd;

/// <summary>
/// Serves disks over NBD on any listening sockets. Devices are not owned: whoever made them closes them after <see cref="StopAsync"/>.
/// </summary>
public sealed class NbdServer : IAsyncDisposable
{
    private const int StackSize = 512 << 10;

    private readonly Dictionary<string, NbdExport> _exports = new(StringComparer.Ordinal);
    private readonly HashSet<ServerConnection> _connections = [];
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _places;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<(Socket Listener, Task Loop)> _listeners = [];
    private readonly TaskCompletionSource _allGone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _stopping;

    /// <param name="options">How to serve.</param>
    /// <param name="exports">What to serve; no name twice.</param>
    public NbdServer(NbdServerOptions options, params IEnumerable<NbdExport> exports)
    {
        if (options.Tls != TlsMode.Off && options.Credentials?.Certificate is null)
        {
            throw new ArgumentException("TLS needs a certificate", nameof(options));
        }

        Options = options;
        _places = new SemaphoreSlim(options.MaxConnections);
        foreach (var export in exports)
        {
            _exports.Add(export.Name, export);
        }
    }

    /// <summary>Told after a client left, with how many are left.</summary>
    public event Action<int>? ClientLeft;

    /// <summary>What was done so far.</summary>
    public NbdStatistics Statistics { get; } = new();

    internal NbdServerOptions Options { get; }

    internal IReadOnlyDictionary<string, NbdExport> Exports => _exports;

    internal SlabPool Pool { get; } = new();

    /// <summary>Takes clients from a listener from now on.</summary>
    /// <param name="listener">A bound socket that listens; owned.</param>
    public void Listen(Socket listener)
    {
        var loop = new AcceptLoop(listener, _places, Start, Options.Time);
        _listeners.Add((listener, Task.Run(() => loop.RunAsync(_stop.Token))));
    }

    /// <summary>Serves one client whose connection is there already.</summary>
    /// <param name="connection">A connected socket; owned.</param>
    public void Accept(Socket connection)
    {
        _places.Wait(_stop.Token);
        Start(connection);
    }

    /// <summary>
    /// Takes no more clients and no more requests, answers those under way, hangs up, and flushes every export that can be written.
    /// </summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        foreach (var (listener, loop) in _listeners)
        {
            await loop;
            listener.Dispose();
        }

        ServerConnection[] open;
        lock (_lock)
        {
            if (_stopping)
            {
                return;
            }

            _stopping = true;
            open = [.. _connections];
            if (open.Length == 0)
            {
                _allGone.TrySetResult();
            }
        }

        foreach (var connection in open)
        {
            connection.Stop();
        }

        try
        {
            await _allGone.Task.WaitAsync(Options.DrainLimit, Options.Time);
        }
        catch (TimeoutException)
        {
            // a client that takes no replies holds nobody up
            foreach (var connection in open)
            {
                connection.Abort();
            }

            await _allGone.Task;
        }

        foreach (var export in _exports.Values.Where(e => !e.IsReadOnly))
        {
            await export.Device.FlushAsync();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _stop.Dispose();
        _places.Dispose();
    }

    private void Start(Socket socket)
    {
        var connection = new ServerConnection(socket, this);
        lock (_lock)
        {
            if (_stopping)
            {
                socket.Dispose();
                return;
            }

            _connections.Add(connection);
        }

        Statistics.Came();
        try
        {
            new Thread(() => Run(connection), StackSize) { IsBackground = true, Name = "nbd client" }.Start();
        }
        catch (Exception)
        {
            // no thread: the client is sent away, and the place is the accept loop's to give back
            connection.Dispose();
            Statistics.Left();
            lock (_lock)
            {
                _connections.Remove(connection);
            }

            throw;
        }
    }

    private void Run(ServerConnection connection)
    {
        connection.Run();
        connection.Dispose();
        int left = Statistics.Left();
        bool last;
        lock (_lock)
        {
            _connections.Remove(connection);
            last = _stopping && _connections.Count == 0;
            if (!_stopping)
            {
                _places.Release();
            }
        }

        ClientLeft?.Invoke(left);
        if (last)
        {
            _allGone.TrySetResult();
        }
    }
}
