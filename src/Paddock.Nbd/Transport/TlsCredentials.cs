using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Paddock.Nbd.Transport;

/// <summary>Who this side is, and whom it trusts.</summary>
public sealed class TlsCredentials : IDisposable
{
    /// <summary>This side's certificate with its key; null where a client shows none.</summary>
    public X509Certificate2? Certificate { get; init; }

    /// <summary>The authorities that the peer's certificate must come from; null to trust those of the system.</summary>
    public X509Certificate2Collection? Authorities { get; init; }

    /// <summary>Whether the peer must show a certificate that is good. A client asks for it always unless this is false.</summary>
    public bool VerifyPeer { get; init; } = true;

    /// <summary>
    /// Reads a folder with the names that QEMU gives such files: <c>ca-cert.pem</c>, <c>server-cert.pem</c>, <c>server-key.pem</c>,
    /// <c>client-cert.pem</c>, <c>client-key.pem</c>.
    /// </summary>
    /// <exception cref="IOException">A file is missing, or holds something else.</exception>
    public static TlsCredentials FromFolder(string folder, bool isServer, bool verifyPeer = true)
    {
        string who = isServer ? "server" : "client";
        string certificate = Path.Combine(folder, who + "-cert.pem"), key = Path.Combine(folder, who + "-key.pem");
        string authorities = Path.Combine(folder, "ca-cert.pem");
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
                Certificate = isServer || File.Exists(certificate) ? X509Certificate2.CreateFromPemFile(certificate, key) : null,
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

    internal SslServerAuthenticationOptions ForServer() => new()
    {
        ServerCertificate = Certificate,
        ClientCertificateRequired = VerifyPeer,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        RemoteCertificateValidationCallback = (_, peer, _, errors) => !VerifyPeer || IsTrusted(peer, errors, nameMatters: false),
    };

    internal SslClientAuthenticationOptions ForClient(string host) => new()
    {
        TargetHost = host,
        ClientCertificates = Certificate is null ? null : [Certificate],
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        RemoteCertificateValidationCallback = (_, peer, _, errors) => !VerifyPeer || IsTrusted(peer, errors, nameMatters: true),
    };

    private bool IsTrusted(X509Certificate? peer, SslPolicyErrors errors, bool nameMatters)
    {
        if (peer is not X509Certificate2 certificate || (nameMatters && (errors & SslPolicyErrors.RemoteCertificateNameMismatch) != 0))
        {
            return false;
        }

        if (Authorities is null)
        {
            return errors == SslPolicyErrors.None;
        }

        using var chain = new X509Chain();
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(Authorities);

        // who may be a server and who a client stands in the certificate
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(nameMatters ? "1.3.6.1.5.5.7.3.1" : "1.3.6.1.5.5.7.3.2"));
        return chain.Build(certificate);
    }
}
