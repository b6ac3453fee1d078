using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Paddock.Posix;

/// <summary>Listening sockets.</summary>
internal static class ServerSockets
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

    /// <summary>Listens on a path; a stale socket of a previous server is replaced.</summary>
    /// <param name="path">The socket's file.</param>
    /// <param name="mode">Permissions from the start; null for the umask of the process.</param>
    /// <exception cref="IOException">The path is taken or cannot be used.</exception>
    public static (Socket Listener, UnixSocketFile File) Unix(string path, UnixFileMode? mode = null)
        => UnixSocketFile.Listen(path, mode, Backlog);

    /// <summary>Maximum number of open files of the process; null if unknown or unlimited.</summary>
    public static long? MaxOpenFiles()
    {
        const string row = "Max open files";
        const string limits = "/proc/self/limits";
        string? line = File.Exists(limits)
            ? File.ReadLines(limits).FirstOrDefault(static l => l.StartsWith(row, StringComparison.Ordinal)) : null;

        // the runtime has raised the first column, the soft limit, to the hard one
        string[] columns = line?[row.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries) ?? [];
        return columns.Length > 0 && long.TryParse(columns[0], NumberStyles.None, CultureInfo.InvariantCulture, out long limit)
            ? limit : null;
    }

    /// <summary>Two connected sockets.</summary>
    /// <exception cref="IOException">No descriptor is left.</exception>
    public static unsafe (Socket One, Socket Other) Pair()
    {
        int* pair = stackalloc int[2];
        if (!OperatingSystem.IsLinux()
            || Native.SocketPair(Native.FamilyUnix, Native.TypeStream | Native.SocketCloseOnExec, 0, pair) < 0)
        {
            throw new IOException("cannot create a pair of sockets: " + Errno.Describe(Marshal.GetLastPInvokeError()));
        }

        return (new Socket(new SafeSocketHandle(pair[0], ownsHandle: true)), new Socket(new SafeSocketHandle(pair[1], ownsHandle: true)));
    }

    // A port in TIME_WAIT can be listened on again at once, one that another server listens on cannot. The runtime's own option of this
    // name sets SO_REUSEPORT too, with which two servers share a port and each gets a part of the clients.
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
}
