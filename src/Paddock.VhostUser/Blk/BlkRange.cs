using System.Buffers.Binary;

namespace Paddock.VhostUser.Blk;

/// <summary>
/// A range to discard or to zero (virtio 1.3, 5.2.6; struct virtio_blk_discard_write_zeroes), little-endian:
/// <code>
/// OFFSET SIZE MEANING
///      0    8 first sector
///      8    4 sectors
///     12    4 flags: bit 0 = the storage may be released (write zeroes only)
/// </code>
/// </summary>
internal readonly record struct BlkRange(ulong Sector, uint Sectors, uint Flags)
{
    /// <summary>Size in bytes.</summary>
    public const int Size = 16;

    /// <summary>VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP.</summary>
    public const uint Unmap = 1;

    private const int SectorsOffset = 8, FlagsOffset = 12;

    /// <summary>Reads a copy of the range.</summary>
    public static BlkRange Parse(ReadOnlySpan<byte> from) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(from),
        BinaryPrimitives.ReadUInt32LittleEndian(from[SectorsOffset..]),
        BinaryPrimitives.ReadUInt32LittleEndian(from[FlagsOffset..]));
}
