using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Paddock.Server.Metrics;

/// <summary>What one HTTP request to the metrics port is answered with, before the page is made (RFC 9112, RFC 9110).</summary>
internal static class MetricsRequest
{
    /// <summary>Largest request head, in bytes.</summary>
    public const int MaxHead = 8192;

    /// <summary>A page is to be made.</summary>
    public const string Ok = "200 OK";

    /// <summary>
    /// The status line for a request. A web page that makes a browser look up its own name as this server's address (DNS rebinding) still
    /// sends that name as the host: only addresses of this connection, localhost and names from the configuration are answered.
    /// </summary>
    /// <param name="head">The request as far as it arrived.</param>
    /// <param name="local">The address at which the client reached the server; null for a Unix socket, which no web page can reach.</param>
    /// <param name="hosts">Names that are accepted beyond the server's own addresses.</param>
    public static string StatusOf(ReadOnlySpan<byte> head, IPAddress? local, IReadOnlyList<string> hosts)
    {
        int end = head.IndexOf("\r\n\r\n"u8);
        if (end < 0)
        {
            return head.Length >= MaxHead ? "431 Request Header Fields Too Large" : "400 Bad Request";
        }

        string[] lines = Encoding.Latin1.GetString(head[..end]).Split("\r\n");
        string[] start = lines[0].Split(' ');
        if (start[0] is not ("GET" or "HEAD"))
        {
            return "405 Method Not Allowed";
        }

        if (start.Length != 3 || !start[2].StartsWith("HTTP/1.", StringComparison.Ordinal))
        {
            return "400 Bad Request";
        }

        // browsers always say which host they mean; a simple script need not
        string[] named = [.. lines.Skip(1).Where(static l => l.StartsWith("host:", StringComparison.OrdinalIgnoreCase))
            .Select(static l => l[5..].Trim())];
        return named.Length > 1 ? "400 Bad Request"
            : named is [var host] && local is not null && !IsOurs(host, local, hosts) ? "421 Misdirected Request"
            : start[1].Split('?')[0] == "/metrics" ? Ok : "404 Not Found";
    }

    /// <summary>Whether the request asks for the head of the answer alone.</summary>
    public static bool IsHead(ReadOnlySpan<byte> head) => head.StartsWith("HEAD "u8);

    private static bool IsOurs(string host, IPAddress local, IReadOnlyList<string> hosts)
    {
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

    // 127.0.0.1 reaches a socket for both families as ::ffff:127.0.0.1
    private static IPAddress Plain(IPAddress address)
        => address.IsIPv4MappedToIPv6 ? address.MapToIPv4()
            : address.AddressFamily == AddressFamily.InterNetworkV6 ? new IPAddress(address.GetAddressBytes()) : address;
}
