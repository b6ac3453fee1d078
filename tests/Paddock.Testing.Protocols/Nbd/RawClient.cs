using System.Net.Sockets;
using Paddock.Nbd.Wire;

namespace Paddock.Testing.Protocols.Nbd;

/// <summary>Client that sends exactly the bytes specified by a test.</summary>
internal sealed class RawClient(Socket socket) : IDisposable
{
    public Socket Socket => socket;

    public void Send(params ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            bytes = bytes[socket.Send(bytes)..];
        }
    }

    public byte[] Take(int count)
    {
        byte[] bytes = new byte[count];
        for (int at = 0; at < count;)
        {
            int came = socket.Receive(bytes.AsSpan(at));
            Assert.True(came > 0, $"the server hung up after {at} of {count} bytes");
            at += came;
        }

        return bytes;
    }

    /// <summary>Whether the server disconnects; data received before that is dropped.</summary>
    public bool IsHungUp()
    {
        byte[] rest = new byte[4096];
        try
        {
            while (socket.Receive(rest) > 0)
            {
            }

            return true;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode == SocketError.ConnectionReset;
        }
    }

    /// <summary>Performs the handshake.</summary>
    /// <param name="form">Form of replies to negotiate.</param>
    /// <param name="name">Export name.</param>
    /// <param name="contexts">Metadata contexts to select.</param>
    public void Handshake(HeaderForm form = HeaderForm.Simple, string name = "", params string[] contexts)
    {
        Take(Greeting.Size);
        Send(0, 0, 0, 3);
        if (form != HeaderForm.Simple)
        {
            Option(form == HeaderForm.Structured ? NbdOption.StructuredReply : NbdOption.ExtendedHeaders, []);
            Assert.Equal(OptionReplyType.Ack, Reply().Head.Type);
        }

        if (contexts.Length > 0)
        {
            Option(NbdOption.SetMetaContext, new MetaContextRequest(name, contexts).ToBytes());
            while (Reply().Head.Type != OptionReplyType.Ack)
            {
            }
        }

        Option(NbdOption.Go, new InfoRequest(name, []).ToBytes());
        while (true)
        {
            var head = Reply().Head;
            Assert.False(head.IsError, head.ToString());
            if (head.Type == OptionReplyType.Ack)
            {
                return;
            }
        }
    }

    public void Option(NbdOption option, byte[] payload)
    {
        byte[] bytes = new byte[OptionHeader.Size + payload.Length];
        new OptionHeader(option, (uint)payload.Length).WriteTo(bytes);
        payload.CopyTo(bytes, OptionHeader.Size);
        Send(bytes);
    }

    public (OptionReplyHeader Head, byte[] Payload) Reply()
    {
        var head = OptionReplyHeader.Parse(Take(OptionReplyHeader.Size));
        return (head, Take((int)head.Length));
    }

    public static byte[] Compact(NbdCommand command, ulong cookie, ulong offset, uint length, CommandFlags flags = 0)
    {
        byte[] bytes = new byte[CompactRequest.Size];
        CompactRequest.Write(bytes, new NbdRequest(flags, command, cookie, offset, length));
        return bytes;
    }

    public void Ask(NbdCommand command, ulong cookie, ulong offset, uint length, CommandFlags flags = 0)
        => Send(Compact(command, cookie, offset, length, flags));

    public SimpleReply Simple() => SimpleReply.Parse(Take(SimpleReply.Size));

    public (ReplyChunk Head, byte[] Payload) Chunk()
    {
        var head = StructuredReply.Parse(Take(StructuredReply.Size));
        return (head, Take((int)head.Length));
    }

    public (ReplyChunk Head, byte[] Payload) ExtendedChunk()
    {
        var head = ExtendedReply.Parse(Take(ExtendedReply.Size));
        return (head, Take((int)head.Length));
    }

    public void Dispose() => socket.Dispose();
}
