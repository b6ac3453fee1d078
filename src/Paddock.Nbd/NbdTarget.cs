using System.Net;
using System.Net.Sockets;
using Paddock.Block;
using Paddock.Nbd.Client;
using Paddock.Nbd.Transport;

namespace Paddock.Nbd;

/// <summary>Address of an export, and how to connect to it.</summary>
public sealed record NbdTarget
{
    /// <summary>Registered port of the protocol.</summary>
    public const int DefaultPort = 10809;

    /// <summary>URI parameter for the folder with the certificates.</summary>
    public const string CertificatesKey = "tls-certificates";

    /// <summary>Host name or address of the server; unused with <see cref="SocketPath"/>.</summary>
    public string Host { get; init; } = "localhost";

    /// <summary>TCP port of the server.</summary>
    public int Port { get; init; } = DefaultPort;

    /// <summary>Path of the server's Unix socket; null for TCP.</summary>
    public string? SocketPath { get; init; }

    /// <summary>Export name; empty for the default export.</summary>
    public string ExportName { get; init; } = "";

    /// <summary>TLS credentials; null for no TLS.</summary>
    public TlsCredentials? Tls { get; init; }

    /// <summary>Expected name in the server's certificate; null for <see cref="Host"/>.</summary>
    public string? TlsHostname { get; init; }

    /// <summary>Context for block status; its flags 1 and 2 are interpreted as those of base:allocation. Null for that context.</summary>
    public string? StatusContext { get; init; }

    /// <summary>How long requests wait for a reconnect after the connection is lost; zero to fail them.</summary>
    public TimeSpan ReconnectDelay { get; init; }

    /// <summary>How long the first connection is retried; zero for one attempt.</summary>
    public TimeSpan OpenTimeout { get; init; }

    /// <summary>Clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Whether the name itself requests TLS. QEMU's names do not: its credentials are an option.</summary>
    internal bool HasSecureName { get; init; }

    /// <summary>Address as messages and the tools print it.</summary>
    public override string ToString()
    {
        string export = ExportName.Length == 0 ? "" : "/" + Uri.EscapeDataString(ExportName);
        string scheme = HasSecureName ? "nbds" : "nbd";
        return SocketPath is null
            ? $"{scheme}://{(Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]" : Host)}:{Port}{export}"
            : $"{scheme}+unix://{export}?socket={SocketPath}";
    }

    /// <summary>Whether a name denotes an NBD export and not a file.</summary>
    public static bool IsName(string name) => NbdName.IsOne(name);

    /// <summary>
    /// Reads a name: <c>nbd://HOST:PORT/EXPORT</c>, <c>nbd+unix:///EXPORT?socket=PATH</c>, the same with <c>nbds</c> for TLS (certificates
    /// from <c>tls-certificates=FOLDER</c>, the peer's name from <c>tls-hostname=NAME</c>), <c>nbd:HOST:PORT:exportname=NAME</c> or
    /// <c>nbd:unix:PATH:exportname=NAME</c>.
    /// </summary>
    /// <returns>The address; null if the name does not denote an NBD export.</returns>
    /// <exception cref="FormatException">The name is incomplete or invalid.</exception>
    /// <exception cref="IOException">The certificates cannot be read.</exception>
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
                // the address families of localhost are tried one after the other
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
