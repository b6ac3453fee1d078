using System.Net;
using Paddock.Block;
using Paddock.Faults;
using Paddock.Nvme;
using Paddock.Nvme.Ana;
using Paddock.Nvme.Wire;
using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Testing.Protocols.Nvme;

/// <summary>Server on the loopback with one zoned namespace in memory, and a host connected to it.</summary>
internal sealed class Bench : IAsyncDisposable
{
    private readonly NvmeTcpServer _server;
    private readonly IBlockDevice _image;

    private Bench(NvmeTcpServer server, NvmeTarget target, NvmeSubsystem subsystem, IBlockDevice image)
    {
        _server = server;
        Target = target;
        Subsystem = subsystem;
        _image = image;
    }

    public NvmeTarget Target { get; }

    public NvmeSubsystem Subsystem { get; }

    public NvmeNamespace Namespace => Subsystem.Namespaces[0];

    public DeviceFaults Faults => (DeviceFaults)Namespace.HeldRequests!;

    public NvmeTcpServer Server => _server;

    public NvmeTcpHost Host { get; private set; } = null!;

    public IBlockDevice Zoned { get; private set; } = null!;

    public static async Task<Bench> StartAsync(
        bool headerDigest = false, bool dataDigest = false, uint maxOpen = 0, uint maxActive = 0, NvmeTargetOptions? options = null,
        RandomAreaLimits area = default, int blockSize = 512, AnaGroup? group = null, ControllerRange? controllers = null)
    {
        var storage = new MemoryStorage("disk");
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = 8 << 20,
            Zoned = new ZonedCreateOptions { ZoneSize = 1 << 20, MaxOpenZones = maxOpen, MaxActiveZones = maxActive, RandomArea = area },
        });
        var faults = new DeviceFaults();
        var image = new ServedDevice(await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions()), faults);
        var target = new NvmeTarget(options ?? new NvmeTargetOptions());
        var subsystem = new NvmeSubsystem("nqn.2026-01.io.paddock:test", "TEST") { ControllerIds = controllers ?? ControllerRange.All };
        subsystem.Add(new NvmeNamespace(1, CheckedDevice.Wrap(image), blockSize, "disk") { HeldRequests = faults, AnaGroup = group });
        target.Add(subsystem);
        var server = new NvmeTcpServer(target, ServerSockets.Tcp(new IPEndPoint(IPAddress.Loopback, 0)));
        var bench = new Bench(server, target, subsystem, image);
        bench.Host = await NvmeTcpHost.ConnectAsync(bench.HostOptions() with { HeaderDigest = headerDigest, DataDigest = dataDigest });
        bench.Zoned = await bench.Host.OpenAsync(1, ownsHost: false);
        return bench;
    }

    public NvmeTcpHostOptions HostOptions() => new() { Host = "127.0.0.1", Port = _server.Address.Port, SubsystemNqn = Subsystem.Nqn };

    public async ValueTask DisposeAsync()
    {
        await Host.DisposeAsync();
        await _server.DisposeAsync();
        await _image.DisposeAsync();
    }
}
