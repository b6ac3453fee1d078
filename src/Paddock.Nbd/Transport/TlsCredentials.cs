using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Paddock.Block;

namespace Paddock.Nbd.Transport;

/// <summary>Certificate of this side and trusted authorities.</summary>
public sealed class TlsCredentials : IDisposable
{
    /// <summary>Certificate and key of this side; null for a client without one.</summary>
    public X509Certificate2? Certificate => Own?.TargetCertificate;

    /// <summary>Authorities trusted for the peer's certificate; null for those of the system.</summary>
    public X509Certificate2Collection? Authorities { get; init; }

    /// <summary>Whether the peer must present a valid certificate. A client always requires one unless this is false.</summary>
    public bool VerifyPeer { get; init; } = true;

    /// <summary>
    /// Reads a folder with QEMU's file names: <c>ca-cert.pem</c>, <c>server-cert.pem</c>, <c>server-key.pem</c>,
    /// <c>client-cert.pem</c>, <c>client-key.pem</c>.
    /// </summary>
    /// <exception cref="IOException">A file is missing or invalid.</exception>
    public static TlsCredentials FromFolder(string folder, bool isServer, bool verifyPeer = true)
    {
        string who = isServer ? "server" : "client";
        string certificate = Path.Combine(folder, who + "-cert.pem"), key = Path.Combine(folder, who + "-key.pem");
        string authorities = Path.Combine(folder, "ca-cert.pem"), revoked = Path.Combine(folder, "ca-crl.pem");
        try
        {
            X509Certificate2Collection? roots = null;
            if (File.Exists(authorities))
            {
                roots = [];
                roots.ImportFromPemFile(authorities);
            }
            else if (isServer && verifyPeer)
            {
                throw new IOException($"'{authorities}' is missing: clients cannot be verified without it");
            }

            if (File.Exists(revoked))
            {
                throw new IOException(
                    $"'{revoked}': revocation lists are not supported, and nothing else would keep revoked certificates out");
            }

            return new TlsCredentials
            {
                Own = isServer || File.Exists(certificate) ? ReadOwn(certificate, key) : null,
                Authorities = roots,
                VerifyPeer = verifyPeer,
            };
        }
        catch (CryptographicException e)
        {
            throw new IOException($"the certificates in '{folder}' cannot be read: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Certificate?.Dispose();

    /// <summary>Certificate of this side with the intermediate certificates.</summary>
    private SslStreamCertificateContext? Own { get; init; }

    internal SslServerAuthenticationOptions ForServer(TlsVerdict verdict) => new()
    {
        ServerCertificateContext = Own,
        ClientCertificateRequired = VerifyPeer,
        CertificateChainPolicy = Policy(),
        RemoteCertificateValidationCallback = (_, _, _, errors)
            => !VerifyPeer || verdict.Accepts(errors & ~SslPolicyErrors.RemoteCertificateNameMismatch),
    };

    internal SslClientAuthenticationOptions ForClient(string host, TlsVerdict verdict) => new()
    {
        TargetHost = host,
        ClientCertificateContext = Own,
        CertificateChainPolicy = Policy(),
        RemoteCertificateValidationCallback = (_, _, _, errors) => !VerifyPeer || verdict.Accepts(errors),
    };

    // offline: missing intermediate certificates are not downloaded either
    private static SslStreamCertificateContext ReadOwn(string certificate, string key)
    {
        var chain = new X509Certificate2Collection();
        chain.ImportFromPemFile(certificate);
        var own = X509Certificate2.CreateFromPem(File.ReadAllText(certificate), SecretFile.ReadText(key));
        return SslStreamCertificateContext.Create(own, [.. chain.Skip(1)], offline: true);
    }

    // for the chain of the peer's certificate. An unauthenticated peer must not make this side connect to addresses of its choice, so
    // nothing is downloaded: no issuer's certificate (AIA), no revocation list, no OCSP response. The certificate itself states whether it
    // is for a server or a client; the runtime checks that
    private X509ChainPolicy Policy()
    {
        var policy = new X509ChainPolicy { RevocationMode = X509RevocationMode.NoCheck, DisableCertificateDownloads = true };
        if (Authorities is not null)
        {
            policy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            policy.CustomTrustStore.AddRange(Authorities);
        }

        return policy;
    }
}

/// <summary>Reason why the peer's certificate was rejected in a handshake.</summary>
internal sealed class TlsVerdict
{
    /// <summary>The reason; null if the certificate was accepted.</summary>
    public string? Why { get; private set; }

    /// <summary>Accepts a certificate without errors; otherwise records the reason.</summary>
    public bool Accepts(SslPolicyErrors errors)
    {
        Why = errors == SslPolicyErrors.None ? null
            : (errors & SslPolicyErrors.RemoteCertificateNotAvailable) != 0 ? "the peer shows no certificate"
            : (errors & SslPolicyErrors.RemoteCertificateNameMismatch) != 0 ? "the peer's certificate is for another name"
            : "the peer's certificate is not signed by a trusted authority, not valid now, or not meant for this use";
        return Why is null;
    }
}
