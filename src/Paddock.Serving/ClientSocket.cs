using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Paddock.Serving;

/// <summary>Socket options that every server sets for its clients.</summary>
internal static class ClientSocket
{
    // detects the loss of an idle client's machine within two minutes
    private const int ProbeAfterSeconds = 60, ProbeEverySeconds = 10, Probes = 6;

    /// <summary>Enables keep-alive and disables the Nagle algorithm; TCP only.</summary>
    public static void Prepare(Socket socket)
    {
        if (socket.ProtocolType != ProtocolType.Tcp)
        {
            return;
        }

        socket.NoDelay = true;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, ProbeAfterSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, ProbeEverySeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, Probes);
    }

    /// <summary>Address of a client, or for a Unix socket its process and user, such as <c>pid 123 uid 1000</c>.</summary>
    public static string PeerOf(Socket socket)
    {
        try
        {
            return socket.AddressFamily == AddressFamily.Unix ? CredentialsOf(socket) : socket.RemoteEndPoint?.ToString() ?? "";
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // the client has disconnected
            return "";
        }
    }

    // struct ucred: process, user, group
    private static string CredentialsOf(Socket socket)
    {
        const int socketLevel = 1, peerCredentials = 17;
        if (!OperatingSystem.IsLinux())
        {
            return "unix";
        }

        Span<byte> credentials = stackalloc byte[12];
        socket.GetRawSocketOption(socketLevel, peerCredentials, credentials);
        int process = MemoryMarshal.Read<int>(credentials), user = MemoryMarshal.Read<int>(credentials[4..]);
        return string.Create(CultureInfo.InvariantCulture, $"pid {process} uid {user}");
    }
}
