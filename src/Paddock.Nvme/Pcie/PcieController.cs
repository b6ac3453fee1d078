using System.Buffers.Binary;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Pcie;

/// <summary>
/// An NVMe controller as a PCI function: its registers and doorbells, and the worker that runs its queues. Independent of how accesses of
/// the host are transported. <see cref="ReadRegister"/>, <see cref="WriteRegister"/> and <see cref="Reset"/> never wait for the disk.
/// </summary>
/// <remarks>
/// Registers (NVMe base 2.0, 3.1.3), all little-endian:
/// <code>
/// 0    8  CAP     capabilities                    20   4  NSSR    not supported: 0
/// 8    4  VS      version                         24   4  AQA     sizes of the admin queues
/// C    4  INTMS   interrupt mask set              28   8  ASQ     address of the admin submission queue
/// 10   4  INTMC   interrupt mask clear            30   8  ACQ     address of the admin completion queue
/// 14   4  CC      configuration                   38   8  CMBLOC, CMBSZ   no memory buffer: 0
/// 1C   4  CSTS    status                          68   4  CRTO    time to get ready
/// 1000 4  doorbells: tail of submission queue 0, head of completion queue 0, then those of queues 1 and so on
/// </code>
/// </remarks>
internal sealed class PcieController : IAsyncDisposable
{
    /// <summary>Offset of the doorbells in BAR 0.</summary>
    public const uint DoorbellOffset = 0x1000;

    private const int RegisterBlock = 0x70;
    private const ulong PageMask = ~4095UL;
    private const uint QueueSizeMask = 0x0FFF_0FFF;
    private const uint AllCommandSets = 6;

    private static readonly TimeSpan QuietLimit = TimeSpan.FromSeconds(10);

    private readonly Controller _controller;
    private readonly PcieOptions _options;
    private readonly IDeviceMemory _memory;
    private readonly IInterrupts _interrupts;
    private readonly InterruptPin _pin;
    private readonly IDoorbells _doorbells;
    private readonly Lock _lock = new();
    private ControllerRun? _run;
    private Task _quiet;
    private uint _attributes, _shutdowns;
    private ulong _submission, _completion;
    private bool _isMaster, _isOff, _isDisposed, _isFlushing, _flushesAgain;

