using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// The header of a chunk where extended headers were agreed on.
/// <code>
/// offset size
///      0    4  extended reply magic
///      4    2  flags: bit 0, the last chunk
///      6    2  type
///      8    8  cookie
///     16    8  the request's offset
///     24    8  length of the payload
/// </code>
/// </summary>
internal static class ExtendedReply
{
    private const int FlagsAt = sizeof(uint);
    private const int TypeAt = FlagsAt + sizeof(ushort);
    private const int CookieAt = TypeAt + sizeof(ushort);
    private const int OffsetAt = CookieAt + sizeof(ulong);
    private const int LengthAt = OffsetAt + sizeof(ulong);

    /// <summary>Bytes.</summary>
    public const int Size = LengthAt + sizeof(ulong);

    public static ReplyChunk Parse(ReadOnlySpan<byte> from)
    {
        NbdProtocolException.Expect(nameof(ExtendedReply), 0, NbdMagic.ExtendedReply, BinaryPrimitives.ReadUInt32BigEndian(from));
        return new ReplyChunk(
            (BinaryPrimitives.ReadUInt16BigEndian(from[FlagsAt..]) & ReplyChunk.DoneFlag) != 0,
            (ChunkType)BinaryPrimitives.ReadUInt16BigEndian(from[TypeAt..]),
            BinaryPrimitives.ReadUInt64BigEndian(from[CookieAt..]),
            BinaryPrimitives.ReadUInt64BigEndian(from[OffsetAt..]),
            BinaryPrimitives.ReadUInt64BigEndian(from[LengthAt..]));
    }

    public static void Write(Span<byte> to, in ReplyChunk chunk)
    {
        BinaryPrimitives.WriteUInt32BigEndian(to, NbdMagic.ExtendedReply);
        BinaryPrimitives.WriteUInt16BigEndian(to[FlagsAt..], chunk.IsLast ? ReplyChunk.DoneFlag : (ushort)0);
        BinaryPrimitives.WriteUInt16BigEndian(to[TypeAt..], (ushort)chunk.Type);
        BinaryPrimitives.WriteUInt64BigEndian(to[CookieAt..], chunk.Cookie);
        BinaryPrimitives.WriteUInt64BigEndian(to[OffsetAt..], chunk.Offset);
        BinaryPrimitives.WriteUInt64BigEndian(to[LengthAt..], chunk.Length);
    }
}
