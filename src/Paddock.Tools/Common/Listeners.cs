using System.Net;
using System.Net.Sockets;

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
            ReuseAddress(socket);
            return Listen(socket, address);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Listens on a path; a socket that a server left behind there, and that nobody answers, is taken away first.</summary>
    /// <param name="path">The socket's file.</param>
    /// <param name="mode">Who may connect, from the first moment on; null: as the process makes files.</param>
    public static Socket Unix(string path, UnixFileMode? mode = null)
    {
        var address = new UnixDomainSocketEndPoint(path);
        RemoveStale(path, address);
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Bind(address);
            if (mode is { } wanted && !OperatingSystem.IsWindows())
            {
                // nobody can connect before it listens
                File.SetUnixFileMode(path, wanted);
            }

            socket.Listen(Backlog);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    // A port in TIME_WAIT can be listened on again at once, one that another server listens on cannot. The runtime's own option of this name
    // sets SO_REUSEPORT too, with which two servers share a port and each gets a part of the clients.
    private static void ReuseAddress(Socket socket)
    {
        if (OperatingSystem.IsWindows())
        {
            socket.ExclusiveAddressUse = true;
            return;
        }

        (int level, int option) = OperatingSystem.IsLinux() ? (1, 2) : (0xffff, 4);
        socket.SetRawSocketOption(level, option, BitConverter.GetBytes(1));
    }

    private static Socket Listen(Socket socket, EndPoint address)
    {
        socket.Bind(address);
        socket.Listen(Backlog);
        return socket;
    }

    private static void RemoveStale(string path, UnixDomainSocketEndPoint address)
    {
        // a socket has no length: a file with something in it is not ours to take away
        if (new FileInfo(path) is not { Exists: true, Length: 0 })
        {
            return;
        }

        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(address);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            File.Delete(path);
        }
    }
}
