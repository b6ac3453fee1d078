using System.Security.Cryptography;
using System.Text;
using Org.BouncyCastle.Tls;
using Org.BouncyCastle.Tls.Crypto;

namespace Paddock.Nbd.Transport;

/// <summary>Suites and versions for pre-shared keys: TLS 1.3 with an external key, and the PSK suites of TLS 1.2.</summary>
internal static class PskSuites
{
    // the keys of a file are for SHA-256 in TLS 1.3 (RFC 8446 4.2.11), so that only suites with this hash apply
    public static readonly int[] Ids =
    [
        CipherSuite.TLS_AES_128_GCM_SHA256,
        CipherSuite.TLS_CHACHA20_POLY1305_SHA256,
        CipherSuite.TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256,
        CipherSuite.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite.TLS_DHE_PSK_WITH_AES_256_GCM_SHA384,
        CipherSuite.TLS_DHE_PSK_WITH_AES_128_GCM_SHA256,
        CipherSuite.TLS_PSK_WITH_AES_256_GCM_SHA384,
        CipherSuite.TLS_PSK_WITH_AES_128_GCM_SHA256,
    ];

    public static readonly ProtocolVersion[] Versions = ProtocolVersion.TLSv13.DownTo(ProtocolVersion.TLSv12);

    public static TlsPskExternal External(TlsCrypto crypto, byte[] identity, byte[] key)
        => new BasicTlsPskExternal(identity, crypto.CreateSecret([.. key]), PrfAlgorithm.tls13_hkdf_sha256);
}

/// <summary>The client's side of a handshake with a pre-shared key.</summary>
internal sealed class PskClient(TlsCrypto crypto, PskKeys keys, PskStream stream)
    : PskTlsClient(crypto, new BasicTlsPskIdentity(Encoding.UTF8.GetBytes(keys.Username), [.. keys.Key]))
{
    public override IList<TlsPskExternal> GetExternalPsks()
        => [PskSuites.External(Crypto, Encoding.UTF8.GetBytes(keys.Username), keys.Key)];

    // no fallback to certificates
    public override TlsAuthentication GetAuthentication() => throw new TlsFatalAlert(AlertDescription.internal_error);

    public override void NotifyAlertRaised(short alertLevel, short alertDescription, string message, Exception cause)
        => stream.IsMuted |= alertLevel == AlertLevel.fatal;

    protected override ProtocolVersion[] GetSupportedVersions() => PskSuites.Versions;

    protected override int[] GetSupportedCipherSuites() => TlsUtilities.GetSupportedCipherSuites(Crypto, PskSuites.Ids);
}

/// <summary>The server's side of a handshake with a pre-shared key.</summary>
internal sealed class PskServer(TlsCrypto crypto, PskKeys keys, PskStream stream) : PskTlsServer(crypto, new Manager(keys))
{
    /// <summary>Name of the client whose key was used; set once the client has presented it.</summary>
    public string? Username { get; private set; }

    public override TlsPskExternal GetExternalPsk(IList<PskIdentity> identities)
    {
        foreach (var identity in identities)
        {
            if (keys.Find(identity.Identity) is { } key)
            {
                Username = Encoding.UTF8.GetString(identity.Identity);
                return PskSuites.External(Crypto, identity.Identity, key);
            }
        }

        // without a key the handshake would continue with certificates, which this server lacks
        throw new TlsFatalAlert(AlertDescription.illegal_parameter);
    }

    public override void NotifyHandshakeComplete()
    {
        base.NotifyHandshakeComplete();
        Username ??= m_context.SecurityParameters.PskIdentity is { } identity ? Encoding.UTF8.GetString(identity) : null;
    }

    public override void NotifyAlertRaised(short alertLevel, short alertDescription, string message, Exception cause)
        => stream.IsMuted |= alertLevel == AlertLevel.fatal;

    protected override ProtocolVersion[] GetSupportedVersions() => PskSuites.Versions;

    protected override int[] GetSupportedCipherSuites() => TlsUtilities.GetSupportedCipherSuites(Crypto, PskSuites.Ids);

    private sealed class Manager(PskKeys keys) : TlsPskIdentityManager
    {
        public byte[]? GetHint() => null;

        // an unknown name gets a random key and fails like a wrong key, so that names cannot be probed
        public byte[] GetPsk(byte[] identity)
            => keys.Find(identity) is { } key ? [.. key] : RandomNumberGenerator.GetBytes(SHA256.HashSizeInBytes);
    }
}
