using Microsoft.Win32.SafeHandles;
using Paddock.Posix;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Session;

/// <summary>The socket by which we ask something of the front end ("Back-end communication"); it need not be there.</summary>
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

    /// <summary>Says that the configuration space has changed. A front end that does not listen misses it.</summary>
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