    /// <param name="target">The target: limits and memory.</param>
    /// <param name="subsystem">The subsystem whose namespaces are offered.</param>
    /// <param name="options">Settings.</param>
    /// <param name="memory">Memory of the host.</param>
    /// <param name="interrupts">Interrupts of the function.</param>
    /// <exception cref="InvalidOperationException">The subsystem has too many controllers.</exception>
    public PcieController(
        NvmeTarget target, NvmeSubsystem subsystem, PcieOptions options, IDeviceMemory memory, IInterrupts interrupts)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(options.Vectors, Math.Clamp(options.Vectors, 1, PcieOptions.MaxVectors));
        ArgumentOutOfRangeException.ThrowIfNotEqual(options.IoQueues, Math.Clamp(options.IoQueues, 1, PcieOptions.MaxIoQueues));
        var traits = new ControllerTraits(NvmeTransport.Pcie, options.IoQueues)
        {
            Vectors = options.Vectors, ShadowDoorbells = options.ShadowDoorbells,
        };
        _controller = subsystem.Create(target, options.Host, default, traits)
            ?? throw new InvalidOperationException($"subsystem {subsystem.Nqn} has too many controllers");
        (_options, _memory, _interrupts) = (options, memory, interrupts);
        _pin = new InterruptPin(interrupts);
        _doorbells = options.MappedDoorbells ?? new OwnDoorbells(2 * (options.IoQueues + 1));
        _quiet = options.After;
        if (!_quiet.IsCompleted)
        {
            StartAfter(_quiet);
        }
    }

    /// <summary>The controller's identifier in its subsystem.</summary>
    public ushort Id => _controller.Id;

    /// <summary>Whether the host has enabled the controller and it is ready.</summary>
    public bool IsReady => _controller.IsReady;

    /// <summary>Why the controller has failed (CSTS.CFS); null when it has not. The host can reset it.</summary>
    public string? Fault
    {
        get
        {
            lock (_lock)
            {
                return _run?.Fault;
            }
        }
    }

    /// <summary>
    /// Bus master enable, bit 2 of the command register: without it, no access to memory and no message-signalled interrupt.
    /// </summary>
    public bool BusMaster
    {
        get
        {
            lock (_lock)
            {
                return _isMaster;
            }
        }

        set
        {
            lock (_lock)
            {
                _isMaster = value;
                _run?.Pause(!value);
            }
        }
    }

    private bool IsEnabled => (_controller.Configuration & Properties.Enable) != 0;

    private ulong Capabilities
        => Properties.CapabilitiesOf(_controller.Target.Options.QueueEntries, Properties.LocalReadyTime) | Properties.ReadyWithMedia;

    /// <summary>Reads registers; bytes that belong to none are zero. Touches no memory of the host.</summary>
    /// <param name="offset">Offset in BAR 0.</param>
    /// <param name="to">Where the bytes go; accesses of 4 and 8 bytes are usual.</param>
    public void ReadRegister(uint offset, Span<byte> to)
    {
        to.Clear();
        if (offset >= RegisterBlock)
        {
            return;
        }

        Span<byte> block = stackalloc byte[RegisterBlock];
        block.Clear();
        var f = new Fields(block);
        f.U64((int)Properties.Capabilities, Capabilities);
        f.U32((int)Properties.Version, Properties.Version20);
        f.U32((int)Properties.InterruptMaskSet, _pin.Mask);
        f.U32((int)Properties.InterruptMaskClear, _pin.Mask);
        lock (_lock)
        {
            f.U32((int)Properties.Configuration, _controller.Configuration);
            f.U32((int)Properties.Status, _controller.StatusProperty);
            f.U32((int)Properties.AdminQueueAttributes, _attributes);
            f.U64((int)Properties.AdminSubmissionQueue, _submission);
            f.U64((int)Properties.AdminCompletionQueue, _completion);
        }

        f.U32((int)Properties.ReadyTimeouts, Properties.LocalReadyTime);
        var found = block[(int)offset..];
        found[..Math.Min(found.Length, to.Length)].CopyTo(to);
    }

    /// <summary>
    /// The host unmasks the pin: <see cref="IInterrupts.UnmaskPin"/> is called when the doorbells written until now have been looked at.
    /// </summary>
    public void SettlePin()
    {
        if (Volatile.Read(ref _run) is { } run)
        {
            run.SettlePin();
        }
        else
        {
            _interrupts.UnmaskPin();
        }
    }

    /// <summary>Writes a register or a doorbell; the work happens on the worker.</summary>
    /// <param name="offset">Offset in BAR 0.</param>
    /// <param name="from">The bytes; an access that is not of 4 or 8 bytes, or not aligned to 4 bytes, is ignored.</param>
    public void WriteRegister(uint offset, ReadOnlySpan<byte> from)
    {
        if (from.Length is not (sizeof(uint) or sizeof(ulong)) || (offset & 3) != 0)
        {
            return;
        }

        if (offset >= DoorbellOffset)
        {
            if (from.Length == sizeof(uint))
            {
                long index = (offset - DoorbellOffset) / sizeof(uint);
                Volatile.Read(ref _run)?.Ring((int)index, BinaryPrimitives.ReadUInt32LittleEndian(from));
            }

            return;
        }

        for (; from.Length > 0; from = from[sizeof(uint)..], offset += sizeof(uint))
        {
            Write(offset, BinaryPrimitives.ReadUInt32LittleEndian(from));
        }
    }

    /// <summary>
    /// Resets the function (reset of the device, function-level reset): registers return to their initial values, and results of commands
    /// in flight are dropped. After the call nothing of the host's memory is read or written.
    /// </summary>
    public void Reset()
    {
        lock (_lock)
        {
            Stop();
            _controller.Configuration = 0;
            _attributes = 0;
            _submission = _completion = 0;
            _isMaster = false;
        }
    }

    /// <summary>
    /// Cuts the power: the controller fails (CSTS.CFS), and is not ready again before the power is back and the host has reset it. Waits
    /// until nothing of the host's memory is accessed any more.
    /// </summary>
    public Task PowerOffAsync()
    {
        lock (_lock)
        {
            _isOff = true;
            return _run?.LosePowerAsync() ?? Task.CompletedTask;
        }
    }

    /// <summary>Restores the power: a host that waits for the controller to be ready goes on.</summary>
    public void PowerOn()
    {
        lock (_lock)
        {
            _isOff = false;
        }

        StartLater();
    }

    /// <summary>Completes when no command of a controller without power is in flight.</summary>
    public Task QuietAsync()
    {
        lock (_lock)
        {
            return Task.WhenAll(_quiet, _isOff && _run is not null ? _run.QuietAsync() : Task.CompletedTask);
        }
    }

    /// <summary>Ends the controller; waits for the commands in flight, but not forever for a disk that does not answer.</summary>
    public async ValueTask DisposeAsync()
    {
        Task quiet;
        lock (_lock)
        {
            _isDisposed = true;
            Stop();
            quiet = _quiet;
        }

        _controller.Remove();
        await Task.WhenAny(quiet, Task.Delay(QuietLimit));
    }

    private void Write(uint offset, uint value)
    {
        lock (_lock)
        {
            switch (offset)
            {
                case Properties.InterruptMaskSet:
                    _pin.ChangeMask(value, 0);
                    break;
                case Properties.InterruptMaskClear:
                    _pin.ChangeMask(0, value);
                    break;
                case Properties.Configuration:
                    Configure(value);
                    break;
                case Properties.AdminQueueAttributes:
                    _attributes = value & QueueSizeMask;
                    break;
                case Properties.AdminSubmissionQueue:
                    _submission = LowHalf(_submission, value) & PageMask;
                    break;
                case Properties.AdminSubmissionQueue + 4:
                    _submission = HighHalf(_submission, value);
                    break;
                case Properties.AdminCompletionQueue:
                    _completion = LowHalf(_completion, value) & PageMask;
                    break;
                case Properties.AdminCompletionQueue + 4:
                    _completion = HighHalf(_completion, value);
                    break;
            }
        }
    }

    private static ulong LowHalf(ulong register, uint value) => (register & ~(ulong)uint.MaxValue) | value;

    private static ulong HighHalf(ulong register, uint value) => (uint)register | ((ulong)value << 32);

    private void Configure(uint value)
    {
        uint before = _controller.Configuration;
        _controller.Configuration = value;
        bool was = (before & Properties.Enable) != 0;
        if (IsEnabled && !was)
        {
            Start();
        }
        else if (!IsEnabled && was)
        {
            Stop();
        }

        if (((value >> Properties.ShutdownShift) & 3) != 0 && ((before >> Properties.ShutdownShift) & 3) == 0)
        {
            _controller.SetStatus(Properties.ShutdownRunning);
            _shutdowns++;
            _flushesAgain = _isFlushing;
            if (!_isFlushing)
            {
                _isFlushing = true;
                _ = ShutDownAsync();
            }
        }
    }

    private void Start()
    {
        if (!IsValid(_controller.Configuration) || (_attributes & 0xFFF) == 0 || _attributes >> 16 == 0)
        {
            _controller.SetStatus(Properties.Fatal);
        }
        else if (_quiet.IsCompleted && !_isOff && !_isDisposed)
        {
            _run = new ControllerRun(_controller, _options, _memory, _interrupts, _pin, _doorbells, new AdminQueues(
                _submission, (int)(_attributes & 0xFFF) + 1, _completion, (int)(_attributes >> 16) + 1));
            _run.Pause(!_isMaster);
            _run.Start();
        }
    }

    // entry sizes may be set later, but before an I/O queue is created
    private static bool IsValid(uint configuration)
    {
        uint submission = (configuration >> Properties.SubmissionEntryShift) & 0xF;
        uint completion = (configuration >> Properties.CompletionEntryShift) & 0xF;
        return ((configuration >> Properties.CommandSetShift) & 7) is 0 or AllCommandSets
            && ((configuration >> Properties.PageSizeShift) & 0xF) == 0
            && ((configuration >> Properties.ArbitrationShift) & 7) == 0
            && submission is 0 or 6 && completion is 0 or 4;
    }

    private void Stop()
    {
        _shutdowns++;
        var run = _run;
        _run = null;
        run?.Close();
        _controller.Reset();
        _pin.Reset();
        if (run is not null)
        {
            _quiet = run.QuietAsync();
            StartAfter(_quiet);
        }
    }

    private void StartAfter(Task quiet) => quiet.ContinueWith(_ => StartLater(), TaskScheduler.Default);

    // a write of an earlier run must not reach the disk after one of the next: until all have ended, the controller is not ready
    private void StartLater()
    {
        lock (_lock)
        {
            if (IsEnabled && _run is null && (_controller.StatusProperty & Properties.Fatal) == 0)
            {
                Start();
            }
        }
    }

    // one flush at a time, however often the host asks for a shutdown: those that come meanwhile share the next
    private async Task ShutDownAsync()
    {
        // the thread that answers the host must not wait for the disk
        await Task.Yield();
        while (true)
        {
            uint number;
            lock (_lock)
            {
                number = _shutdowns;
                _flushesAgain = false;
            }

            bool isDurable = await _controller.FlushAllAsync();
            lock (_lock)
            {
                if (number == _shutdowns)
                {
                    _controller.SetStatus(isDurable ? Properties.ShutdownComplete : Properties.ShutdownComplete | Properties.Fatal);
                    _controller.ClearStatus(Properties.ShutdownRunning);
                }

                if (!_flushesAgain)
                {
                    _isFlushing = false;
                    return;
                }
            }
        }
    }
}
