namespace Paddock.Nbd.Transport;

/// <summary>Texts of TLS failures, as QEMU's tools print them.</summary>
internal static class TlsText
{
    public const string IllegalParameter = "An illegal parameter has been received.";
    public const string AlertReceived = "A TLS fatal alert has been received.";
    public const string NotTerminated = "The TLS connection was non-properly terminated.";
    public const string CannotRead = "Cannot read from TLS channel: " + NotTerminated;
    public const string NoHostname = "No hostname for certificate validation";
    public const string NoCertificate = "Verify failed: No certificate was found.";
    public const string UnknownIssuer = "The certificate hasn't got a known issuer";
    public const string Revoked = "The certificate has been revoked";
    public const string Untrusted = "The certificate is not trusted";

    public static string OtherHost(string host) => $"Certificate does not match the hostname {host}";

    public static string Denied(string name) => $"TLS x509 authz check for {name} is denied";
}
