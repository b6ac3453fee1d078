using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Paddock.Posix;

namespace Paddock.Tools.Serve.Listeners;

/// <summary>A socket that listens for a listener.</summary>
/// <param name="Socket">The socket; whoever accepts from it owns it.</param>
/// <param name="Address">Where, as people write it.</param>
/// <param name="File">The file of a Unix socket that is removed when the listener is closed; null where there is none, or it is not ours.</param>
public sealed record ListeningSocket(Socket Socket, string Address, UnixSocketFile? File)
{
    /// <summary>Why a listener ends the connection of a client that did nothing wrong.</summary>
    public const string EvictedWhy = "all connections were taken, and another client waited";

    private const string UnixPrefix = "unix:";

    /// <summary>Listens at <c>HOST:PORT</c>, or at <c>unix:PATH</c> where that is allowed.</summary>
    /// <exception cref="ToolException">The address is none, or is taken; the message names <paramref name="flag"/>.</exception>
    public static ListeningSocket Open(string where, string flag, bool allowUnix)
    {
        try
        {
            if (allowUnix && where.StartsWith(UnixPrefix, StringComparison.Ordinal))
            {
                var (listener, file) = ServerSockets.Unix(where[UnixPrefix.Length..]);
                return new ListeningSocket(listener, where, file);
            }

            var socket = ServerSockets.Tcp(Endpoint(where, flag));
            return new ListeningSocket(socket, socket.LocalEndPoint!.ToString()!, null);
        }
        catch (Exception e) when (e is SocketException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new ToolException($"{flag} '{where}': cannot listen: {e.Message}");
        }
    }

    /// <summary>The sockets of a listener: those that were handed over under its name, and the one of its flag.</summary>
    public static IReadOnlyList<ListeningSocket> All(ServiceManager manager, string name, string? where, bool allowUnix)
    {
        var all = manager.Take(name).ToList();
        if (where is not null)
        {
            all.Add(Open(where, "--" + name, allowUnix));
        }

        return all;
    }

    /// <summary>Listens at a path that only its owner may use.</summary>
    /// <exception cref="ToolException">It cannot; the message names <paramref name="flag"/>.</exception>
    public static ListeningSocket Owned(string path, string flag)
    {
        try
        {
            var (listener, file) = ServerSockets.Unix(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            return new ListeningSocket(listener, path, file);
        }
        catch (Exception e) when (e is SocketException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new ToolException($"{flag} '{path}': cannot listen: {e.Message}");
        }
    }

    /// <summary>Reads <c>HOST:PORT</c>.</summary>
    /// <exception cref="ToolException">It is none.</exception>
    public static IPEndPoint Endpoint(string text, string flag)
        => IPEndPoint.TryParse(text, out var parsed) && text.Contains(':', StringComparison.Ordinal)
            ? parsed
            : text.StartsWith("localhost:", StringComparison.Ordinal) && ushort.TryParse(text[10..], CultureInfo.InvariantCulture, out ushort port)
                ? new IPEndPoint(IPAddress.Loopback, port)
                : throw new ToolException($"{flag} '{text}': an address is written 127.0.0.1:4420 or [::1]:4420");

    /// <summary>Removes the file of a Unix socket.</summary>
    public void Remove() => File?.Remove();
}
