using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Paddock.VhostUser.Tests;

/// <summary>Two connected Unix sockets, one of them to be passed to the peer.</summary>
internal sealed class SocketPair : IDisposable
{
    private readonly Socket _given;

    public SocketPair()
    {
        string path = Path.Combine(Path.GetTempPath(), $"pair-{Guid.NewGuid():N}");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        Kept = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        Kept.Connect(new UnixDomainSocketEndPoint(path));
        _given = listener.Accept();
        File.Delete(path);
        Given = new SafeFileHandle(_given.SafeHandle.DangerousGetHandle(), ownsHandle: false);
    }

    public Socket Kept { get; }

    public SafeFileHandle Given { get; }

    public void Dispose()
    {
        Kept.Dispose();
        _given.Dispose();
        Given.Dispose();
    }
}
