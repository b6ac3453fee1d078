namespace Paddock.Nvme.Wire;

/// <summary>Controller properties, which correspond to registers on PCIe (NVMe base 2.0, 3.1.3).</summary>
internal static class Properties
{
    /// <summary>Capabilities, 8 bytes.</summary>
    public const uint Capabilities = 0x00;

    /// <summary>Version, 4 bytes.</summary>
    public const uint Version = 0x08;

    /// <summary>Interrupt mask set, 4 bytes; on a PCI bus only.</summary>
    public const uint InterruptMaskSet = 0x0C;

    /// <summary>Interrupt mask clear, 4 bytes; on a PCI bus only.</summary>
    public const uint InterruptMaskClear = 0x10;

    /// <summary>Controller configuration, 4 bytes.</summary>
    public const uint Configuration = 0x14;

    /// <summary>Controller status, 4 bytes.</summary>
    public const uint Status = 0x1C;

    /// <summary>NVM subsystem reset, 4 bytes.</summary>
    public const uint SubsystemReset = 0x20;

    /// <summary>Admin queue attributes, 4 bytes; on a PCI bus only.</summary>
    public const uint AdminQueueAttributes = 0x24;

    /// <summary>Address of the admin submission queue, 8 bytes; on a PCI bus only.</summary>
    public const uint AdminSubmissionQueue = 0x28;

    /// <summary>Address of the admin completion queue, 8 bytes; on a PCI bus only.</summary>
    public const uint AdminCompletionQueue = 0x30;

    /// <summary>NVMe 2.0.0.</summary>
    public const uint Version20 = 0x00020000;

    /// <summary>CC: enable.</summary>
    public const uint Enable = 1;

    /// <summary>CC: requested shutdown, bits 15:14.</summary>
    public const int ShutdownShift = 14;

    /// <summary>CSTS: ready.</summary>
    public const uint Ready = 1;

    /// <summary>CSTS: controller fatal status.</summary>
    public const uint Fatal = 2;

    /// <summary>CSTS: shutdown in progress.</summary>
    public const uint ShutdownRunning = 4;

    /// <summary>CSTS: shutdown complete.</summary>
    public const uint ShutdownComplete = 8;

    /// <summary>
    /// The capabilities: queues of up to <paramref name="entries"/> entries, contiguous queues, 7.5 s to get ready, the NVM command set
    /// (bit 37) and a choice of command sets (bit 43; without it Linux sees no zones).
    /// </summary>
    public static ulong CapabilitiesOf(int entries)
        => (ulong)(entries - 1) | (1UL << 16) | (15UL << 24) | (1UL << 37) | (1UL << 43);
}
