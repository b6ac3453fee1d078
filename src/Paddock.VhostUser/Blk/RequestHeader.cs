using System.Buffers.Binary;

namespace Paddock.VhostUser.Blk;

/// <summary>
/// Header of each request (virtio 1.3, 5.2.6; struct virtio_blk_outhdr), little-endian:
/// <code>
/// OFFSET SIZE MEANING
///      0    4 type
///      4    4 I/O priority, ignored
///      8    8 sector
/// </code>
/// </summary>
internal readonly record struct RequestHeader(RequestType Type, ulong Sector)
{
    /// <summary>Size in bytes.</summary>
    public const int Size = 16;

    private const int SectorOffset = 8;

    /// <summary>Reads a copy of the header.</summary>
    public static RequestHeader Parse(ReadOnlySpan<byte> from) => new(
        (RequestType)BinaryPrimitives.ReadUInt32LittleEndian(from), BinaryPrimitives.ReadUInt64LittleEndian(from[SectorOffset..]));
}

/// <summary>Request types (virtio 1.3, 5.2.6). Secure erase (14) and lifetime (10) are not offered.</summary>
internal enum RequestType : uint
{
    /// <summary>VIRTIO_BLK_T_IN.</summary>
    In = 0,

    /// <summary>VIRTIO_BLK_T_OUT.</summary>
    Out = 1,

    /// <summary>VIRTIO_BLK_T_FLUSH.</summary>
    Flush = 4,

    /// <summary>VIRTIO_BLK_T_GET_ID.</summary>
    GetId = 8,

    /// <summary>VIRTIO_BLK_T_DISCARD.</summary>
    Discard = 11,

    /// <summary>VIRTIO_BLK_T_WRITE_ZEROES.</summary>
    WriteZeroes = 13,

    /// <summary>VIRTIO_BLK_T_ZONE_APPEND.</summary>
    ZoneAppend = 15,

    /// <summary>VIRTIO_BLK_T_ZONE_REPORT.</summary>
    ZoneReport = 16,

    /// <summary>VIRTIO_BLK_T_ZONE_OPEN.</summary>
    ZoneOpen = 18,

    /// <summary>VIRTIO_BLK_T_ZONE_CLOSE.</summary>
    ZoneClose = 20,

    /// <summary>VIRTIO_BLK_T_ZONE_FINISH.</summary>
    ZoneFinish = 22,

    /// <summary>VIRTIO_BLK_T_ZONE_RESET.</summary>
    ZoneReset = 24,

    /// <summary>VIRTIO_BLK_T_ZONE_RESET_ALL.</summary>
    ZoneResetAll = 26,
}
