using System.Net.Sockets;
using Paddock.Serving;
using Paddock.VhostUser.Blk;

namespace Paddock.VhostUser.Session;

/// <summary>One front end from its coming to its end, on a thread of its own.</summary>
internal sealed class FrontEndConnection(Socket socket, VirtioBlkDevice device, VhostUserServerOptions options) : IServedClient, IDisposable
{
    private readonly Lock _lock = new();
    private FrontEndSession? _session;
    private volatile bool _ended;
    private volatile bool _late;
    private volatile bool _heard;
    private readonly long _came = Environment.TickCount64;

    /// <summary>Runs to the end, and until nothing of the front end's is touched any more; never throws.</summary>
    /// <returns>What the front end did wrong; null where it just left.</returns>
    public string? Run()
    {
        FrontEndSession? session = null;
        try
        {
            session = new FrontEndSession(device, options.Polling, Log, options.SealedMemoryOnly);
            lock (_lock)
            {
                _session = session;
            }

            using var limit = StartLimit(session);
            Serve(session, new MessageChannel(socket.SafeHandle));
            return Lateness;
        }
        catch (EndOfStreamException)
        {
            return Lateness;
        }
        catch (Exception e)
        {
            // whatever a front end brings about ends its own connection and nothing else
            return _ended ? Lateness : e.Message;
        }
        finally
        {
            lock (_lock)
            {
                _session = null;
            }

            session?.Dispose();
        }
    }

    /// <summary>Tells the front end that the configuration space has changed.</summary>
    public void ConfigChanged()
    {
        lock (_lock)
        {
            _session?.BackEnd.ConfigChanged();
        }
    }

    /// <inheritdoc/>
    public ClientStanding Standing
    {
        get
        {
            lock (_lock)
            {
                return new(
                    _session is { HasAgreed: true } ? ClientTrust.Kept : _heard ? ClientTrust.Introduced : ClientTrust.Stranger,
                    Environment.TickCount64 - _came);
            }
        }
    }

    /// <inheritdoc/>
    public void Finish() => Abort();

    /// <summary>Hangs up. Requests under way still end: they are the disk's already.</summary>
    public void Abort()
    {
        try
        {
            lock (_lock)
            {
                _ended = true;
                socket.Shutdown(SocketShutdown.Both);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // it is gone already
        }
    }

    /// <inheritdoc/>
    public void Dispose() => socket.Dispose();

    private string? Lateness => _late ? $"it agreed on nothing for {options.HandshakeLimit.TotalSeconds} s" : null;

    // a virtual machine may be idle indefinitely, but another client must not occupy its slot
    private ITimer? StartLimit(FrontEndSession session)
        => options.HandshakeLimit == TimeSpan.Zero ? null
            : options.Time.CreateTimer(
                _ =>
                {
                    if (!session.HasAgreed)
                    {
                        _late = true;
                        Abort();
                    }
                },
                null, options.HandshakeLimit, Timeout.InfiniteTimeSpan);

    private void Serve(FrontEndSession session, MessageChannel channel)
    {
        using var request = new Message();
        using var reply = new Message();
        while (channel.TryReceive(request))
        {
            _heard = true;
            if (session.Handle(request, reply))
            {
                channel.Send(reply);
                reply.Clear();
            }
        }
    }

    private void Log(string line) => options.Log?.Invoke(line);
}
