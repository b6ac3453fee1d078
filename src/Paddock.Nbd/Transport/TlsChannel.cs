using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Paddock.Nbd.Transport;

/// <summary>A channel over TLS.</summary>
internal sealed class TlsChannel : IByteChannel
{
    private readonly SocketChannel _plain;
    private readonly SslStream _stream;

    private TlsChannel(SocketChannel plain, SslStream stream)
    {
        _plain = plain;
        _stream = stream;
    }

    /// <summary>Distinguished name in the peer's certificate; null if it presented none.</summary>
    public string? PeerName
    {
        get
        {
            if (_stream.RemoteCertificate is not { } certificate)
            {
                return null;
            }

            using var whole = X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
            return DistinguishedName.Of(whole.SubjectName);
        }
    }

    /// <summary>Performs the server's side of a TLS handshake.</summary>
    /// <exception cref="IOException">The peer failed it.</exception>
    public static TlsChannel Accept(SocketChannel plain, TlsCredentials credentials)
        => Open(plain, (stream, verdict) => stream.AuthenticateAsServer(credentials.ForServer(verdict)));

    /// <summary>Performs the client's side of a TLS handshake.</summary>
    /// <exception cref="IOException">The peer failed it.</exception>
    public static TlsChannel Connect(SocketChannel plain, TlsCredentials credentials, string? host)
        => Open(plain, (stream, verdict) => stream.AuthenticateAsClient(credentials.ForClient(host, verdict)));

    /// <inheritdoc/>
    public bool IsPeerGone => _plain.IsPeerGone;

    /// <inheritdoc/>
    public int Receive(Span<byte> into)
    {
        try
        {
            return _stream.Read(into);
        }
        catch (Exception e) when (IsEnd(e))
        {
            return 0;
        }
    }

    /// <inheritdoc/>
    public bool Send(ReadOnlySpan<byte> data)
    {
        try
        {
            _stream.Write(data);
            return true;
        }
        catch (Exception e) when (IsEnd(e))
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
            _stream.ShutdownAsync().GetAwaiter().GetResult();
        }
        catch (Exception e) when (IsEnd(e))
        {
            // the peer has disconnected
        }

        _stream.Dispose();
        _plain.Dispose();
    }

    private static TlsChannel Open(SocketChannel plain, Action<SslStream, TlsVerdict> authenticate)
    {
        var verdict = new TlsVerdict();
        var stream = new SslStream(new System.Net.Sockets.NetworkStream(plain.Socket, ownsSocket: false));
        try
        {
            authenticate(stream, verdict);
        }
        catch (Exception e) when (IsEnd(e))
        {
            stream.Dispose();
            throw new IOException(Reason(verdict, stream.IsServer, e), e);
        }

        if (verdict.Why is { } reason)
        {
            if (!stream.IsServer)
            {
                Leave(plain);
            }

            stream.Dispose();
            throw new IOException(reason);
        }

        return new TlsChannel(plain, stream);
    }

    // unread session tickets would turn the end of the connection into a reset, and the server might lose the client's last messages
    private static void Leave(SocketChannel plain)
    {
        plain.Finish();
        Span<byte> rest = stackalloc byte[4096];
        while (plain.Receive(rest) > 0)
        {
        }
    }

    // a client that leaves right behind its part of the handshake has completed it: the server only cannot send its session ticket
    private static string Reason(TlsVerdict verdict, bool isServer, Exception e)
        => verdict.Why ?? (e is not IOException ? "TLS handshake failed: " + (e.InnerException ?? e).Message
            : isServer && verdict.IsReached ? "Failed to read opts magic: " + TlsText.CannotRead
            : "TLS handshake failed: " + TlsText.NotTerminated);

    private static bool IsEnd(Exception e)
        => e is IOException or AuthenticationException or ObjectDisposedException or InvalidOperationException or NotSupportedException;
}
