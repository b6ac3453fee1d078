using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Pcie;

/// <summary>
/// An NVMe controller as a PCI function: its registers and doorbells, and the worker that runs its queues. Independent of how accesses of
/// the host are transported. <see cref="ReadRegister"/>, <see cref="WriteRegister"/> and <see cref="Reset"/> never wait for the disk.
/// </summary>
internal sealed class PcieController : IAsyncDisposable
{
    /// <summary>Offset of the doorbells in BAR 0.</summary>
    public const uint DoorbellOffset = 0x1000;

    private readonly NvmeTarget _target;
    private readonly IInterrupts _interrupts;

    /// <param name="target">The target: limits and memory.</param>
    /// <param name="subsystem">The subsystem whose namespaces are offered.</param>
    /// <param name="options">Settings.</param>
    /// <param name="memory">Memory of the host.</param>
    /// <param name="interrupts">Interrupts of the function.</param>
    /// <exception cref="InvalidOperationException">The subsystem has too many controllers.</exception>
    public PcieController(
        NvmeTarget target, NvmeSubsystem subsystem, PcieOptions options, IDeviceMemory memory, IInterrupts interrupts)
    {
        _target = target;
        _interrupts = interrupts;
        Options = options;
        Subsystem = subsystem;
        Memory = memory;
    }

    /// <summary>Settings.</summary>
    public PcieOptions Options { get; }

    /// <summary>The subsystem whose namespaces are offered.</summary>
    public NvmeSubsystem Subsystem { get; }

    /// <summary>Bytes of BAR 0 that registers and doorbells need: a multiple of 4096.</summary>
    public uint RegisterBytes => DoorbellOffset + ((((uint)Options.IoQueues + 1) * 8 + 4095) & ~4095u);

    /// <summary>Bus master enable, bit 2 of the command register: without it, no DMA and no message-signalled interrupt.</summary>
    public bool BusMaster { get; set; }

    internal IDeviceMemory Memory { get; }

    /// <summary>Reads registers; bytes that belong to none are zero. Touches no memory of the host.</summary>
    /// <param name="offset">Offset in BAR 0.</param>
    /// <param name="to">Where the bytes go; accesses of 4 and 8 bytes are usual.</param>
    public void ReadRegister(uint offset, Span<byte> to)
    {
        to.Clear();
        if (offset == Properties.Capabilities && to.Length == 8)
        {
            new Fields(to).U64(0, Properties.CapabilitiesOf(_target.Options.QueueEntries));
        }
    }

    /// <summary>Writes a register or a doorbell; the work happens on the workers.</summary>
    /// <param name="offset">Offset in BAR 0.</param>
    /// <param name="from">The bytes; an access that is not of 4 or 8 bytes, or not aligned, is ignored.</param>
    public void WriteRegister(uint offset, ReadOnlySpan<byte> from)
    {
        if (offset >= DoorbellOffset && from.Length == sizeof(uint))
        {
            _interrupts.SetPin(false);
        }
    }

    /// <summary>
    /// Resets the function (reset of the device, function-level reset): registers return to their initial values, and results of commands
    /// in flight are dropped. After the call nothing of the host's memory is read or written.
    /// </summary>
    public void Reset() => BusMaster = false;

    /// <summary>Ends the controller; waits for the commands in flight.</summary>
    public ValueTask DisposeAsync()
    {
        Reset();
        return ValueTask.CompletedTask;
    }
}
