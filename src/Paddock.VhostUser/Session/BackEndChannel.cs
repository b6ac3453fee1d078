using Microsoft.Win32.SafeHandles;
using Paddock.Posix;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Session;

/// <summary>The optional socket for back-end requests to the front end ("Back-end communication").</summary>
internal sealed class BackEndChannel : IDisposable
{
    private readonly Lock _lock = new();
    private SafeFileHandle? _socket;

    /// <summary>Sets the socket; owned.</summary>
    public void Set(SafeFileHandle socket)
    {
        lock (_lock)
        {
            _socket?.Dispose();
            _socket = socket;
        }
    }

    /// <summary>Notifies the front end of a change of configuration space, if it has set the socket.</summary>
    public void ConfigChanged()
    {
        Span<byte> message = stackalloc byte[MessageHeader.Size];
        new MessageHeader((uint)BackEndRequest.ConfigChange, HeaderFlags.Version, 0).WriteTo(message);
        lock (_lock)
        {
            if (_socket is not null)
            {
                DescriptorSocket.TrySend(_socket, message);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _socket?.Dispose();
            _socket = null;
        }
    }
}
