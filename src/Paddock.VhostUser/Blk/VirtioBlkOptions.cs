using Paddock.Serving;

namespace Paddock.VhostUser.Blk;

/// <summary>Properties of a virtio block device that its disk does not determine.</summary>
internal sealed record VirtioBlkOptions
{
    /// <summary>Reply to VIRTIO_BLK_T_GET_ID: up to 20 bytes of ASCII; the rest is truncated.</summary>
    public string Serial { get; init; } = "paddock";

    /// <summary>Number of queues, 1 to 256; more than one offers VIRTIO_BLK_F_MQ.</summary>
    public int Queues { get; init; } = 1;

    /// <summary>Bytes of a logical block: a power of two from 512 to 4096.</summary>
    public int BlockSize { get; init; } = 512;

    /// <summary>
    /// Maximum number of data segments in a request, without header and status (VIRTIO_BLK_F_SEG_MAX): a driver without indirect tables
    /// must be able to put them all into a ring of the usual 128.
    /// </summary>
    public int Segments { get; init; } = 126;

    /// <summary>Shared memory for data that must be copied; null: memory of its own, without a limit.</summary>
    public SlabPool? Buffers { get; init; }

    /// <summary>How long a request waits for shared memory before it fails.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(5);
}
