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
public sealed class VhostUserServer : IAsyncDisposable
{
    private const int StackSize = 512 << 10;

    // of front ends that have agreed on nothing; the others are virtual machines, which may be silent for ever
    private static readonly TimeSpan IdleEviction = TimeSpan.FromSeconds(10);

    private readonly IBlockDevice _disk;
    private readonly VhostUserServerOptions _options;
    private readonly VirtioBlkDevice _device;
    private readonly Reception<Socket, FrontEndConnection> _reception;
    private long _refused;

    /// <param name="disk">The disk; bounds and alignment are checked there (<see cref="CheckedDevice"/>).</param>
    /// <param name="options">How.</param>
    /// <exception cref="ArgumentException">No queue, or too many.</exception>
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
            1, WhenFull.Wait, socket => new FrontEndConnection(socket, _device, _options), Begin, options.Time)
        {
            IdleEviction = IdleEviction,
        };
        _reception.Evicted += _ => options.Log?.Invoke("a front end that agreed on nothing is hung up on: another waits");
    }

    /// <summary>The requests of all front ends so far.</summary>
    internal RequestCounters Statistics => _device.Statistics;

    /// <summary>How long requests took from the ring to the ring, including failed ones.</summary>
    internal LatencyTable Latencies => _device.Latencies;

    /// <summary>Front ends at this moment: 0 or 1.</summary>
    public int Connections => _reception.Count;

    /// <summary>Front ends that were taken.</summary>
    public long Accepted => _reception.Accepted;

    /// <summary>Front ends whose connection ended for a fault of theirs.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <summary>Takes front ends from a listener from now on.</summary>
    /// <param name="listener">A Unix socket that listens; owned.</param>
    public void Listen(Socket listener) => _reception.Listen(listener, listener.AcceptAsync);

    /// <summary>Serves one front end whose connection is there already.</summary>
    /// <param name="connection">A connected Unix socket; owned.</param>
    public void Accept(Socket connection) => _reception.Take(connection);

    /// <summary>Tells the front end, if one is there, that the disk's size or zones have changed.</summary>
    public void ConfigChanged()
    {
        foreach (var connection in _reception.Clients)
        {
            connection.ConfigChanged();
        }
    }

    /// <summary>Ends the connection at once; front ends may come back.</summary>
    public void DropConnections() => _reception.AbortAll();

    /// <summary>Takes front ends, or hangs up on those who come.</summary>
    public void Admit(bool clients) => _reception.Admits = clients;

    /// <summary>Waits until the front end is gone, and what it began is done; no longer than the limit.</summary>
    public Task GoneAsync(TimeSpan limit) => _reception.GoneAsync(limit);

    /// <summary>Takes no more requests, ends those under way, hangs up, and flushes the disk.</summary>
    /// <remarks>There is no limit to how long a request may take: the guest's memory cannot go before the disk is done with it.</remarks>
    public async Task StopAsync()
    {
        await _reception.StopAsync(TimeSpan.Zero);
        if (!_disk.IsReadOnly)
        {
            await _disk.FlushAsync();
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
        string? why = connection.Run();
        if (why is not null)
        {
            Interlocked.Increment(ref _refused);
        }

        connection.Dispose();
        _reception.Leave(connection);
        _options.Log?.Invoke(why is null ? "the front end has left" : $"the front end was sent away: {why}");
    }
}
