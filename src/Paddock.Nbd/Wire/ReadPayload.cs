using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// Start of the payload of a read chunk.
/// <code>
/// OFFSET_DATA               OFFSET_HOLE
/// offset size               offset size
///      0    8  offset            0    8  offset
///      8    n  data              8    4  length of the hole
/// </code>
/// </summary>
internal static class ReadPayload
{
    /// <summary>Bytes before the data.</summary>
    public const int DataHead = sizeof(ulong);

    /// <summary>Bytes of a hole.</summary>
    public const int HoleSize = DataHead + sizeof(uint);

    public static void WriteOffset(Span<byte> to, ulong offset) => BinaryPrimitives.WriteUInt64BigEndian(to, offset);

    public static ulong ParseOffset(ReadOnlySpan<byte> from) => BinaryPrimitives.ReadUInt64BigEndian(from);

    public static void WriteHole(Span<byte> to, ulong offset, uint length)
    {
        WriteOffset(to, offset);
        BinaryPrimitives.WriteUInt32BigEndian(to[DataHead..], length);
    }

    public static (ulong Offset, uint Length) ParseHole(ReadOnlySpan<byte> from)
    {
        NbdProtocolException.ExpectLength("OffsetHole", HoleSize, from.Length);
        return (ParseOffset(from), BinaryPrimitives.ReadUInt32BigEndian(from[DataHead..]));
    }
}
