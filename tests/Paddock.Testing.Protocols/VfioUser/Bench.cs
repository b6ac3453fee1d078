using System.Net.Sockets;
using Paddock.Block;
using Paddock.Faults;
using Paddock.Nvme;
using Paddock.Posix;
using Paddock.Qcow2;
using Paddock.Serving;
using Paddock.VfioUser;

namespace Paddock.Testing.Protocols.VfioUser;

/// <summary>
/// Server on a Unix socket in its own folder, for one test: namespace 1 is a plain disk in memory, namespace 2 a zoned image in memory.
/// </summary>
internal sealed class Bench : IAsyncDisposable
{
    public const long DiskBytes = 16 << 20, ZoneBytes = 1 << 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("vfio-").FullName;
    private readonly IBlockDevice _zoned;

    private Bench(IBlockDevice zoned, VfioUserServerOptions options, NvmeTargetOptions? limits)
    {
        _zoned = zoned;
        Target = new NvmeTarget(limits ?? new NvmeTargetOptions());
        Subsystem = new NvmeSubsystem("nqn.2026-01.io.paddock:test", "TEST");
        Subsystem.Add(new NvmeNamespace(
            1, CheckedDevice.Wrap(new ServedDevice(Disk, Faults)), 512, "plain") { HeldRequests = Faults });
        Subsystem.Add(new NvmeNamespace(2, CheckedDevice.Wrap(zoned), 512, "zoned"));
        Target.Add(Subsystem);
        Server = new VfioUserServer(Target, Subsystem, options with { Log = AddLine, Notices = AddNotice });
        var (listener, _) = ServerSockets.Unix(SocketPath);
        Server.Listen(listener);
    }

    public TestDevice Disk { get; } = new(DiskBytes);

    public DeviceFaults Faults { get; } = new();

    public NvmeTarget Target { get; }

    public NvmeSubsystem Subsystem { get; }

    public VfioUserServer Server { get; }

    public List<string> Lines { get; } = [];

    public List<ClientNotice> Notices { get; } = [];

    public string SocketPath => Path.Combine(_folder, "s");

    public string Log
    {
        get
        {
            lock (Lines)
            {
                return string.Join('\n', Lines);
            }
        }
    }

    public static async Task<Bench> StartAsync(VfioUserServerOptions? options = null, NvmeTargetOptions? limits = null)
    {
        var storage = new MemoryStorage("disk");
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = 8 * ZoneBytes, Zoned = new ZonedCreateOptions { ZoneSize = ZoneBytes },
        });
        return new Bench(await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions()), options ?? new VfioUserServerOptions(), limits);
    }

    public VfioClient Connect(DeviceMemory? memory = null) => new(VfioClient.ConnectSocket(SocketPath)) { Memory = memory };

    /// <summary>Device of a client that has sent its version.</summary>
    public PciDevice ConnectDevice(DeviceMemory? memory = null)
    {
        var device = new PciDevice(Connect(memory));
        device.Greet();
        return device;
    }

    public async ValueTask DisposeAsync()
    {
        Faults.Clear();
        await Server.DisposeAsync();
        await _zoned.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private void AddLine(string line)
    {
        lock (Lines)
        {
            Lines.Add(line);
        }
    }

    private void AddNotice(ClientNotice notice)
    {
        lock (Notices)
        {
            Notices.Add(notice);
        }
    }
}
