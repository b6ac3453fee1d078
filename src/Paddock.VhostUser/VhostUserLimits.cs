namespace Paddock.VhostUser;

/// <summary>What a front end may ask for; each bounds memory or time that a hostile one could take.</summary>
internal static class VhostUserLimits
{
    /// <summary>The longest payload, in bytes: the longest known is a configuration space of 256 bytes with its header.</summary>
    public const int MaxPayload = 1024;

    /// <summary>Descriptors with one message: a memory table has one a region.</summary>
    public const int MaxDescriptors = TableRegions;

    /// <summary>Regions in one memory table (vhost-user, "Memory regions description").</summary>
    public const int TableRegions = 8;

    /// <summary>Regions that are added one by one: as many as the kernel's vhost, and QEMU for it, take.</summary>
    public const int MemorySlots = 509;

    /// <summary>The longest region, in bytes: 16 TiB.</summary>
    public const ulong LongestRegion = 1UL << 44;

    /// <summary>Bytes of configuration space that may be asked for: QEMU's own limit.</summary>
    public const int ConfigSpace = 256;

    /// <summary>Queues: the protocol has 8 bits for their numbers.</summary>
    public const int MaxQueues = 256;
}
