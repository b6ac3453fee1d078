using System.Net;
using System.Net.Sockets;
using Paddock.Block;
using Paddock.Nbd.Transport;

namespace Paddock.Nbd;

/// <summary>Where an export is, and how to reach it.</summary>
public sealed record NbdTarget
{
    /// <summary>The protocol's registered port.</summary>
    public const int DefaultPort = 10809;

    /// <summary>The server's name or address; not used with <see cref="SocketPath"/>.</summary>
    public string Host { get; init; } = "localhost";

    /// <summary>The server's TCP port.</summary>
    public int Port { get; init; } = DefaultPort;

    /// <summary>The server's Unix socket; null for TCP.</summary>
    public string? SocketPath { get; init; }

    /// <summary>The export's name; empty for the default one.</summary>
    public string ExportName { get; init; } = "";

    /// <summary>Certificates; null for no TLS.</summary>
    public TlsCredentials? Tls { get; init; }

    /// <summary>The name that the server's certificate must have; null for <see cref="Host"/>.</summary>
    public string? TlsHostname { get; init; }

    /// <summary>After the connection was lost, how long requests wait for it to come back; zero to fail them.</summary>
    public TimeSpan ReconnectDelay { get; init; }

    /// <summary>How long the first connection is tried again and again; zero for one attempt.</summary>
    public TimeSpan OpenTimeout { get; init; }

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Where it is, as messages and the tools write it.</summary>
    public override string ToString()
    {
        string export = ExportName.Length == 0 ? "" : "/" + Uri.EscapeDataString(ExportName);
        string scheme = Tls is null ? "nbd" : "nbds";
        return SocketPath is null
            ? $"{scheme}://{(Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]" : Host)}:{Port}{export}"
            : $"{scheme}+unix://{export}?socket={SocketPath}";
    }

    /// <summary>Reads a name: <c>nbd://host:port/export</c>, <c>nbd+unix:///export?socket=PATH</c>, <c>nbd:host:port:exportname=NAME</c>
    /// or <c>nbd:unix:PATH:exportname=NAME</c>.</summary>
    /// <returns>Null when it is no such name at all.</returns>
    /// <exception cref="FormatException">It is one, but not a whole one.</exception>
    public static NbdTarget? Parse(string name)
    {
        int colon = name.IndexOf(':', StringComparison.Ordinal);
        return (colon < 0 ? "" : name[..colon]) switch
        {
            "nbd" when name.StartsWith("nbd://", StringComparison.Ordinal) => ParseUri(name),
            "nbd+tcp" or "nbd+unix" => ParseUri(name),
            "nbd" => ParseOld(name[(colon + 1)..]),
            _ => null,
        };
    }

    internal Socket Connect()
    {
        Socket? socket = null;
        try
        {
            if (SocketPath is { } path)
            {
                socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                socket.Connect(UnixAddress.Of(path));
            }
            else
            {
                // one family that both sides of the loopback have is tried after the other
                socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                socket.Connect(new DnsEndPoint(Host, Port));
            }

            return socket;
        }
        catch
        {
            socket?.Dispose();
            throw;
        }
    }

    private static NbdTarget ParseUri(string name)
    {
        // a path of no length may be left out
        if (!Uri.TryCreate(name.Replace("://?", ":///?", StringComparison.Ordinal), UriKind.Absolute, out var uri))
        {
            throw new FormatException($"'{name}' is no NBD address");
        }

        string export = Uri.UnescapeDataString(uri.AbsolutePath.Length > 0 && uri.AbsolutePath[0] == '/' ? uri.AbsolutePath[1..] : uri.AbsolutePath);
        if (uri.Scheme == "nbd+unix")
        {
            const string socket = "?socket=";
            return uri.Host.Length == 0 && uri.Query.StartsWith(socket, StringComparison.Ordinal)
                ? new NbdTarget { SocketPath = Uri.UnescapeDataString(uri.Query[socket.Length..]), ExportName = export }
                : throw new FormatException("an NBD address with a Unix socket is nbd+unix:///EXPORT?socket=PATH");
        }

        return uri.Host.Length > 0 && uri.Query.Length == 0
            ? new NbdTarget { Host = uri.Host.Trim('[', ']'), Port = uri.Port < 0 ? DefaultPort : uri.Port, ExportName = export }
            : throw new FormatException("an NBD address is nbd://HOST:PORT/EXPORT");
    }

    private static NbdTarget ParseOld(string rest)
    {
        const string exportMark = ":exportname=";
        string export = "";
        int at = rest.IndexOf(exportMark, StringComparison.Ordinal);
        if (at >= 0)
        {
            (rest, export) = (rest[..at], rest[(at + exportMark.Length)..]);
        }

        if (rest.StartsWith("unix:", StringComparison.Ordinal))
        {
            return new NbdTarget { SocketPath = rest[5..], ExportName = export };
        }

        int colon = rest.LastIndexOf(':');
        return colon > 0 && int.TryParse(rest[(colon + 1)..], out int port) && port is > 0 and <= IPEndPoint.MaxPort
            ? new NbdTarget { Host = rest[..colon].Trim('[', ']'), Port = port, ExportName = export }
            : throw new FormatException("an NBD name is nbd:HOST:PORT or nbd:unix:PATH, and may end with :exportname=NAME");
    }
}
