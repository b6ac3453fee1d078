using Paddock.Nvme;
using Paddock.Nvme.Pcie;
using Paddock.VfioUser.Interrupts;
using Paddock.VfioUser.Memory;

namespace Paddock.VfioUser.Pci;

/// <summary>
/// The PCI function that a client uses: configuration space, BAR 0 with the NVMe controller behind it, interrupts. Used on the message
/// thread, and never waits for a disk.
/// </summary>
internal sealed class PciFunction : IFunctionEvents, IAsyncDisposable
{
    private readonly ConfigurationSpace _configuration;
    private readonly BarLayout _layout;
    private readonly DoorbellPages? _doorbells;
    private long _resets;

    /// <param name="target">The target.</param>
    /// <param name="subsystem">The subsystem whose namespaces are offered.</param>
    /// <param name="options">Options of the server.</param>
    /// <param name="pcie">Settings of the controller that do not depend on those of the server.</param>
    /// <param name="memory">The client's memory.</param>
    /// <exception cref="IOException">There is no memory or descriptor left.</exception>
    /// <exception cref="InvalidOperationException">The subsystem has too many controllers.</exception>
    public PciFunction(
        NvmeTarget target, NvmeSubsystem subsystem, VfioUserServerOptions options, PcieOptions pcie, DmaTable memory)
    {
        int vectors = options.MsiX ? options.Queues + 1 : 0;
        _layout = new BarLayout(options.Queues, vectors);
        _configuration = new ConfigurationSpace(
            new ConfigurationOptions(_layout.Size, vectors, _layout.TableOffset, _layout.PendingOffset, HasPin: true), this);
        Interrupts = new IrqTable(vectors, hasPin: true);
        _doorbells = options.MappedDoorbells ? new DoorbellPages(_layout) : null;
        try
        {
            Controller = new PcieController(
                target, subsystem,
                pcie with
                {
                    IoQueues = options.Queues,
                    Vectors = Math.Max(vectors, 1),
                    Polling = options.Polling,

                    // with the pin, a completion queue's position must arrive before the interrupt is unmasked: as a message
                    ShadowDoorbells = _doorbells is null && vectors > 0,
                    MappedDoorbells = _doorbells,
                },
                memory, Interrupts);
        }
        catch
        {
            _doorbells?.Dispose();
            throw;
        }
    }

    /// <summary>The controller.</summary>
    public PcieController Controller { get; }

    /// <summary>Interrupts.</summary>
    public IrqTable Interrupts { get; }

    /// <summary>Doorbells that the client may map; null: it may not.</summary>
    public DoorbellPages? Doorbells => _doorbells;

    /// <summary>Layout of BAR 0.</summary>
    public BarLayout Layout => _layout;

    /// <summary>Number of resets so far.</summary>
    public long Resets => Interlocked.Read(ref _resets);

    /// <summary>Reads configuration space; the caller has checked the range.</summary>
    public void ReadConfiguration(int offset, Span<byte> to) => _configuration.Read(offset, to, Interrupts.IsPinAsserted);

    /// <summary>Writes configuration space; the caller has checked the range.</summary>
    public void WriteConfiguration(int offset, ReadOnlySpan<byte> from) => _configuration.Write(offset, from);

    /// <summary>Reads BAR 0; the caller has checked the range.</summary>
    public void ReadBar(uint offset, Span<byte> to)
    {
        int registers = offset < _layout.TableOffset ? (int)Math.Min((uint)to.Length, _layout.TableOffset - offset) : 0;
        if (registers > 0)
        {
            Controller.ReadRegister(offset, to[..registers]);
        }

        to[registers..].Clear();
    }

    /// <summary>Writes BAR 0; the caller has checked the range.</summary>
    public void WriteBar(uint offset, ReadOnlySpan<byte> from)
    {
        if (offset < _layout.TableOffset && from.Length <= _layout.TableOffset - offset)
        {
            Controller.WriteRegister(offset, from);
        }
    }

    /// <summary>Resets the function.</summary>
    public void Reset()
    {
        _configuration.Reset();
        FunctionReset();
        ConfigurationChanged();
    }

    /// <inheritdoc/>
    public void FunctionReset()
    {
        Interlocked.Increment(ref _resets);
        Controller.Reset();
    }

    /// <inheritdoc/>
    public void ConfigurationChanged()
    {
        Interrupts.IsEnabled = _configuration.IsMsiXEnabled;
        Interrupts.DisablePin(_configuration.IsPinDisabled);
        Controller.BusMaster = _configuration.IsBusMaster;
    }

    /// <summary>Ends the function; waits for the commands in flight.</summary>
    public async ValueTask DisposeAsync()
    {
        await Controller.DisposeAsync();
        _doorbells?.Dispose();
        Interrupts.Dispose();
    }
}
