using System.Net.Sockets;
using Paddock.Block;
using Paddock.VhostUser;

namespace Paddock.Testing.Protocols.VhostUser;

/// <summary>Server on a Unix socket in its own folder, for one test; both are disposed with it.</summary>
internal sealed class Bench : IAsyncDisposable
{
    public const long DiskBytes = 16 << 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("vhost-").FullName;

    public Bench(int queues = 1, IBlockDevice? disk = null, TimeSpan handshakeLimit = default, TimeProvider? time = null,
        bool sealedMemoryOnly = true)
    {
        Server = new VhostUserServer(disk ?? CheckedDevice.Wrap(Disk), new VhostUserServerOptions
        {
            Queues = queues,
            HandshakeLimit = handshakeLimit,
            SealedMemoryOnly = sealedMemoryOnly,
            Time = time ?? TimeProvider.System,
            Log = line =>
            {
                lock (Lines)
                {
                    Lines.Add(line);
                }
            },
        });
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(SocketPath));
        listener.Listen();
        Server.Listen(listener);
    }

    public TestDevice Disk { get; } = new(DiskBytes) { Records = true };

    /// <summary>Start offsets of writes, in order.</summary>
    public IReadOnlyList<long> Writes => [.. Disk.Requests.Where(r => r.Call == DeviceCall.Write).Select(r => r.Offset)];

    public VhostUserServer Server { get; }

    public List<string> Lines { get; } = [];

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

    public FrontEnd Connect(GuestRam ram) => FrontEnd.Connect(SocketPath, ram);

    /// <summary>Front end that has completed negotiation, with ring 0 running.</summary>
    public (FrontEnd FrontEnd, GuestRing Ring) Start(GuestRam ram, bool packed = false, int size = 64)
    {
        var frontEnd = Connect(ram);
        frontEnd.Negotiate(FrontEnd.Version1 | (packed ? FrontEnd.Packed : 0));
        frontEnd.ShareMemory();
        var ring = frontEnd.Ring(0, size, packed);
        frontEnd.Start(0, ring, StartOf(packed));
        return (frontEnd, ring);
    }

    /// <summary>Base of an unused ring.</summary>
    public static uint StartOf(bool packed) => packed ? 0x8000_8000u : 0;

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}
