using System.Security.Cryptography.X509Certificates;
using Org.BouncyCastle.Math;
using Org.BouncyCastle.Security;
using Org.BouncyCastle.X509;

namespace Paddock.Nbd.Transport;

/// <summary>The revocation lists of a folder (<c>ca-crl.pem</c>), which .NET does not take from a file.</summary>
internal sealed class RevokedCertificates
{
    private const long MaxBytes = 16 << 20;

    private readonly List<X509Crl> _lists;

    private RevokedCertificates(List<X509Crl> lists) => _lists = lists;

    /// <summary>Reads a file, and verifies that each list is signed by a trusted authority.</summary>
    /// <param name="path">The file.</param>
    /// <param name="authorities">The authorities.</param>
    /// <exception cref="IOException">The file is invalid, or a signature is.</exception>
    public static RevokedCertificates Read(string path, X509Certificate2Collection? authorities)
    {
        try
        {
            if (new FileInfo(path).Length > MaxBytes)
            {
                throw new IOException($"'{path}' is larger than {MaxBytes} bytes, the limit for revocation lists");
            }

            var lists = new X509CrlParser().ReadCrls(File.ReadAllBytes(path)).ToList();
            var parser = new X509CertificateParser();
            var trusted = (authorities ?? []).Select(a => parser.ReadCertificate(a.RawData)).ToList();
            return lists.Count > 0 && lists.TrueForAll(l => trusted.Exists(a => IsSignedBy(l, a))) ? new RevokedCertificates(lists)
                : throw new IOException($"Unable to import CRL '{path}': it has no list that an authority in ca-cert.pem signed");
        }
        catch (Exception e) when (e is GeneralSecurityException or ArgumentException or InvalidOperationException)
        {
            throw new IOException($"Unable to import CRL '{path}': {e.Message}", e);
        }
    }

    // only the issuer signs a list: another authority's key may be of a type that cannot even be tried
    private static bool IsSignedBy(X509Crl list, Org.BouncyCastle.X509.X509Certificate authority)
        => list.IssuerDN.Equivalent(authority.SubjectDN, inOrder: true) && list.IsSignatureValid(authority.GetPublicKey());

    /// <summary>The reason to reject a chain; null if no list names any of its certificates.</summary>
    public string? Reject(X509Chain chain)
    {
        foreach (var element in chain.ChainElements)
        {
            var certificate = element.Certificate;
            var serial = new BigInteger(1, certificate.SerialNumberBytes.ToArray());
            foreach (var list in _lists)
            {
                if (!list.IssuerDN.GetEncoded().AsSpan().SequenceEqual(certificate.IssuerName.RawData))
                {
                    continue;
                }

                if (list.GetRevokedCertificate(serial) is not null)
                {
                    return TlsText.Revoked;
                }

                // an outdated list may lack the certificate
                if (list.NextUpdate is { } next && next < TimeProvider.System.GetUtcNow().UtcDateTime)
                {
                    return TlsText.Untrusted;
                }
            }
        }

        return null;
    }
}
