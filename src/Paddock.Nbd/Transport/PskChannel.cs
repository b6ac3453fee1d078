using Org.BouncyCastle.Security;
using Org.BouncyCastle.Tls;
using Org.BouncyCastle.Tls.Crypto.Impl.BC;

namespace Paddock.Nbd.Transport;

/// <summary>A channel over TLS with a pre-shared key, which .NET's own TLS does not offer.</summary>
internal sealed class PskChannel : IByteChannel
{
    private readonly SocketChannel _plain;
    private readonly TlsProtocol _protocol;

    private PskChannel(SocketChannel plain, TlsProtocol protocol)
    {
        _plain = plain;
        _protocol = protocol;
    }

    /// <inheritdoc/>
    public bool IsPeerGone => _plain.IsPeerGone;

    /// <summary>Performs the client's side of a TLS handshake.</summary>
    /// <exception cref="IOException">The peer failed it.</exception>
    public static PskChannel Connect(SocketChannel plain, PskKeys keys)
    {
        var stream = new PskStream(plain);
        var protocol = new TlsClientProtocol(stream);
        Guard(() => protocol.Connect(new PskClient(new BcTlsCrypto(new SecureRandom()), keys, stream)));
        return new PskChannel(plain, protocol);
    }

    /// <summary>Performs the server's side of a TLS handshake.</summary>
    /// <param name="plain">The connection.</param>
    /// <param name="keys">The keys.</param>
    /// <param name="username">Name of the client.</param>
    /// <exception cref="IOException">The peer failed it.</exception>
    public static PskChannel Accept(SocketChannel plain, PskKeys keys, out string? username)
    {
        var stream = new PskStream(plain);
        var protocol = new TlsServerProtocol(stream);
        var server = new PskServer(new BcTlsCrypto(new SecureRandom()), keys, stream);
        Guard(() => protocol.Accept(server));
        username = server.Username;
        return new PskChannel(plain, protocol);
    }

    /// <inheritdoc/>
    public int Receive(Span<byte> into)
    {
        try
        {
            return Math.Max(0, _protocol.ReadApplicationData(into));
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            return 0;
        }
    }

    /// <inheritdoc/>
    public bool Send(ReadOnlySpan<byte> data)
    {
        try
        {
            _protocol.WriteApplicationData(data);
            return true;
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            return false;
        }
    }

    /// <inheritdoc/>
    public void StopReceiving() => _plain.StopReceiving();

    /// <inheritdoc/>
    public void Abort() => _plain.Abort();

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            // announces an orderly shutdown
            _protocol.Close();
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            // the peer has disconnected
        }

        _plain.Dispose();
    }

    private static void Guard(Action handshake)
    {
        try
        {
            handshake();
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or ArgumentException)
        {
            throw new IOException("TLS handshake failed: " + Reason(e), e);
        }
    }

    private static string Reason(Exception e) => e switch
    {
        TlsFatalAlert { AlertDescription: AlertDescription.illegal_parameter or AlertDescription.decrypt_error
            or AlertDescription.bad_record_mac } => TlsText.IllegalParameter,
        TlsFatalAlertReceived => TlsText.AlertReceived,
        _ => TlsText.NotTerminated,
    };
}
