using System.Net;
using System.Net.Sockets;
using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Server.Listeners;

/// <summary>A listening socket.</summary>
/// <param name="Socket">The socket; owned by the server that accepts from it.</param>
/// <param name="Address">Address, as shown to users.</param>
/// <param name="File">File of a Unix socket, removed when the listener closes; null for TCP and for a socket that was passed in.</param>
internal sealed record ListeningSocket(Socket Socket, string Address, UnixSocketFile? File)
{
    /// <summary>Reason logged when an idle client is disconnected in favour of another.</summary>
    public const string EvictedWhy = "the connection limit was reached and another client was waiting";

    /// <summary>Address of a TCP socket; null for a Unix socket.</summary>
    public IPEndPoint? EndPoint { get; } = Socket.LocalEndPoint as IPEndPoint;

    /// <summary>Listens on an address (<see cref="ListenAddress"/>).</summary>
    /// <exception cref="ToolException">The address is invalid or in use; the message names <paramref name="flag"/>.</exception>
    public static ListeningSocket Open(string where, string flag, bool allowUnix)
    {
        try
        {
            if (allowUnix && ListenAddress.SocketOf(where) is { } path)
            {
                var (listener, file) = ServerSockets.Unix(path);
                return new ListeningSocket(listener, where, file);
            }

            var socket = ServerSockets.Tcp(ListenAddress.Parse(where, flag, allowUnix));
            return new ListeningSocket(socket, socket.LocalEndPoint!.ToString()!, null);
        }
        catch (Exception e) when (e is SocketException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new ToolException($"{flag} {where}: cannot listen: {ListenAddress.Explain(e)}");
        }
    }

    /// <summary>The sockets of a listener: those passed by the service manager under its name, and the one of its option.</summary>
    public static IReadOnlyList<ListeningSocket> All(ServiceManager manager, string name, string? where, bool allowUnix)
    {
        var all = manager.Take(name).ToList();
        if (where is not null)
        {
            all.Add(Open(where, "--" + name, allowUnix));
        }

        return all;
    }

    /// <summary>Listens on a Unix socket that only its owner can use.</summary>
    /// <exception cref="ToolException">Cannot listen; the message names <paramref name="flag"/>.</exception>
    public static ListeningSocket Owned(string path, string flag)
    {
        try
        {
            var (listener, file) = ServerSockets.Unix(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            return new ListeningSocket(listener, path, file);
        }
        catch (Exception e) when (e is SocketException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new ToolException($"{flag} {path}: cannot listen: {ListenAddress.Explain(e)}");
        }
    }

    /// <summary>Removes the file of a Unix socket.</summary>
    public void Remove() => File?.Remove();
}
