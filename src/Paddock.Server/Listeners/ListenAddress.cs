using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Paddock.Images;

namespace Paddock.Server.Listeners;

/// <summary>Parses addresses to listen on.</summary>
internal static class ListenAddress
{
    /// <summary>What the address of a Unix socket begins with.</summary>
    public const string UnixPrefix = "unix:";

    /// <summary>Path of the Unix socket; null if the address is not one.</summary>
    public static string? SocketOf(string text) => text.StartsWith(UnixPrefix, StringComparison.Ordinal) ? text[UnixPrefix.Length..] : null;

    /// <summary>
    /// Parses <c>HOST:PORT</c>, where HOST is a name, an IPv4 address, an IPv6 address in brackets, or <c>*</c> for all addresses;
    /// <c>:PORT</c> and <c>PORT</c> are on the loopback address.
    /// </summary>
    /// <param name="text">The address.</param>
    /// <param name="flag">The option or key, for messages.</param>
    /// <param name="allowUnix">Whether <c>unix:PATH</c> is accepted as well, for messages.</param>
    /// <exception cref="ToolException">Not an address, or the name has none; the message has the option and the value.</exception>
    public static IPEndPoint Parse(string text, string flag, bool allowUnix)
    {
        int colon = text.LastIndexOf(':');
        string host = colon < 0 ? "" : text[..colon], port = text[(colon + 1)..];
        if (!ushort.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out ushort number))
        {
            throw Misuse(
                text, flag, port.Length > 0 && port.All(char.IsAsciiDigit) ? $"port {port} is out of range: expected 0 to {ushort.MaxValue}"
                : $"expected HOST:PORT{(allowUnix ? ", PORT or unix:PATH" : " or PORT")}, such as 127.0.0.1:4420 or [::1]:4420");
        }

        if (host is ['[', .. var inner, ']'] && IPAddress.TryParse(inner, out var six))
        {
            return new IPEndPoint(six, number);
        }

        return host.Contains(':', StringComparison.Ordinal)
            ? throw Misuse(text, flag, $"write an IPv6 address in brackets: [{host}]:{port}")
            : host is "" or "localhost" ? new IPEndPoint(IPAddress.Loopback, number)
            : host == "*" ? new IPEndPoint(IPAddress.Any, number)
            : new IPEndPoint(IPAddress.TryParse(host, out var four) ? four : Resolve(host, text, flag), number);
    }

    /// <summary>Why listening failed, and what to do.</summary>
    public static string Explain(Exception failure) => failure switch
    {
        SocketException { SocketErrorCode: SocketError.AddressAlreadyInUse } => "another process listens there; port 0 is any free one",
        SocketException { SocketErrorCode: SocketError.AddressNotAvailable } => "this machine does not have the address",
        SocketException { SocketErrorCode: SocketError.AccessDenied } => "permission denied; ports below 1024 are for root",
        _ => failure.Message,
    };

    private static IPAddress Resolve(string host, string text, string flag)
    {
        try
        {
            var all = Dns.GetHostAddresses(host);
            return Array.Find(all, static a => a.AddressFamily == AddressFamily.InterNetwork) ?? all[0];
        }
        catch (Exception e) when (e is SocketException or ArgumentException or IndexOutOfRangeException)
        {
            throw new ToolException($"{flag} {text}: no address is known for '{host}': {e.Message}");
        }
    }

    private static ToolException Misuse(string text, string flag, string message) => new($"{flag} {text}: {message}", NativeExit.Usage);
}
