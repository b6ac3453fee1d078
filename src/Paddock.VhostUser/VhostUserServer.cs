using System.Net.Sockets;
using Paddock.Block;
using Paddock.Serving;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Session;

namespace Paddock.VhostUser;

/// <summary>
/// Serves a disk to virtual machines over vhost-user. One front end at a time: the next waits in the listener's queue until the one
/// before has disconnected, and resumes its requests in flight if it passes their record. The disk is not owned.
/// </summary>
public sealed class VhostUserServer : ISocketServer, IAsyncDisposable
{
    private const int StackSize = 512 << 10;

    // for front ends before feature negotiation; a virtual machine after it may be idle indefinitely
    private static readonly TimeSpan IdleEviction = TimeSpan.FromSeconds(10);

    private readonly IBlockDevice _disk;
    private readonly VhostUserServerOptions _options;
    private readonly VirtioBlkDevice _device;
    private readonly Reception<Socket, FrontEndConnection> _reception;
    private long _refused;

    /// <param name="disk">The disk; bounds and alignment are checked there (<see cref="CheckedDevice"/>).</param>
    /// <param name="options">Server options.</param>
    /// <exception cref="ArgumentException">The number of queues is out of range.</exception>
    public VhostUserServer(IBlockDevice disk, VhostUserServerOptions options)
    {
        if (options.Queues is < 1 or > VhostUserLimits.MaxQueues)
        {
            throw new ArgumentException($"a disk has 1 to {VhostUserLimits.MaxQueues} queues, not {options.Queues}", nameof(options));
        }

        (_disk, _options) = (disk, options);
        _device = new VirtioBlkDevice(
            disk, new VirtioBlkOptions { Queues = options.Queues, Serial = options.Serial, Buffers = options.Buffers });
        _reception = new Reception<Socket, FrontEndConnection>(
            1, WhenFull.Wait, socket => new FrontEndConnection(socket, _device, _options), Begin, time: options.Time)
        {
            IdleEviction = IdleEviction,
        };
        _reception.Evicted += _ => options.Log?.Invoke("a front end that agreed on nothing is hung up on: another waits");
    }

    /// <summary>Request counters over all front ends.</summary>
    internal RequestCounters Statistics => _device.Statistics;

    /// <summary>Latencies from available to used ring, including failed requests.</summary>
    internal LatencyTable Latencies => _device.Latencies;

    /// <summary>Number of current front ends: 0 or 1.</summary>
    public int Connections => _reception.Count;

    /// <summary>Number of accepted front ends.</summary>
    public long Accepted => _reception.Accepted;

    /// <summary>Number of front ends disconnected for an error of theirs.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <summary>Starts accepting front ends from a listener.</summary>
    /// <param name="listener">A listening Unix socket; owned.</param>
    public void Listen(Socket listener) => _reception.Listen(listener, listener.AcceptAsync);

    /// <summary>Serves one front end on an existing connection.</summary>
    /// <param name="connection">A connected Unix socket; owned.</param>
    public void Accept(Socket connection) => _reception.Take(connection);

    /// <summary>Notifies a connected front end that the disk's size or zones have changed.</summary>
    public void ConfigChanged()
    {
        foreach (var connection in _reception.Clients)
        {
            connection.ConfigChanged();
        }
    }

    /// <summary>Drops the connection immediately; front ends may reconnect.</summary>
    public void DropConnections() => _reception.AbortAll();

    /// <summary>Accepts new front ends, or disconnects them at once.</summary>
    public void Admit(bool clients) => _reception.Admits = clients;

    /// <summary>Waits until the front end has disconnected and its requests have completed, at most until the limit.</summary>
    public Task GoneAsync(TimeSpan limit) => _reception.GoneAsync(limit);

    /// <summary>Stops accepting requests, completes those in flight, disconnects, and flushes the disk.</summary>
    /// <remarks>Requests have no time limit: the guest's memory must stay mapped until the disk has completed them.</remarks>
    public async Task StopAsync()
    {
        await _reception.StopAsync(TimeSpan.Zero);
        try
        {
            await (_disk.IsReadOnly ? ValueTask.CompletedTask : _disk.FlushAsync());
        }
        catch (BlockException e) when (e.Error == BlockError.NotOwner)
        {
            // its owner flushes it
        }
    }

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

    private void Begin(FrontEndConnection connection)
        => new Thread(() => Run(connection), StackSize) { IsBackground = true, Name = "vhost-user" }.Start();

    private void Run(FrontEndConnection connection)
    {
        _options.Log?.Invoke("a front end has come");
        Notify(ClientChange.Connected, connection, null);
        string? why = connection.Run();
        Notify(why is not null && !connection.HasAgreed ? ClientChange.Rejected : ClientChange.Disconnected, connection, why);
        if (why is not null)
        {
            Interlocked.Increment(ref _refused);
        }

        connection.Dispose();
        _reception.Leave(connection);
        _options.Log?.Invoke(why is null ? "the front end has left" : $"the front end was sent away: {why}");
    }

    private void Notify(ClientChange change, FrontEndConnection connection, string? why)
        => _options.Notices?.Invoke(new ClientNotice(change, connection.Peer, _options.Serial, why));
}
