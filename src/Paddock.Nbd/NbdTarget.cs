using System.Net;
using System.Net.Sockets;
using Paddock.Block;
using Paddock.Nbd.Client;
using Paddock.Nbd.Transport;

namespace Paddock.Nbd;

/// <summary>Where an export is, and how to reach it.</summary>
public sealed record NbdTarget
{
    /// <summary>The protocol's registered port.</summary>
    public const int DefaultPort = 10809;

    /// <summary>The key in a name that names a folder with certificates.</summary>
    public const string CertificatesKey = "tls-certificates";

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

    /// <summary>Whether a name means an NBD server, so that nothing else may take it for a file's.</summary>
    public static bool IsName(string name) => NbdName.IsOne(name);

    /// <summary>
    /// Reads a name: <c>nbd://HOST:PORT/EXPORT</c>, <c>nbd+unix:///EXPORT?socket=PATH</c>, the same with <c>nbds</c> for TLS (certificates
    /// from <c>tls-certificates=FOLDER</c>, the peer's name from <c>tls-hostname=NAME</c>), <c>nbd:HOST:PORT:exportname=NAME</c> or
    /// <c>nbd:unix:PATH:exportname=NAME</c>.
    /// </summary>
    /// <returns>Null when the name does not mean an NBD server.</returns>
    /// <exception cref="FormatException">It is not a whole name.</exception>
    /// <exception cref="IOException">Its certificates cannot be read.</exception>
    public static NbdTarget? Parse(string name) => IsName(name) ? NbdName.Parse(name) : null;

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
}
