using System.Net.Sockets;

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
}
