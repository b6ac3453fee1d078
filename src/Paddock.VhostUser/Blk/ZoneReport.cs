using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.VhostUser.Blk;

/// <summary>
/// Reply to VIRTIO_BLK_T_ZONE_REPORT (virtio 1.3, 5.2.6; struct virtio_blk_zone_report), little-endian:
/// <code>
/// OFFSET SIZE MEANING
///      0    8 number of descriptors that follow
///      8   56 reserved
///     64   64 each: a zone
///      0    8   capacity, in sectors
///      8    8   first sector
///     16    8   write pointer, in sectors
///     24    1   type: 1 = conventional, 2 = sequential write required
///     25    1   state, numbered as <see cref="ZoneCondition"/>
///     26   38   reserved
/// </code>
/// </summary>
internal static class ZoneReport
{
    /// <summary>Size of the header in bytes.</summary>
    public const int HeaderSize = 64;

    /// <summary>Size of a zone descriptor in bytes.</summary>
    public const int ZoneSize = 64;

    private const int StartOffset = 8, PointerOffset = 16, TypeOffset = 24, StateOffset = 25;

    /// <summary>Writes the header; the buffer must be zeroed.</summary>
    public static void WriteHeader(Span<byte> to, int zones) => BinaryPrimitives.WriteUInt64LittleEndian(to, (ulong)zones);

    /// <summary>Writes a zone descriptor; the buffer must be zeroed.</summary>
    public static void WriteZone(Span<byte> to, in ZoneDescriptor zone)
    {
        BinaryPrimitives.WriteInt64LittleEndian(to, zone.Capacity >> BlkLimits.SectorShift);
        BinaryPrimitives.WriteInt64LittleEndian(to[StartOffset..], zone.Start >> BlkLimits.SectorShift);
        BinaryPrimitives.WriteInt64LittleEndian(to[PointerOffset..], zone.WritePointer >> BlkLimits.SectorShift);
        to[TypeOffset] = (byte)zone.Type;
        to[StateOffset] = (byte)zone.Condition;
    }
}
