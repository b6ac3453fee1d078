using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Paddock.Images;

namespace Paddock.Cli.Native;

/// <summary>A server of a farm, as its clients reach it.</summary>
/// <param name="Host">Name or address, without brackets.</param>
/// <param name="Port">TCP port of NVMe.</param>
internal sealed record FarmServer(string Host, ushort Port)
{
    /// <summary>Port without <c>:PORT</c>: that of NVMe/TCP.</summary>
    private const ushort DefaultPort = 4420;

    /// <summary>HOST:PORT, as in a URI.</summary>
    public string Name => string.Create(CultureInfo.InvariantCulture, $"{InUri}:{Port}");

    /// <summary>
    /// Address that the server listens on: that of the host, or all of them if the host is a name, which may resolve differently there.
    /// </summary>
    public string Listen => IPAddress.TryParse(Host, out _) ? Name : string.Create(CultureInfo.InvariantCulture, $"0.0.0.0:{Port}");

    private string InUri => Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]" : Host;

    /// <summary>Parses <c>HOST[:PORT],...</c>, where HOST is a name, an IPv4 address, or an IPv6 address in brackets.</summary>
    /// <exception cref="ToolException">One is malformed, or given twice.</exception>
    public static FarmServer[] ParseAll(string text)
    {
        FarmServer[] servers = [.. text.Split(',').Select(one => Parse(one) ?? throw new ToolException(
            $"--plan '{text}': '{one}' is not HOST or HOST:PORT, such as lab1, 10.0.0.1:4420 or [fd00::1]:4420", NativeExit.Usage))];
        return servers.GroupBy(s => s.Name, StringComparer.OrdinalIgnoreCase).FirstOrDefault(g => g.Count() > 1) is { Key: var twice }
            ? throw new ToolException($"--plan '{text}': {twice} is given twice", NativeExit.Usage) : servers;
    }

    private static FarmServer? Parse(string text)
    {
        int end = text.StartsWith('[') ? text.IndexOf(']') + 1 : text.IndexOf(':') is >= 0 and var colon ? colon : text.Length;
        (string host, string rest) = (text[..end], text[end..]);
        ushort port = DefaultPort;
        bool isPort = rest.Length == 0
            || (rest[0] == ':' && ushort.TryParse(rest.AsSpan(1), NumberStyles.None, CultureInfo.InvariantCulture, out port) && port > 0);
        return !isPort ? null
            : host is ['[', .. var six, ']'] ? IPAddress.TryParse(six, out var at) && at.AddressFamily == AddressFamily.InterNetworkV6
                ? new FarmServer(six, port) : null
            : Uri.CheckHostName(host) is UriHostNameType.Dns or UriHostNameType.IPv4 ? new FarmServer(host, port) : null;
    }
}
