using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// The head of a server's reply to an option; the payload follows.
/// <code>
/// offset size
///      0    8  reply magic
///      8    4  option that this answers
///     12    4  type of the reply
///     16    4  length of the payload
/// </code>
/// </summary>
/// <param name="Option">The option that this answers.</param>
/// <param name="Type">Type of the reply.</param>
/// <param name="Length">Bytes that follow.</param>
internal readonly record struct OptionReplyHeader(NbdOption Option, OptionReplyType Type, uint Length)
{
    private const int OptionAt = sizeof(ulong);
    private const int TypeAt = OptionAt + sizeof(uint);
    private const int LengthAt = TypeAt + sizeof(uint);

    /// <summary>Bytes.</summary>
    public const int Size = LengthAt + sizeof(uint);

    /// <summary>Whether the option was rejected.</summary>
    public bool IsError => ((uint)Type & 0x8000_0000) != 0;

    public static OptionReplyHeader Parse(ReadOnlySpan<byte> from)
    {
        NbdProtocolException.Expect(nameof(OptionReplyHeader), 0, NbdMagic.OptionReply, BinaryPrimitives.ReadUInt64BigEndian(from));
        return new OptionReplyHeader(
            (NbdOption)BinaryPrimitives.ReadUInt32BigEndian(from[OptionAt..]),
            (OptionReplyType)BinaryPrimitives.ReadUInt32BigEndian(from[TypeAt..]),
            BinaryPrimitives.ReadUInt32BigEndian(from[LengthAt..]));
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt64BigEndian(to, NbdMagic.OptionReply);
        BinaryPrimitives.WriteUInt32BigEndian(to[OptionAt..], (uint)Option);
        BinaryPrimitives.WriteUInt32BigEndian(to[TypeAt..], (uint)Type);
        BinaryPrimitives.WriteUInt32BigEndian(to[LengthAt..], Length);
    }
}
