using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Paddock.Block;

namespace Paddock.Nbd.Transport;

/// <summary>Certificate of this side and trusted authorities, or pre-shared keys.</summary>
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
        => FromFolder(folder, isServer, verifyPeer, othersMayRead: false);

    /// <summary>Reads a folder; on request also a private key that other users can read, as QEMU does.</summary>
    internal static TlsCredentials FromFolder(string folder, bool isServer, bool verifyPeer, bool othersMayRead)
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

            return new TlsCredentials
            {
                Own = !isServer && !File.Exists(certificate) ? null
                    : ReadOwn(certificate, SecretFile.ReadText(key, othersMayRead), isServer && verifyPeer ? roots : null),
                Authorities = roots,
                VerifyPeer = verifyPeer,
                Revoked = File.Exists(revoked) ? RevokedCertificates.Read(revoked, roots) : null,
            };
        }
        catch (CryptographicException e)
        {
            throw new IOException($"the certificates in '{folder}' cannot be read: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Certificate?.Dispose();

    /// <summary>Pre-shared keys, used instead of certificates; null for certificates.</summary>
    internal PskKeys? Psk { get; init; }

    /// <summary>Whether this side can prove who it is, as a server must.</summary>
    internal bool HasIdentity => Psk is not null || Certificate is not null;

    /// <summary>Certificate of this side with the intermediate certificates.</summary>
    private SslStreamCertificateContext? Own { get; init; }

    private RevokedCertificates? Revoked { get; init; }

    /// <summary>Reads a folder with pre-shared keys in the file <c>keys.psk</c>.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="username">Name that a client presents; null for a server.</param>
    /// <exception cref="IOException">The file is missing or invalid, or lacks the name.</exception>
    internal static TlsCredentials FromKeys(string folder, string? username) => new() { Psk = PskKeys.Read(folder, username) };

    // the peer's certificate is judged after the handshake, as GnuTLS does it: the other side then sees a connection that ends
    internal SslServerAuthenticationOptions ForServer(TlsVerdict verdict) => new()
    {
        ServerCertificateContext = Own,
        ClientCertificateRequired = VerifyPeer,
        CertificateChainPolicy = Policy(),
        RemoteCertificateValidationCallback = (_, certificate, chain, errors) => !VerifyPeer
            || verdict.Record(certificate, chain, errors & ~SslPolicyErrors.RemoteCertificateNameMismatch, Revoked, host: null),
    };

    internal SslClientAuthenticationOptions ForClient(string? host, TlsVerdict verdict)
    {
        var options = new SslClientAuthenticationOptions
        {
            TargetHost = host ?? "",
            CertificateChainPolicy = Policy(),
            RemoteCertificateValidationCallback = (_, certificate, chain, errors)
                => !VerifyPeer || verdict.Record(certificate, chain, errors, Revoked, host ?? ""),
        };
        if (Own is { } own && own.IntermediateCertificates.Count == 0)
        {
            // a server that names the authorities it trusts is shown no certificate of another one
            options.LocalCertificateSelectionCallback = (_, _, _, remote, accepted)
                => (accepted.Length > 0 ? accepted.Contains(Certificate!.Issuer) : remote is not null) ? Certificate! : null!;
        }
        else
        {
            options.ClientCertificateContext = Own;
        }

        return options;
    }

    // offline: missing intermediate certificates are not downloaded either
    private static SslStreamCertificateContext ReadOwn(string certificate, string keyText, X509Certificate2Collection? accepted)
    {
        var chain = new X509Certificate2Collection();
        chain.ImportFromPemFile(certificate);
        var own = X509Certificate2.CreateFromPem(File.ReadAllText(certificate), keyText);
        var trust = accepted is null ? null : SslCertificateTrust.CreateForX509Collection(accepted, sendTrustInHandshake: true);
        return SslStreamCertificateContext.Create(own, [.. chain.Skip(1)], offline: true, trust);
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
