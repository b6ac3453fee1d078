using System.Net;
using Paddock.Block;
using Paddock.Faults;
using Paddock.Nvme;
using Paddock.Nvme.Ana;
using Paddock.Nvme.Wire;
using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Testing.Protocols.Nvme;

/// <summary>Two servers of one subsystem over one zoned disk in memory, of which one has it.</summary>
internal sealed class TwoServers : IAsyncDisposable
{
    public const string Nqn = "nqn.2026-01.io.paddock:test";

    private readonly IBlockDevice _disk;

    private TwoServers(IBlockDevice disk)
    {
        _disk = disk;
        First = new Side(disk, 1, AnaState.Optimized);
        Second = new Side(disk, 2, AnaState.Inaccessible);
    }

    /// <summary>The server that has the disk at first.</summary>
    public Side First { get; }

    /// <summary>The server that waits at first.</summary>
    public Side Second { get; }

    /// <summary>The disk, without a server.</summary>
    public IBlockDevice Disk => _disk;

    public static async Task<TwoServers> StartAsync(long size = 8 << 20, long zoneSize = 1 << 20)
    {
        var storage = new MemoryStorage("disk");
        await Qcow2Image.CreateAsync(
            storage, new Qcow2CreateOptions { Size = size, Zoned = zoneSize == 0 ? null : new ZonedCreateOptions { ZoneSize = zoneSize } });
        return new TwoServers(CheckedDevice.Wrap(await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions())));
    }

    /// <summary>Options of a host with both paths.</summary>
    public NvmeTcpHostOptions HostOptions(TimeSpan? limit = null) => new()
    {
        Host = "127.0.0.1", Port = First.Port, OtherAddresses = [new DnsEndPoint("127.0.0.1", Second.Port)], SubsystemNqn = Nqn,
        ReconnectTime = limit ?? TimeSpan.FromSeconds(30),
    };

    /// <summary>Hands the disk over as planned: nothing in flight is lost, and everything is durable.</summary>
    public static async Task HandOverAsync(Side from, Side to)
    {
        from.Group.SetState(AnaState.Change);
        await from.DrainAsync();
        await from.Namespace.Device.FlushAsync();
        from.Group.SetState(AnaState.Inaccessible);
        to.Group.SetState(AnaState.Optimized);
        from.Admit();
    }

    public async ValueTask DisposeAsync()
    {
        await First.DisposeAsync();
        await Second.DisposeAsync();
        await _disk.DisposeAsync();
    }

    /// <summary>One of the servers, behind a relay.</summary>
    internal sealed class Side : IAsyncDisposable
    {
        private readonly NvmeTcpServer _server;
        private readonly Relay _relay;

        public Side(IBlockDevice disk, int node, AnaState state)
        {
            Group = new AnaGroup(1, state);
            Namespace = new NvmeNamespace(1, CheckedDevice.Wrap(new ServedDevice(disk, Faults)), 512, "disk")
            {
                AnaGroup = Group, HeldRequests = Faults,
            };
            Target = new NvmeTarget(new NvmeTargetOptions());
            Subsystem = new NvmeSubsystem(Nqn, "TEST") { ControllerIds = ControllerRange.OfNode(node) };
            Subsystem.Add(Namespace);
            Target.Add(Subsystem);
            _server = new NvmeTcpServer(Target, ServerSockets.Tcp(new IPEndPoint(IPAddress.Loopback, 0)));
            _relay = new Relay(_server.Address.Port);
        }

        public AnaGroup Group { get; }

        public DeviceFaults Faults { get; } = new();

        public NvmeNamespace Namespace { get; }

        public NvmeTarget Target { get; }

        public NvmeSubsystem Subsystem { get; }

        /// <summary>Port that hosts connect to.</summary>
        public int Port => _relay.Port;

        /// <summary>Connections accepted so far.</summary>
        public long Accepted => _server.Accepted;

        /// <summary>Completes when no command is inside; further ones are refused until <see cref="Admit"/>.</summary>
        public async Task DrainAsync()
        {
            Assert.True(Namespace.Closing.TryBegin(NvmeStatus.AccessTransition));
            await Namespace.Closing.QuietAsync();
        }

        /// <summary>Lets commands in.</summary>
        public void Admit() => Namespace.Closing.End();

        /// <summary>Makes the server silent, or lets it answer again; its connections stay.</summary>
        public void Freeze(bool isFrozen)
        {
            if (isFrozen)
            {
                _relay.Freeze();
            }
            else
            {
                _relay.Thaw();
            }
        }

        /// <summary>Whether the network reaches the server. Current connections end.</summary>
        public void Connect(bool isReachable)
        {
            _relay.Target = isReachable ? _server.Address.Port : 0;
            _relay.Cut();
        }

        public async ValueTask DisposeAsync()
        {
            await _relay.DisposeAsync();
            await _server.DisposeAsync();
        }
    }
}
