using System.Net.Sockets;
using Paddock.Block;
using Paddock.Nbd;

namespace Paddock.Testing.Protocols.Nbd;

/// <summary>Server on a Unix socket in its own folder, for one test; both are disposed with it.</summary>
internal sealed class Bench : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nbd-").FullName;

    public Bench(NbdServerOptions? options = null, params NbdExport[] exports)
    {
        Server = new NbdServer(options ?? new NbdServerOptions(), exports);
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(SocketPath));
        listener.Listen();
        Server.Listen(listener);
    }

    public NbdServer Server { get; }

    public string SocketPath => System.IO.Path.Combine(_folder, "s");

    public NbdTarget Target => new() { SocketPath = SocketPath };

    public string Uri => $"nbd+unix:///?socket={SocketPath}";

    public string Path(string name) => System.IO.Path.Combine(_folder, name);

    /// <summary>A disk in memory, guarded, and its storage.</summary>
    public static (IBlockDevice Device, MemoryStorage Storage) Disk(long size = 1 << 20)
    {
        var storage = new MemoryStorage();
        storage.SetLengthAsync(size).AsTask().Wait();
        return (CheckedDevice.Wrap(new RawDevice(storage)), storage);
    }

    public static Bench Of(IBlockDevice device, NbdServerOptions? options = null)
        => new(options, new NbdExport { Name = "", Device = device });

    public RawClient Connect()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 30000 };
        socket.Connect(new UnixDomainSocketEndPoint(SocketPath));
        return new RawClient(socket);
    }

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}
