namespace Paddock.VhostUser.Blk;

/// <summary>Feature bits of a virtio block device (virtio 1.3, 5.2.3).</summary>
internal static class BlkFeatures
{
    /// <summary>VIRTIO_BLK_F_SEG_MAX: configuration space has the maximum number of segments in a request.</summary>
    public const ulong SegmentLimit = 1UL << 2;

    /// <summary>VIRTIO_BLK_F_RO.</summary>
    public const ulong ReadOnly = 1UL << 5;

    /// <summary>VIRTIO_BLK_F_BLK_SIZE.</summary>
    public const ulong BlockSize = 1UL << 6;

    /// <summary>VIRTIO_BLK_F_FLUSH: for a driver that does not accept it, writes are durable when they complete.</summary>
    public const ulong Flush = 1UL << 9;

    /// <summary>VIRTIO_BLK_F_TOPOLOGY.</summary>
    public const ulong Topology = 1UL << 10;

    /// <summary>VIRTIO_BLK_F_MQ.</summary>
    public const ulong MultiQueue = 1UL << 12;

    /// <summary>VIRTIO_BLK_F_DISCARD.</summary>
    public const ulong Discard = 1UL << 13;

    /// <summary>VIRTIO_BLK_F_WRITE_ZEROES.</summary>
    public const ulong WriteZeroes = 1UL << 14;

    /// <summary>VIRTIO_BLK_F_ZONED.</summary>
    public const ulong Zoned = 1UL << 17;
}
