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

    /// <summary>CC: I/O command sets, bits 6:4; page size, bits 10:7; arbitration, bits 13:11.</summary>
    public const int CommandSetShift = 4, PageSizeShift = 7, ArbitrationShift = 11;

    /// <summary>CC: sizes of submission and completion entries, as powers of two, bits 19:16 and 23:20.</summary>
    public const int SubmissionEntryShift = 16, CompletionEntryShift = 20;

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
    /// Time to get ready, in units of 500 ms: over fabrics, and on a PCI bus, where a reset waits for commands in flight.
    /// </summary>
    public const byte FabricReadyTime = 15, LocalReadyTime = 60;

    /// <summary>Controller ready timeouts, 4 bytes; on a PCI bus only.</summary>
    public const uint ReadyTimeouts = 0x68;

    /// <summary>CAP: the controller is ready when its namespaces are (CRWMS), after the time in <see cref="ReadyTimeouts"/>.</summary>
    public const ulong ReadyWithMedia = 1UL << 59;

    /// <summary>
    /// The capabilities: queues of up to <paramref name="entries"/> entries, contiguous queues, a time to get ready, the NVM command set
    /// (bit 37) and a choice of command sets (bit 43; without it Linux sees no zones). Doorbells lie side by side, pages have 4 KiB.
    /// </summary>
    public static ulong CapabilitiesOf(int entries, byte readyTime)
        => (ulong)(entries - 1) | (1UL << 16) | ((ulong)readyTime << 24) | (1UL << 37) | (1UL << 43);
}
