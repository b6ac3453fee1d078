using System.Globalization;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Nbd;

namespace Paddock.Cli.Native;

/// <summary>Where `paddock discover` asks.</summary>
/// <param name="Host">Name or address; null for a socket.</param>
/// <param name="Port">TCP port.</param>
/// <param name="SocketPath">Path of a Unix socket; null for TCP.</param>
/// <param name="Protocols">What the server may speak.</param>
internal sealed record DiscoverPlace(string? Host, int Port, string? SocketPath, IReadOnlyList<DiskProtocol> Protocols)
{
    private const int NvmePort = 4420;

    /// <summary>As messages name it.</summary>
    public override string ToString()
        => SocketPath is { } path ? $"unix:{path}" : Host!.Contains(':', StringComparison.Ordinal) ? $"[{Host}]:{Port}" : $"{Host}:{Port}";

    /// <summary>Parses an address.</summary>
    /// <exception cref="ToolException">Not an address.</exception>
    public static IReadOnlyList<DiscoverPlace> Parse(string text)
    {
        if (NvmeName.Is(text))
        {
            string servers = text[(text.IndexOf("//", StringComparison.Ordinal) + 2)..].Split('/')[0];
            return [.. servers.Split(',').Select(server => OfNvme(text, server))];
        }

        if (NbdTarget.IsName(text))
        {
            return [OfNbd(text)];
        }

        if (text.StartsWith("unix:", StringComparison.Ordinal) && text.Length > 5)
        {
            return [new DiscoverPlace(null, 0, text[5..], [DiskProtocol.Nbd])];
        }

        var (name, number) = HostAndPort(text, text);
        return number is { } given ? [new DiscoverPlace(name, given, null, [DiskProtocol.Nvme, DiskProtocol.Nbd])]
            :
            [
                new DiscoverPlace(name, NvmePort, null, [DiskProtocol.Nvme]),
                new DiscoverPlace(name, NbdTarget.DefaultPort, null, [DiskProtocol.Nbd]),
            ];
    }

    private static DiscoverPlace OfNvme(string text, string server)
    {
        var (host, port) = HostAndPort(text, server);
        return new DiscoverPlace(host, port ?? NvmePort, null, [DiskProtocol.Nvme]);
    }

    private static DiscoverPlace OfNbd(string text)
    {
        try
        {
            var target = NbdTarget.Parse(text)!;
            return new DiscoverPlace(target.SocketPath is null ? target.Host : null, target.Port, target.SocketPath, [DiskProtocol.Nbd]);
        }
        catch (FormatException e)
        {
            throw new ToolException(e.Message, NativeExit.Usage);
        }
    }

    private static (string Host, int? Port) HostAndPort(string text, string server)
    {
        int colon = server.LastIndexOf(':');
        bool isBare = server.StartsWith('[') ? server.EndsWith(']') : colon < 0 || colon != server.IndexOf(':', StringComparison.Ordinal);
        string host = isBare ? server : server[..colon];
        ushort port = 0;
        bool isNumber = server.Length > 0 && ushort.TryParse(server, NumberStyles.None, CultureInfo.InvariantCulture, out port) && port > 0;
        if (isNumber)
        {
            return ("localhost", port);
        }

        bool isSound = isBare
            || (ushort.TryParse(server[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out port) && port > 0);
        return !isSound || (isBare && host.Length == 0) || host.Contains('/', StringComparison.Ordinal)
            ? throw new ToolException($"'{text}': expected HOST:PORT, HOST, unix:PATH or the name of a disk", NativeExit.Usage)
            : (host.Length == 0 ? "localhost" : host.Trim('[', ']'), isBare ? null : port);
    }
}
