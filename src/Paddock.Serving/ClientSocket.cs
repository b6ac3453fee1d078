using System.Net.Sockets;

namespace Paddock.Serving;

/// <summary>What every server sets on the sockets of its clients.</summary>
internal static class ClientSocket
{
    // a client whose machine is gone is noticed within two minutes, though it was silent
    private const int ProbeAfterSeconds = 60, ProbeEverySeconds = 10, Probes = 6;

    /// <summary>Has the system find out whether a silent client is still there, and sends small answers at once; for TCP only.</summary>
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
