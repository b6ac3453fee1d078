namespace Paddock.VfioUser;

/// <summary>Limits on clients; each bounds the memory or time that a hostile one can use.</summary>
internal static class VfioUserLimits
{
    /// <summary>Maximum size of a request in bytes, header included: all of configuration space is the longest.</summary>
    public const int MaxRequest = 8192;

    /// <summary>Maximum number of descriptors with one message (capability <c>max_msg_fds</c>).</summary>
    public const int MaxDescriptors = 16;

    /// <summary>Maximum data of one transfer message in bytes (capability <c>max_data_xfer_size</c>).</summary>
    public const int MaxTransfer = 1 << 20;

    /// <summary>
    /// Smallest <c>max_data_xfer_size</c> of a client: a data transfer is split, and must not become thousands of messages.
    /// </summary>
    public const int LeastTransfer = 4096;

    /// <summary>Maximum number of memory regions at once (capability <c>max_dma_maps</c>).</summary>
    public const int MaxRegions = 16384;

    /// <summary>
    /// Maximum number of regions of a client that are mapped into this process; further ones are accessed with messages. All clients share
    /// the mappings that the kernel grants a process: what they may use together is limited as well.
    /// </summary>
    public const int MaxMappings = 4096;

    /// <summary>
    /// Maximum size of all regions of a client that are mapped into this process, in bytes: 16 TiB. Its address space is shared by all.
    /// </summary>
    public const ulong MaxMapped = 1UL << 44;

    /// <summary>Maximum size of the version message in bytes.</summary>
    public const int MaxVersion = 4096;

    /// <summary>Maximum number of log lines about rejected requests of one connection.</summary>
    public const int MaxRejectionsLogged = 16;

    /// <summary>Maximum number of DMA messages in flight to a client: each occupies a thread that waits.</summary>
    public const int MaxDmaMessages = 64;

    /// <summary>Maximum bytes copied from or to a guest's memory under one lease; an unmap waits for that long.</summary>
    public const int MaxCopy = 128 << 10;

    /// <summary>Maximum number of I/O queue pairs of a controller.</summary>
    public const int MaxQueues = 128;
}
