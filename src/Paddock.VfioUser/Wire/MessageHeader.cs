using System.Buffers.Binary;

namespace Paddock.VfioUser.Wire;

/// <summary>
/// Header of each message ("Header"), in the machine's byte order, which is little-endian on all supported platforms.
/// <code>
/// offset size
///      0    2  message ID, chosen by the sender of a request and repeated in the reply
///      2    2  command
///      4    4  size of the message, header included
///      8    4  flags
///     12    4  error number of a reply with the error flag
/// </code>
/// </summary>
/// <param name="Id">Message ID.</param>
/// <param name="Command">The command.</param>
/// <param name="MessageSize">Bytes of the message, header included.</param>
/// <param name="Flags">Type and options.</param>
/// <param name="Error">Error number.</param>
internal readonly record struct MessageHeader(ushort Id, Command Command, uint MessageSize, HeaderFlags Flags, uint Error = 0)
{
    private const int CommandAt = sizeof(ushort);
    private const int SizeAt = CommandAt + sizeof(ushort);
    private const int FlagsAt = SizeAt + sizeof(uint);
    private const int ErrorAt = FlagsAt + sizeof(uint);

    /// <summary>Longest message with data of DMA: the reply to a read, or a write.</summary>
    public const int MaxWithData = Size + DmaAccess.Size + VfioUserLimits.MaxTransfer;

    /// <summary>Size in bytes.</summary>
    public const int Size = ErrorAt + sizeof(uint);

    /// <summary>Whether it is a reply.</summary>
    public bool IsReply => (Flags & HeaderFlags.TypeMask) == HeaderFlags.Reply;

    /// <summary>Whether the sender of a request waits for the reply.</summary>
    public bool NeedsReply => (Flags & HeaderFlags.NoReply) == 0;

    /// <summary>Whether it is a reply that reports an error.</summary>
    public bool IsError => (Flags & HeaderFlags.Error) != 0;

    /// <summary>Bytes after the header.</summary>
    public int PayloadSize => (int)MessageSize - Size;

    /// <summary>Reads a header.</summary>
    /// <param name="from">Its bytes.</param>
    /// <param name="maxRequest">Longest request in bytes.</param>
    /// <exception cref="VfioUserException">The type, or a size that no message can have.</exception>
    public static MessageHeader Parse(ReadOnlySpan<byte> from, int maxRequest = VfioUserLimits.MaxRequest)
    {
        var header = new MessageHeader(
            BinaryPrimitives.ReadUInt16LittleEndian(from),
            (Command)BinaryPrimitives.ReadUInt16LittleEndian(from[CommandAt..]),
            BinaryPrimitives.ReadUInt32LittleEndian(from[SizeAt..]),
            (HeaderFlags)BinaryPrimitives.ReadUInt32LittleEndian(from[FlagsAt..]),
            BinaryPrimitives.ReadUInt32LittleEndian(from[ErrorAt..]));
        if ((header.Flags & HeaderFlags.TypeMask) is not (HeaderFlags.None or HeaderFlags.Reply))
        {
            throw new VfioUserException($"a message of type {(uint)(header.Flags & HeaderFlags.TypeMask)}: expected 0 or 1");
        }

        uint most = (uint)(header.IsReply ? MaxWithData : maxRequest);
        return header.MessageSize >= Size && header.MessageSize <= most
            ? header
            : throw new VfioUserException($"a message of {header.MessageSize} bytes: expected {Size} to {most}");
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(to, Id);
        BinaryPrimitives.WriteUInt16LittleEndian(to[CommandAt..], (ushort)Command);
        BinaryPrimitives.WriteUInt32LittleEndian(to[SizeAt..], MessageSize);
        BinaryPrimitives.WriteUInt32LittleEndian(to[FlagsAt..], (uint)Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(to[ErrorAt..], Error);
    }
}
