using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Paddock.Posix;

namespace Paddock.VfioUser.Session;

/// <summary>
/// Sends messages: replies of the message thread, and requests of workers. The message thread holds it from the arrival of a request that
/// waits for a reply until the reply is sent: a client that waits for a register serves no DMA meanwhile.
/// </summary>
/// <param name="socket">The socket.</param>
internal sealed class Outbox(SafeHandle socket)
{
    private readonly Lock _lock = new();

    /// <summary>Keeps others from sending until the scope ends.</summary>
    public Lock.Scope Hold() => _lock.EnterScope();

    /// <summary>Keeps others from sending until <see cref="Release"/>, unless somebody else does for so long.</summary>
    public bool TryHold(int milliseconds) => _lock.TryEnter(milliseconds);

    /// <summary>Lets others send after <see cref="TryHold"/>.</summary>
    public void Release() => _lock.Exit();

    /// <summary>Sends a message, in one or two parts.</summary>
    /// <exception cref="EndOfStreamException">The socket failed.</exception>
    public void Send(ReadOnlySpan<byte> message, ReadOnlySpan<byte> data = default, SafeFileHandle? descriptor = null)
    {
        using var scope = Hold();
        try
        {
            if (descriptor is null)
            {
                DescriptorSocket.Send(socket, message);
            }
            else
            {
                DescriptorSocket.Send(socket, message, descriptor);
            }

            if (data.Length > 0)
            {
                DescriptorSocket.Send(socket, data);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            throw new EndOfStreamException(e.Message, e);
        }
    }
}
