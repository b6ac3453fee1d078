using System.Net;
using System.Net.Sockets;
using Paddock.Posix;

namespace Paddock.Tools;

/// <summary>Sockets that listen.</summary>
internal static class Listeners
{
    private const int Backlog = 128;

    /// <summary>Listens on an address.</summary>
    public static Socket Tcp(IPEndPoint address)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            return Listen(socket, address);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Listens on a path; a socket that a server left behind there, and that nobody listens on, is replaced.</summary>
    /// <param name="path">The socket's file.</param>
    /// <param name="mode">Who may connect, from the first moment on; null: as the process makes files.</param>
    /// <exception cref="IOException">The path is taken or cannot be used.</exception>
    public static (Socket Listener, UnixSocketFile File) Unix(string path, UnixFileMode? mode = null) => UnixSocketFile.Listen(path, mode, Backlog);

    private static Socket Listen(Socket socket, EndPoint address)
    {
        socket.Bind(address);
        socket.Listen(Backlog);
        return socket;
    }
}
