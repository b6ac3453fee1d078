using System.Runtime.InteropServices;
using Paddock.Posix;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Session;

/// <summary>Whole messages over a Unix socket.</summary>
internal sealed class MessageChannel(SafeHandle socket)
{
    /// <summary>Waits for a message.</summary>
    /// <returns>False if the front end disconnected between two messages.</returns>
    /// <exception cref="VhostUserException">The received bytes are not a message.</exception>
    /// <exception cref="EndOfStreamException">The socket failed.</exception>
    public bool TryReceive(Message message)
    {
        message.Clear();
        int count = Fill(message.HeaderBytes, message);
        if (count == 0 && message.Descriptors.Count == 0)
        {
            return false;
        }

        if (count < MessageHeader.Size)
        {
            throw new VhostUserException(nameof(MessageHeader), count, "the connection ended within");
        }

        message.ParseHeader();
        count = Fill(message.Payload, message);
        return count == message.Header.Length
            ? true
            : throw new VhostUserException("payload", count, $"the connection ended within {message.Header.Length} bytes");
    }

    /// <summary>Sends a message and its descriptors.</summary>
    /// <exception cref="EndOfStreamException">The socket failed.</exception>
    public void Send(Message message)
    {
        try
        {
            DescriptorSocket.Send(socket, message.Bytes, [.. message.Descriptors]);
        }
        catch (IOException e)
        {
            throw new EndOfStreamException(e.Message, e);
        }
    }

    private int Fill(Span<byte> into, Message message)
    {
        int done = 0, count;
        while (done < into.Length && (count = Receive(into[done..], message)) > 0)
        {
            done += count;
            if (message.Descriptors.Count > VhostUserLimits.MaxDescriptors)
            {
                throw new VhostUserException(nameof(MessageHeader), 0, $"{message.Descriptors.Count} descriptors with one message");
            }
        }

        return done;
    }

    // a socket failure means that the peer disconnected, unlike a protocol error of the peer
    private int Receive(Span<byte> into, Message message)
    {
        try
        {
            return DescriptorSocket.Receive(socket, into, message.Descriptors);
        }
        catch (IOException e)
        {
            throw new EndOfStreamException(e.Message, e);
        }
    }
}
