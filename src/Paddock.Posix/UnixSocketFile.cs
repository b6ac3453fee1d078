using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>
/// The file of a Unix socket that this process listens on. Files are removed only when lstat says that they are sockets and nobody listens
/// on them; the runtime's own listener deletes whatever has its name by then.
/// </summary>
internal sealed class UnixSocketFile
{
    private const int WorkingDirectory = -100, NoFollow = 0x100, BasicStats = 0x7FF;
    private const int TypeMask = 0xF000, TypeSocket = 0xC000;

    /// <summary>Maximum length of a path, in bytes.</summary>
    private const int MaxPath = 107;

    private readonly (ulong Node, ulong Device)? _identity;

    private UnixSocketFile(string path)
    {
        Path = path;
        _identity = Find(path);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Listens on a path. A socket that a server left behind there, and that nobody listens on, is replaced.</summary>
    /// <param name="path">The socket's file.</param>
    /// <param name="mode">Who may connect, from the first moment on; null: as the umask says.</param>
    /// <param name="backlog">Connections that wait to be accepted.</param>
    /// <exception cref="IOException">The path is taken or cannot be used; the message says why and does not name it.</exception>
    public static (Socket Listener, UnixSocketFile File) Listen(string path, UnixFileMode? mode, int backlog)
    {
        RemoveStale(path);
        var socket = Bind(path);
        var file = new UnixSocketFile(path);
        try
        {
            if (mode is { } wanted && !OperatingSystem.IsWindows())
            {
                // nobody can connect before it listens
                FileNames.SetMode(path, wanted);
            }

            socket.Listen(backlog);
            return (socket, file);
        }
        catch
        {
            socket.Dispose();
            file.Remove();
            throw;
        }
    }

    /// <summary>Why a path cannot be that of a socket; null: its length is right.</summary>
    public static string? TooLong(string path)
        => ByteText.ToBytes(path).Length is var length and (0 or > MaxPath)
            ? $"the path of a socket has 1 to {MaxPath} bytes; this one has {length}" : null;

    /// <summary>Removes the file, unless another one is there by now.</summary>
    public void Remove()
    {
        if (_identity is not null && Find(Path) == _identity)
        {
            FileNames.Delete(Path);
        }
    }

    private static void RemoveStale(string path)
    {
        if (!OperatingSystem.IsLinux() || !FileNames.Exists(path))
        {
            return;
        }

        if (Find(path) is null)
        {
            throw new IOException("a file that is not a socket has this name: remove it or choose another path");
        }

        // without blocking: a listener whose queue is full would keep us waiting
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { Blocking = false };
        try
        {
            probe.Connect(UnixAddress.Of(path));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            FileNames.Delete(path);
            return;
        }
        catch (SocketException)
        {
            // a listener whose queue is full, one of another type, or one that we may not use
        }

        throw new IOException("Address already in use");
    }

    private static unsafe Socket Bind(string path)
    {
        if (!OperatingSystem.IsLinux())
        {
            var plain = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            plain.Bind(new UnixDomainSocketEndPoint(path));
            return plain;
        }

        // struct sockaddr_un: the family, then the name with its zero
        const int nameAt = sizeof(ushort);
        byte[] address = new byte[nameAt + MaxPath + 1];
        byte[] name = ByteText.ToBytes(path);
        int length = name.Length;
        if (TooLong(path) is { } why)
        {
            throw new IOException(why);
        }

        address[0] = Native.FamilyUnix;
        name.CopyTo(address, nameAt);
        int descriptor = Native.CreateSocket(Native.FamilyUnix, Native.TypeStream | Native.SocketCloseOnExec, 0);
        if (descriptor < 0)
        {
            throw new IOException(Errno.Describe(Marshal.GetLastPInvokeError()));
        }

        using var owned = new SafeSocketHandle(descriptor, ownsHandle: true);
        fixed (byte* start = address)
        {
            if (Native.Bind(owned, start, (uint)(nameAt + length + 1)) < 0)
            {
                throw new IOException(Errno.Describe(Marshal.GetLastPInvokeError()));
            }
        }

        // the runtime learns from a descriptor that the socket is bound, and not that it should delete the file
        owned.SetHandleAsInvalid();
        return new Socket(new SafeSocketHandle(descriptor, ownsHandle: true));
    }

    // by lstat; null unless the file is a socket itself
    private static (ulong Node, ulong Device)? Find(string path)
    {
        if (!OperatingSystem.IsLinux())
        {
            return null;
        }

        // struct statx: mode at byte 28, inode at 32, device at 136
        Span<byte> facts = stackalloc byte[256];
        using var here = new SafeFileHandle(WorkingDirectory, ownsHandle: false);
        return Native.Stat(here, path, NoFollow, BasicStats, facts) == 0
            && (MemoryMarshal.Read<ushort>(facts[28..]) & TypeMask) == TypeSocket
            ? (MemoryMarshal.Read<ulong>(facts[32..]), MemoryMarshal.Read<ulong>(facts[136..])) : null;
    }
}
