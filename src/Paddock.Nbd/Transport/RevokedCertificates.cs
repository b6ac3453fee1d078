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
            var keys = (authorities ?? []).Select(a => parser.ReadCertificate(a.RawData).GetPublicKey()).ToList();
            return lists.Count > 0 && lists.TrueForAll(l => keys.Exists(l.IsSignatureValid)) ? new RevokedCertificates(lists)
                : throw new IOException($"Unable to import CRL '{path}': it has no list that an authority in ca-cert.pem signed");
        }
        catch (Exception e) when (e is GeneralSecurityException or ArgumentException or InvalidOperationException)
        {
            throw new IOException($"Unable to import CRL '{path}': {e.Message}", e);
        }
    }

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
