using System.Net.Sockets;
using Paddock.Nvme;
using Paddock.Serving;
using Paddock.VfioUser.Session;

namespace Paddock.VfioUser;

/// <summary>
/// Serves an NVMe subsystem as a PCI device of a virtual machine over vfio-user: one controller, and one client at a time. Several
/// servers of one subsystem are several controllers of it. The subsystem is not owned.
/// </summary>
internal sealed class VfioUserServer : ISocketServer
{
    private const int StackSize = 512 << 10;

    private readonly NvmeTarget _target;
    private readonly NvmeSubsystem _subsystem;
    private readonly VfioUserServerOptions _options;
    private readonly Reception<Socket, ClientConnection> _reception;
    private readonly Lock _lock = new();

    // controllers whose clients have disconnected: commands in flight may still wait for the disk
    private readonly HashSet<Task> _ending = [];
    private readonly LatencyLedger _latencies = new();
    private VfioUserCounts _past;
    private bool _isOff;

    /// <param name="target">The target: limits and memory.</param>
    /// <param name="subsystem">The subsystem.</param>
    /// <param name="options">Options.</param>
    /// <exception cref="ArgumentException">The number of queues is out of range.</exception>
    public VfioUserServer(NvmeTarget target, NvmeSubsystem subsystem, VfioUserServerOptions options)
    {
        if (options.Queues is < 1 or > VfioUserLimits.MaxQueues)
        {
            throw new ArgumentException(
                $"a controller has 1 to {VfioUserLimits.MaxQueues} I/O queues, not {options.Queues}", nameof(options));
        }

        (_target, _subsystem, _options) = (target, subsystem, options);
        _reception = new Reception<Socket, ClientConnection>(
            1, WhenFull.Wait, Meet, Begin, End, options.Time);
        _reception.Evicted += _ => options.Log?.Invoke("a client that agreed on no version is disconnected: another waits");
    }

    /// <summary>Counters over all clients.</summary>
    public VfioUserCounts Counts
    {
        get
        {
            lock (_lock)
            {
                var sum = _past;
                foreach (var client in _reception.Clients)
                {
                    sum = sum.With(client);
                }

                return sum;
            }
        }
    }

    /// <summary>Latencies of commands, from fetching them to their completion.</summary>
    public LatencyTable Latencies => _latencies.Sum();

    /// <summary>Number of current clients: 0 or 1.</summary>
    public int Connections => _reception.Count;

    /// <summary>Number of accepted clients.</summary>
    public long Accepted => _reception.Accepted;

    /// <summary>Starts accepting clients from a listener.</summary>
    /// <param name="listener">A listening Unix socket; owned.</param>
    public void Listen(Socket listener) => _reception.Listen(listener, listener.AcceptAsync);

    /// <summary>Serves one client on an existing connection.</summary>
    /// <param name="connection">A connected Unix socket; owned.</param>
    public void Accept(Socket connection) => _reception.Take(connection);

    /// <summary>
    /// Cuts or restores the power of the controller. The connection stays, since QEMU does not connect again: the controller fails, and its
    /// host resets it. Returns when no reply to a command reaches the host any more.
    /// </summary>
    public void SetPower(bool on)
    {
        lock (_lock)
        {
            _isOff = !on;
            foreach (var client in _reception.Clients)
            {
                SetPower(client, on);
            }
        }
    }

    /// <summary>Waits until no command is in flight without power, or of a client that has disconnected; at most until the limit.</summary>
    public async Task QuietAsync(TimeSpan limit)
    {
        var quiet = Task.WhenAll([.. Ending(), .. _reception.Clients.Select(c => c.Function.Controller.QuietAsync())]);
        await Task.WhenAny(quiet, Task.Delay(limit, _options.Time));
    }

    /// <summary>Stops accepting clients, disconnects, and waits for the commands in flight.</summary>
    public async Task StopAsync()
    {
        await _reception.StopAsync(TimeSpan.Zero);
        await Task.WhenAll(Ending());
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await _reception.DisposeAsync();
    }

    private Task[] Ending()
    {
        lock (_lock)
        {
            return [.. _ending];
        }
    }

    private static void SetPower(ClientConnection connection, bool on)
    {
        if (on)
        {
            connection.Function.Controller.PowerOn();
        }
        else
        {
            connection.Function.Controller.PowerOffAsync().GetAwaiter().GetResult();
        }
    }

    // null: no descriptor, memory or controller is left
    private ClientConnection? Meet(Socket socket)
    {
        var latencies = _latencies.Open();
        try
        {
            return new ClientConnection(socket, _target, _subsystem, _options, latencies, Task.WhenAll(Ending()));
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            _latencies.Close(latencies);
            _options.Notices?.Invoke(new ClientNotice(ClientChange.Rejected, ClientSocket.PeerOf(socket), _subsystem.Nqn, e.Message));
            return null;
        }
    }

    private void Begin(ClientConnection connection)
    {
        lock (_lock)
        {
            if (_isOff)
            {
                SetPower(connection, on: false);
            }
        }

        new Thread(() => Run(connection), StackSize) { IsBackground = true, Name = "vfio-user" }.Start();
    }

    private void Run(ClientConnection connection)
    {
        Notify(ClientChange.Connected, connection, null);
        string? why = connection.Run();
        Notify(why is not null && !connection.HasAgreed ? ClientChange.Rejected : ClientChange.Disconnected, connection, why);
        lock (_lock)
        {
            End(connection);
            _reception.Leave(connection);
        }
    }

    private void End(ClientConnection connection)
    {
        lock (_lock)
        {
            // a disk that hangs must not keep the next client waiting
            var end = EndAsync(connection);
            _ending.Add(end);
            _ = end.ContinueWith(Forget, TaskScheduler.Default);
            connection.Dispose();
            _past = _past.With(connection);
            _latencies.Close(connection.Latencies);
        }
    }

    private static async Task EndAsync(ClientConnection connection)
    {
        await Task.Yield();
        await connection.Function.DisposeAsync();
    }

    private void Forget(Task ended)
    {
        lock (_lock)
        {
            _ending.Remove(ended);
        }
    }

    private void Notify(ClientChange change, ClientConnection connection, string? why)
        => _options.Notices?.Invoke(new ClientNotice(change, connection.Peer, _subsystem.Nqn, why));
}
