using System.Buffers.Binary;

namespace Paddock.VhostUser.Wire;

/// <summary>
/// "Inflight description": the memory that records requests in flight.
/// <code>
/// offset size
///      0    8  length in bytes
///      8    8  offset in the file
///     16    2  number of rings
///     18    2  descriptors in each
///     20    4  padding, sent and expected by front ends whose compiler adds it
/// </code>
/// </summary>
/// <param name="Length">Length in bytes.</param>
/// <param name="FileOffset">Offset in the file.</param>
/// <param name="Rings">Number of rings.</param>
/// <param name="RingSize">Number of descriptors in each.</param>
internal readonly record struct InflightDescription(ulong Length, ulong FileOffset, int Rings, int RingSize)
{
    private const int FileOffsetAt = sizeof(ulong);
    private const int RingsAt = FileOffsetAt + sizeof(ulong);
    private const int RingSizeAt = RingsAt + sizeof(ushort);
    private const int PaddingAt = RingSizeAt + sizeof(ushort);

    /// <summary>Size in bytes with the padding.</summary>
    public const int PaddedSize = PaddingAt + sizeof(uint);

    /// <summary>Size in bytes without the padding.</summary>
    public const int Size = PaddingAt;

    public static InflightDescription Parse(ReadOnlySpan<byte> from)
        => from.Length is Size or PaddedSize
            ? new InflightDescription(
                BinaryPrimitives.ReadUInt64LittleEndian(from),
                BinaryPrimitives.ReadUInt64LittleEndian(from[FileOffsetAt..]),
                BinaryPrimitives.ReadUInt16LittleEndian(from[RingsAt..]),
                BinaryPrimitives.ReadUInt16LittleEndian(from[RingSizeAt..]))
            : throw new VhostUserException(nameof(InflightDescription), 0, $"{from.Length} bytes came where {Size} or {PaddedSize} must");

    /// <summary>Writes the description, with padding if there is room.</summary>
    public void WriteTo(Span<byte> to)
    {
        to.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(to, Length);
        BinaryPrimitives.WriteUInt64LittleEndian(to[FileOffsetAt..], FileOffset);
        BinaryPrimitives.WriteUInt16LittleEndian(to[RingsAt..], (ushort)Rings);
        BinaryPrimitives.WriteUInt16LittleEndian(to[RingSizeAt..], (ushort)RingSize);
    }
}
