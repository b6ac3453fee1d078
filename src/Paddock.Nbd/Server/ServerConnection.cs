using System.Net.Sockets;
using Paddock.Nbd.Transport;
using Paddock.Serving;

namespace Paddock.Nbd.Server;

/// <summary>The connection of one client, on a thread of its own.</summary>
internal sealed class ServerConnection(Socket socket, NbdServer server, Slab buffer) : IServedClient, IDisposable
{
    private const string Failed = "option negotiation failed: ";

    private readonly SocketChannel _plain = new(socket);
    private readonly Lock _lock = new();
    private NbdSession? _session;
    private volatile ServerHandshake? _handshake;
    private readonly long _came = Environment.TickCount64;
    private readonly string _peer = server.Options.Notices is null ? "" : ClientSocket.PeerOf(socket);
    private bool _stopped, _isTrusted;
    private string? _why;

    /// <summary>The export that the client has chosen; null: none yet.</summary>
    public NbdExport? Export => _handshake?.Export;

    /// <summary>Serves the connection to its end; never throws.</summary>
    public void Run()
    {
        IByteChannel channel = _plain;
        var input = new ReceiveBuffer(channel, server.Pool, buffer);
        var handshake = new ServerHandshake(server.Exports, server.Options);
        _handshake = handshake;
        try
        {
            bool agreed;

            // a limit on the whole handshake also stops a client that sends a byte at a time
            using (server.Options.Time.CreateTimer(
                static c => ((SocketChannel)c!).Abort(), _plain, server.Options.HandshakeLimit, Timeout.InfiniteTimeSpan))
            {
                agreed = Negotiate(handshake, input, ref channel);
            }

            if (agreed)
            {
                Notify(ClientChange.Connected, handshake);
                Serve(handshake, input);
            }
        }
        catch (IOException e)
        {
            server.CountRefused();
            _why = e.Message;
            server.Options.Log?.Invoke((handshake.Export is null ? Failed : "") + e.Message);
        }
        catch (Exception e)
        {
            // an exception caused by a client ends only its own connection
            server.CountRefused();
            _why = e.Message;
            server.Options.Log?.Invoke("a connection failed: " + e.Message);
        }
        finally
        {
            input.Dispose();
            channel.Dispose();
            NotifyEnd(handshake);
        }
    }

    /// <inheritdoc/>
    public ClientStanding Standing
    {
        get
        {
            lock (_lock)
            {
                return _session is null ? new(ClientTrust.Stranger, Environment.TickCount64 - _came) : new(
                    _isTrusted ? ClientTrust.Kept : _session.HasBegun ? ClientTrust.Served : ClientTrust.Introduced,
                    (long)_session.IdleTime.TotalMilliseconds);
            }
        }
    }

    /// <inheritdoc/>
    public void Finish()
    {
        lock (_lock)
        {
            _stopped = true;
            if (_session is null)
            {
                _plain.Abort();
            }
            else
            {
                _session.Stop();
            }
        }
    }

    /// <inheritdoc/>
    public void Abort()
    {
        lock (_lock)
        {
            _session?.Abort();
        }

        _plain.Abort();
    }

    /// <summary>Releases the memory of a request that never runs.</summary>
    public void GiveUp() => buffer.Release();

    /// <inheritdoc/>
    public void Dispose() => _plain.Dispose();

    // a client that only lists exports, or connects and leaves, is not reported
    private void NotifyEnd(ServerHandshake handshake)
    {
        _why ??= _stopped ? "the server is stopping" : null;
        if (handshake.Export is not null)
        {
            Notify(ClientChange.Disconnected, handshake);
        }
        else if ((_why ?? handshake.Refusal) is not null)
        {
            _why ??= handshake.Refusal;
            Notify(ClientChange.Rejected, handshake);
        }
    }

    private void Notify(ClientChange change, ServerHandshake handshake)
        => server.Options.Notices?.Invoke(new ClientNotice(change, _peer, handshake.Export?.Name ?? "", _why));

    private bool Negotiate(ServerHandshake handshake, ReceiveBuffer input, ref IByteChannel channel)
    {
        handshake.Begin();
        var step = HandshakeStep.Continue;
        while (true)
        {
            if (handshake.Output.Length > 0)
            {
                if (!channel.Send(handshake.Output.Span))
                {
                    return false;
                }

                handshake.Sent();
            }

            switch (step)
            {
                case HandshakeStep.Transmission:
                    return true;
                case HandshakeStep.Close:
                    return false;
                case HandshakeStep.StartTls:
                    channel = input.Channel = Secure(server.Credentials!);
                    handshake.Secured();
                    break;
                case HandshakeStep.MoreInput when !input.Fill(handshake.Wanted):
                    LogEnd(handshake, channel);
                    return false;
            }

            step = handshake.Step(input.Available, out int used);
            input.Consume(used);
        }
    }

    private IByteChannel Secure(TlsCredentials credentials)
    {
        IByteChannel channel;
        string? name;
        if (credentials.Psk is { } keys)
        {
            channel = PskChannel.Accept(_plain, keys, out name);
        }
        else
        {
            var tls = TlsChannel.Accept(_plain, credentials);
            channel = tls;
            name = tls.PeerName;
        }

        if (server.Options.Authorize is { } authorize && (name is null || !authorize(name)))
        {
            throw new IOException(TlsText.Denied(name ?? "a client without a certificate"));
        }

        _isTrusted = credentials.Psk is not null || credentials.VerifyPeer;
        return channel;
    }

    // a client that only connects and leaves is no failure
    private void LogEnd(ServerHandshake handshake, IByteChannel channel)
    {
        if (handshake.IsGreeted)
        {
            string why = channel == _plain ? "Unexpected end-of-file before all data were read" : TlsText.CannotRead;
            server.Options.Log?.Invoke(Failed + "Failed to read opts magic: " + why);
        }
    }

    private void Serve(ServerHandshake handshake, ReceiveBuffer input)
    {
        var latencies = server.LatencyLedger.Open();
        using var session = new NbdSession(
            handshake, input, server.Pool, new NbdCounters(handshake.Export!.Statistics, latencies), server.Options.Time);
        lock (_lock)
        {
            // an export that became unavailable meanwhile was not known to be this client's
            if (_stopped || handshake.Export.Unavailable is not null)
            {
                return;
            }

            _session = session;
        }

        var limit = server.Options.IdleLimit;
        var period = limit > TimeSpan.Zero ? limit / 4 : Timeout.InfiniteTimeSpan;
        using var watch = server.Options.Time.CreateTimer(_ => DropIdle(session, limit), null, period, period);
        try
        {
            session.Run();
        }
        finally
        {
            lock (_lock)
            {
                _session = null;
            }

            server.LatencyLedger.Close(latencies);
        }
    }

    private void DropIdle(NbdSession session, TimeSpan limit)
    {
        if (session.IsIdleFor(limit))
        {
            _why = $"it was silent for {limit.TotalSeconds:0} s";
            server.Options.Log?.Invoke($"a client was silent for {limit.TotalSeconds:0} s");
            _plain.Abort();
        }
    }
}
