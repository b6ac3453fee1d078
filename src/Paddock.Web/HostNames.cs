using System.Net;
using System.Net.Sockets;

namespace Paddock.Web;

/// <summary>
/// Which requests are meant for this server. A web page that makes a browser look up its own name as this server's address (DNS
/// rebinding) still sends that name as the host.
/// </summary>
internal static class HostNames
{
    /// <summary>Whether a host is the address of this connection, a loopback address, localhost, or a name from the settings.</summary>
    /// <param name="host">Value of the Host header.</param>
    /// <param name="local">Address at which the client reached the server; null for a Unix socket, which no web page can reach.</param>
    /// <param name="hosts">Names that are accepted besides the server's own addresses.</param>
    public static bool IsOurs(string host, IPAddress? local, IReadOnlyList<string> hosts)
    {
        if (local is null)
        {
            return true;
        }

        // with a port or without, an IPv6 address in brackets
        int colon = host.LastIndexOf(':');
        string name = colon > host.LastIndexOf(']') ? host[..colon] : host;
        string bare = name.StartsWith('[') && name.EndsWith(']') ? name[1..^1] : name;
        if (name.Equals("localhost", StringComparison.OrdinalIgnoreCase) || hosts.Contains(bare, StringComparer.OrdinalIgnoreCase))
        {
            return true;
        }

        return IPAddress.TryParse(bare, out var address) && bare.AsSpan().IndexOfAny('.', ':') >= 0
            && (IPAddress.IsLoopback(address) || Plain(address).Equals(Plain(local)));
    }

    /// <summary>Whether an Origin header names the host of the request, whatever the scheme: a proxy may add TLS.</summary>
    /// <param name="origin">Value of the Origin header; <c>null</c> is the text that sandboxed pages send.</param>
    /// <param name="host">Value of the Host header.</param>
    public static bool IsSameOrigin(string origin, string host)
    {
        int end = origin.IndexOf("://", StringComparison.Ordinal);
        return end >= 0 && origin[..end] is "http" or "https"
            && origin[(end + 3)..].Equals(host, StringComparison.OrdinalIgnoreCase);
    }

    // 127.0.0.1 reaches a socket for both families as ::ffff:127.0.0.1
    private static IPAddress Plain(IPAddress address)
        => address.IsIPv4MappedToIPv6 ? address.MapToIPv4()
            : address.AddressFamily == AddressFamily.InterNetworkV6 ? new IPAddress(address.GetAddressBytes()) : address;
}
