using System.Net.Sockets;
using Paddock.Serving;
using Paddock.VhostUser.Blk;

namespace Paddock.VhostUser.Session;

/// <summary>The connection of one front end, on a thread of its own.</summary>
internal sealed class FrontEndConnection(Socket socket, VirtioBlkDevice device, VhostUserServerOptions options) : IServedClient, IDisposable
{
    private readonly Lock _lock = new();
    private FrontEndSession? _session;
    private volatile bool _ended;
    private volatile bool _late;
    private volatile bool _heard;
    private readonly long _came = Environment.TickCount64;

    /// <summary>Process and user of the front end.</summary>
    public string Peer { get; } = options.Notices is null ? "" : ClientSocket.PeerOf(socket);

    /// <summary>Whether the front end had negotiated features when its connection ended.</summary>
    public bool HasAgreed { get; private set; }

    /// <summary>Serves the connection until the front end's memory is no longer used; never throws.</summary>
    /// <returns>Error of the front end; null for an orderly disconnect.</returns>
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
            // an exception caused by a front end ends only its own connection
            return _ended ? Lateness : e.Message;
        }
        finally
        {
            lock (_lock)
            {
                _session = null;
            }

            HasAgreed = session is { HasAgreed: true };
            session?.Dispose();
        }
    }

    /// <summary>Notifies the front end of a change of configuration space.</summary>
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

    /// <summary>Disconnects. Requests in flight still complete on the disk.</summary>
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
            // already disconnected
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
