using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// The header of a request, unless extended headers were agreed on.
/// <code>
/// offset size
///      0    4  request magic
///      4    2  command flags
///      6    2  command
///      8    8  cookie
///     16    8  offset
///     24    4  length
/// </code>
/// </summary>
internal static class CompactRequest
{
    private const int FlagsAt = sizeof(uint);
    private const int CommandAt = FlagsAt + sizeof(ushort);
    private const int CookieAt = CommandAt + sizeof(ushort);
    private const int OffsetAt = CookieAt + sizeof(ulong);
    private const int LengthAt = OffsetAt + sizeof(ulong);

    /// <summary>Bytes.</summary>
    public const int Size = LengthAt + sizeof(uint);

    public static NbdRequest Parse(ReadOnlySpan<byte> from)
    {
        NbdProtocolException.Expect(nameof(CompactRequest), 0, NbdMagic.Request, BinaryPrimitives.ReadUInt32BigEndian(from));
        return new NbdRequest(
            (CommandFlags)BinaryPrimitives.ReadUInt16BigEndian(from[FlagsAt..]),
            (NbdCommand)BinaryPrimitives.ReadUInt16BigEndian(from[CommandAt..]),
            BinaryPrimitives.ReadUInt64BigEndian(from[CookieAt..]),
            BinaryPrimitives.ReadUInt64BigEndian(from[OffsetAt..]),
            BinaryPrimitives.ReadUInt32BigEndian(from[LengthAt..]));
    }

    public static void Write(Span<byte> to, in NbdRequest request)
    {
        BinaryPrimitives.WriteUInt32BigEndian(to, NbdMagic.Request);
        BinaryPrimitives.WriteUInt16BigEndian(to[FlagsAt..], (ushort)request.Flags);
        BinaryPrimitives.WriteUInt16BigEndian(to[CommandAt..], (ushort)request.Command);
        BinaryPrimitives.WriteUInt64BigEndian(to[CookieAt..], request.Cookie);
        BinaryPrimitives.WriteUInt64BigEndian(to[OffsetAt..], request.Offset);
        BinaryPrimitives.WriteUInt32BigEndian(to[LengthAt..], checked((uint)request.Length));
    }
}
