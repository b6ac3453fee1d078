using System.Net.Sockets;

namespace Paddock.Cli.Tests.Serve;

/// <summary>A Unix socket of a process that was started.</summary>
internal static class UnixListener
{
    /// <summary>Whether somebody listens there; a socket's file alone is no listener.</summary>
    public static bool Listens(string path)
    {
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
