using System.Buffers.Binary;

namespace Paddock.Nvme.Pcie;

/// <summary>A descriptor of a scatter gather list (NVMe base 2.0, 4.1.2).</summary>
/// <remarks>
/// <code>
/// 0   8  address
/// 8   4  length in bytes
/// 12  3  reserved
/// 15  1  subtype (3:0), type (7:4)
/// </code>
/// </remarks>
internal readonly record struct SglDescriptor(ulong Address, uint Length, byte Kind)
{
    /// <summary>Bytes.</summary>
    public const int Size = 16;

    /// <summary>Data.</summary>
    public const byte DataBlock = 0x00;

    /// <summary>Data for the host that are dropped.</summary>
    public const byte BitBucket = 0x10;

    /// <summary>The next segment of the list.</summary>
    public const byte Segment = 0x20;

    /// <summary>The last segment of the list.</summary>
    public const byte LastSegment = 0x30;

    /// <summary>Whether it points at a segment of the list.</summary>
    public bool IsSegment => Kind is Segment or LastSegment;

    /// <summary>Reads 16 bytes.</summary>
    public static SglDescriptor Read(ReadOnlySpan<byte> from) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(from), BinaryPrimitives.ReadUInt32LittleEndian(from[8..]), from[15]);

    /// <summary>Writes 16 bytes.</summary>
    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(to, Address);
        BinaryPrimitives.WriteUInt64LittleEndian(to[8..], Length | ((ulong)Kind << 56));
    }
}
