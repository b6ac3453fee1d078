using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Paddock.Nbd.Transport;

/// <summary>Reason why the peer's certificate is rejected after a handshake.</summary>
internal sealed class TlsVerdict
{
    /// <summary>The reason; null if the certificate is accepted.</summary>
    public string? Why { get; private set; }

    /// <summary>Whether the peer has presented its certificate, or none.</summary>
    public bool IsReached { get; private set; }

    /// <summary>Records the reason, and lets the handshake complete.</summary>
    /// <param name="certificate">The peer's certificate.</param>
    /// <param name="chain">Its chain.</param>
    /// <param name="errors">Errors found by the runtime.</param>
    /// <param name="revoked">Revoked certificates, if a list is set.</param>
    /// <param name="host">Name that a server's certificate must have, empty if unknown; null for a client's certificate.</param>
    /// <returns>True: <see cref="Why"/> has the result.</returns>
    public bool Record(
        X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors, RevokedCertificates? revoked, string? host)
    {
        IsReached = true;
        Why = certificate is null || (errors & SslPolicyErrors.RemoteCertificateNotAvailable) != 0 ? TlsText.NoCertificate
            : (errors & SslPolicyErrors.RemoteCertificateChainErrors) != 0 ? ChainError(chain)
            : revoked is not null && chain is not null && revoked.Reject(chain) is { } reason ? reason
            : host is "" ? TlsText.NoHostname
            : (errors & SslPolicyErrors.RemoteCertificateNameMismatch) != 0 ? TlsText.OtherHost(host ?? "") : null;
        return true;
    }

    private static string ChainError(X509Chain? chain)
    {
        const X509ChainStatusFlags unknown = X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.PartialChain;
        return chain?.ChainStatus.Any(s => (s.Status & unknown) != 0) == true ? TlsText.UnknownIssuer : TlsText.Untrusted;
    }
}
