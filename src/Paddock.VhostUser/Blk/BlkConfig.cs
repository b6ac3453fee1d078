using System.Buffers.Binary;
using System.Numerics;
using Paddock.Block;

namespace Paddock.VhostUser.Blk;

/// <summary>
/// Configuration space (virtio 1.3, 5.2.4; struct virtio_blk_config), little-endian:
/// <code>
/// OFFSET SIZE MEANING
///      0    8 capacity, in sectors
///      8    4 size_max: 0
///     12    4 seg_max
///     16    4 geometry: 0
///     20    4 blk_size
///     24    1 physical_block_exp: log2 of physical block size / blk_size
///     25    1 alignment_offset: 0
///     26    2 min_io_size, in blocks
///     28    4 opt_io_size, in blocks
///     32    2 writeback: 0
///     34    2 num_queues
///     36    4 max_discard_sectors
///     40    4 max_discard_seg
///     44    4 discard_sector_alignment
///     48    4 max_write_zeroes_sectors
///     52    4 max_write_zeroes_seg
///     56    4 write_zeroes_may_unmap: 1, in its first byte
///     60   12 secure erase: 0
///     72    4 zone_sectors
///     76    4 max_open_zones; 0 = no limit
///     80    4 max_active_zones; 0 = no limit
///     84    4 max_append_sectors
///     88    4 write_granularity, in bytes
///     92    1 model: 0 = none, 1 = host-managed
///     93    3 reserved
/// </code>
/// </summary>
internal static class BlkConfig
{
    /// <summary>Size in bytes.</summary>
    public const int Size = 96;

    private const int SegmentsOffset = 12, BlockSizeOffset = 20, PhysicalOffset = 24, MinimumOffset = 26, OptimalOffset = 28;
    private const int QueuesOffset = 34, DiscardOffset = 36, ZeroesOffset = 48, MayUnmapOffset = 56;
    private const int ZoneOffset = 72, OpenOffset = 76, ActiveOffset = 80, AppendOffset = 84, GranularityOffset = 88, ModelOffset = 92;
    private const byte HostManaged = 1;
    private const int PhysicalBlock = 4096;

    /// <summary>Writes the whole structure.</summary>
    public static void Write(Span<byte> to, IBlockDevice disk, VirtioBlkOptions options, int blockSize, ulong features, int longestAppend)
    {
        to[..Size].Clear();
        BinaryPrimitives.WriteInt64LittleEndian(to, disk.Length >> BlkLimits.SectorShift);
        Put32(to, SegmentsOffset, options.Segments);
        Put32(to, BlockSizeOffset, blockSize);
        BinaryPrimitives.WriteUInt16LittleEndian(to[QueuesOffset..], (ushort)options.Queues);
        if (disk.Zones is { } zones)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(to[MinimumOffset..], 1);
            WriteZones(to, zones.Limits, blockSize, longestAppend);
            return;
        }

        int physical = Math.Max(PhysicalBlock, blockSize);
        to[PhysicalOffset] = (byte)BitOperations.Log2((uint)(physical / blockSize));
        BinaryPrimitives.WriteUInt16LittleEndian(to[MinimumOffset..], (ushort)(physical / blockSize));
        Put32(to, OptimalOffset, disk.Limits.OptimalTransfer / blockSize);
        if ((features & BlkFeatures.Discard) != 0)
        {
            WriteRangeLimits(to, DiscardOffset);
            Put32(to, DiscardOffset + (2 * sizeof(int)), blockSize >> BlkLimits.SectorShift);
            WriteRangeLimits(to, ZeroesOffset);
            to[MayUnmapOffset] = 1;
        }
    }

    /// <summary>Maximum length of an append, in sectors: an append is one request, even if its data is scattered.</summary>
    public static int AppendSectors(in ZonedLimits zones, int blockSize, int longest)
    {
        long most = Math.Min(zones.ZoneCapacity, longest);
        most = zones.MaxAppendBytes == 0 ? most : Math.Min(most, zones.MaxAppendBytes);
        return (int)((most & -blockSize) >> BlkLimits.SectorShift);
    }

    // Linux takes the write granularity for the physical block size
    private static void WriteZones(Span<byte> to, in ZonedLimits zones, int blockSize, int longestAppend)
    {
        Put32(to, ZoneOffset, (int)Math.Min(zones.ZoneSize >> BlkLimits.SectorShift, int.MaxValue));
        Put32(to, OpenOffset, (int)zones.MaxOpenZones);
        Put32(to, ActiveOffset, (int)zones.MaxActiveZones);
        Put32(to, AppendOffset, AppendSectors(zones, blockSize, longestAppend));
        Put32(to, GranularityOffset, blockSize);
        to[ModelOffset] = HostManaged;
    }

    private static void WriteRangeLimits(Span<byte> to, int offset)
    {
        Put32(to, offset, BlkLimits.RangeSectors);
        Put32(to, offset + sizeof(int), BlkLimits.Ranges);
    }

    private static void Put32(Span<byte> to, int offset, int value) => BinaryPrimitives.WriteInt32LittleEndian(to[offset..], value);
}
