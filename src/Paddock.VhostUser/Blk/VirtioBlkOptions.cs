using Paddock.Serving;

namespace Paddock.VhostUser.Blk;

/// <summary>What a virtio block device says of itself beside what its disk says.</summary>
internal sealed record VirtioBlkOptions
{
    /// <summary>What VIRTIO_BLK_T_GET_ID answers: up to 20 bytes of ASCII; more is cut off.</summary>
    public string Serial { get; init; } = "paddock";

    /// <summary>Number of queues, 1 to 256; more than one offers VIRTIO_BLK_F_MQ.</summary>
    public int Queues { get; init; } = 1;

    /// <summary>Bytes of a logical block: a power of two from 512 to 4096.</summary>
    public int BlockSize { get; init; } = 512;

    /// <summary>
    /// Most data segments of a request, without header and status (VIRTIO_BLK_F_SEG_MAX): a driver that takes no indirect tables must be
    /// able to put them all into a ring of the usual 128.
    /// </summary>
    public int Segments { get; init; } = 126;

    /// <summary>Memory for data that must be copied, shared with whoever else has it; null: memory of its own, without a limit.</summary>
    public SlabPool? Buffers { get; init; }

    /// <summary>How long a request waits for memory that others hold before it fails.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(5);
}
