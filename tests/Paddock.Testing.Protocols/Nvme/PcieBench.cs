using Paddock.Block;
using Paddock.Faults;
using Paddock.Nvme;
using Paddock.Nvme.Pcie;
using Paddock.Nvme.Target;
using Paddock.Qcow2;

namespace Paddock.Testing.Protocols.Nvme;

/// <summary>A controller on a PCI bus with a zoned namespace 1 and a plain namespace 2, both of 8 MiB in memory, and its host.</summary>
internal sealed class PcieBench : IAsyncDisposable
{
    public const int BlockSize = 512;

    private readonly IBlockDevice _zoned, _plain;

    private PcieBench(
        NvmeTarget target, NvmeSubsystem subsystem, PcieOptions options, IBlockDevice zoned, IBlockDevice plain, int memory)
    {
        (_zoned, _plain) = (zoned, plain);
        (Target, Subsystem) = (target, subsystem);
        Memory = new HostMemory(memory);
        Interrupts = new InterruptDouble();
        Host = new PcieHost(new PcieController(target, subsystem, options, Memory, Interrupts), Memory);
    }

    public NvmeTarget Target { get; }

    public NvmeSubsystem Subsystem { get; }

    public HostMemory Memory { get; }

    public InterruptDouble Interrupts { get; }

    public PcieHost Host { get; }

    public PcieController Controller => Host.Controller;

    /// <summary>The rules before the plain namespace.</summary>
    public DeviceFaults Faults => (DeviceFaults)Subsystem.Namespaces[1].HeldRequests!;

    public static async Task<PcieBench> StartAsync(
        PcieOptions? options = null, NvmeTargetOptions? limits = null, bool enables = true, int memory = 8 << 20,
        INamespaceManager? manager = null)
    {
        var storage = new MemoryStorage("disk");
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = 8 << 20, Zoned = new ZonedCreateOptions { ZoneSize = 1 << 20 },
        });
        var zoneFaults = new DeviceFaults();
        var zoned = new ServedDevice(await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions()), zoneFaults);
        var raw = new MemoryStorage("plain");
        await raw.SetLengthAsync(8 << 20);
        var faults = new DeviceFaults();
        var plain = new ServedDevice(new RawDevice(raw), faults);
        var target = new NvmeTarget(limits ?? new NvmeTargetOptions());
        var subsystem = new NvmeSubsystem("nqn.2026-01.io.paddock:test", "TEST") { Manager = manager, AllowsFormat = manager is not null };
        subsystem.Add(new NvmeNamespace(1, CheckedDevice.Wrap(zoned), BlockSize, "zoned") { HeldRequests = zoneFaults });
        subsystem.Add(new NvmeNamespace(2, CheckedDevice.Wrap(plain), BlockSize, "plain") { HeldRequests = faults });
        target.Add(subsystem);
        var bench = new PcieBench(target, subsystem, options ?? new PcieOptions { IoQueues = 8, Vectors = 9 }, zoned, plain, memory);
        if (enables)
        {
            bench.Host.Enable();
        }

        return bench;
    }

    public async ValueTask DisposeAsync()
    {
        await Controller.DisposeAsync();
        await _zoned.DisposeAsync();
        await _plain.DisposeAsync();
    }
}
