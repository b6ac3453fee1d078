namespace Paddock.VhostUser;

/// <summary>Limits on front ends; each bounds the memory or time that a hostile one can use.</summary>
internal static class VhostUserLimits
{
    /// <summary>Maximum payload in bytes; the longest known is a configuration space of 256 bytes with its header.</summary>
    public const int MaxPayload = 1024;

    /// <summary>Maximum number of descriptors with one message: a memory table has one per region.</summary>
    public const int MaxDescriptors = TableRegions;

    /// <summary>Maximum number of regions in one memory table (vhost-user, "Memory regions description").</summary>
    public const int TableRegions = 8;

    /// <summary>Maximum number of regions added one by one: the limit of the kernel's vhost, and of QEMU for it.</summary>
    public const int MemorySlots = 509;

    /// <summary>Maximum size of a region, in bytes: 16 TiB.</summary>
    public const ulong LongestRegion = 1UL << 44;

    /// <summary>Maximum size of configuration space, in bytes: QEMU's own limit.</summary>
    public const int ConfigSpace = 256;

    /// <summary>Maximum number of queues: the protocol has 8 bits for their numbers.</summary>
    public const int MaxQueues = 256;
}
