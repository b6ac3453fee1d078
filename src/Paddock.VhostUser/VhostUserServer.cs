using System.Net.Sockets;
using Paddock.Block;
using Paddock.Posix;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Session;

namespace Paddock.VhostUser;

/// <summary>
/// Serves a disk to virtual machines over vhost-user. One front end at a time: the next waits in the listener's queue until the one
/// before has left, and takes up its requests in flight if it was given their record. The disk is not owned.
/// </summary>
public sealed class VhostUserServer : IAsyncDisposable
{
    private const int StackSize = 512 << 10;

    private static readonly TimeSpan AcceptPause = TimeSpan.FromSeconds(1);

    private readonly IBlockDevice _disk;
    private readonly VhostUserServerOptions _options;
    private readonly VirtioBlkDevice _device;
    private readonly Lock _lock = new();
    private readonly List<Thread> _threads = [];
    private Socket? _listener;
    private Socket? _connection;
    private FrontEndSession? _session;
    private readonly ManualResetEventSlim _stop = new();
    private volatile bool _stopping;

    /// <param name="disk">The disk; bounds and alignment are checked there (<see cref="CheckedBlockDevice"/>).</param>
    /// <param name="options">How.</param>
    /// <exception cref="ArgumentException">No queue, or too many.</exception>
    public VhostUserServer(IBlockDevice disk, VhostUserServerOptions options)
    {
        if (options.Queues is < 1 or > VhostUserLimits.MaxQueues)
        {
            throw new ArgumentException($"a disk has 1 to {VhostUserLimits.MaxQueues} queues, not {options.Queues}", nameof(options));
        }

        (_disk, _options) = (disk, options);
        _device = new VirtioBlkDevice(disk, new VirtioBlkOptions { Queues = options.Queues, Serial = options.Serial });
    }

    /// <summary>Takes front ends from a listener from now on.</summary>
    /// <param name="listener">A Unix socket that listens; owned.</param>
    public void Listen(Socket listener)
    {
        _listener = listener;
        Begin(() => AcceptAll(listener), "vhost-user");
    }

    /// <summary>Serves one front end whose connection is there already, until it leaves; for use without a listener.</summary>
    /// <param name="connection">A connected Unix socket; owned.</param>
    public void Accept(Socket connection) => Begin(() => Serve(connection), "vhost-user");

    /// <summary>Tells the front end, if one is there, that the disk's size or zones have changed.</summary>
    public void ConfigChanged()
    {
        lock (_lock)
        {
            _session?.BackEnd.ConfigChanged();
        }
    }

    /// <summary>Takes no more requests, ends those under way, hangs up, and flushes the disk.</summary>
    public async Task StopAsync()
    {
        Thread[] threads;
        lock (_lock)
        {
            if (_stopping)
            {
                return;
            }

            _stopping = true;
            _stop.Set();
            threads = [.. _threads];
            _connection?.Shutdown(SocketShutdown.Both);
        }

        HangUp(_listener);
        await Task.Run(() =>
        {
            foreach (var thread in threads)
            {
                thread.Join();
            }
        });
        _listener?.Dispose();
        if (!_disk.IsReadOnly)
        {
            await _disk.FlushAsync();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _stop.Dispose();
    }

    private static void HangUp(Socket? listener)
    {
        try
        {
            // ends a wait in accept
            listener?.Shutdown(SocketShutdown.Both);
        }
        catch (SocketException)
        {
            listener?.Dispose();
        }
    }

    private void Begin(ThreadStart run, string name)
    {
        var thread = new Thread(run, StackSize) { IsBackground = true, Name = name };
        lock (_lock)
        {
            _threads.RemoveAll(t => !t.IsAlive);
            _threads.Add(thread);
            thread.Start();
        }
    }

    private void AcceptAll(Socket listener)
    {
        while (!_stopping)
        {
            Socket connection;
            try
            {
                connection = listener.Accept();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                if (!_stopping)
                {
                    Log($"no front end can be taken: {e.Message}");
                }

                // no descriptor is left, perhaps: later there may be
                _stop.Wait(AcceptPause);
                continue;
            }

            Serve(connection);
        }
    }

    private void Serve(Socket connection)
    {
        using (connection)
        {
            var session = new FrontEndSession(_device, _options.Polling, Log);
            lock (_lock)
            {
                if (_stopping)
                {
                    session.Dispose();
                    return;
                }

                (_connection, _session) = (connection, session);
            }

            Log("a front end has come");
            string end = "it left";
            try
            {
                Run(session, new MessageChannel(connection.SafeHandle));
            }
            catch (Exception e)
            {
                // whatever a front end brings about ends its own connection and nothing else
                end = e.Message;
            }

            lock (_lock)
            {
                (_connection, _session) = (null, null);
            }

            session.Dispose();
            Log($"a front end has gone: {end}");
        }
    }

    private static void Run(FrontEndSession session, MessageChannel channel)
    {
        using var request = new Message();
        using var reply = new Message();
        while (channel.TryReceive(request))
        {
            if (session.Handle(request, reply))
            {
                channel.Send(reply);
                reply.Clear();
            }
        }
    }

    private void Log(string line) => _options.Log?.Invoke(line);
}
