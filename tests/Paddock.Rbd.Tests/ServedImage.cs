using Paddock.Block;
using Paddock.Images;
using Paddock.Testing.Protocols;

namespace Paddock.Rbd.Tests;

/// <summary>A server that owns an image, without <c>--standby</c>, and a client of it.</summary>
internal sealed class ServedImage : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-owner-").FullName;
    private ImageNode? _client;

    private ServedImage(ServerProcess server) => Server = server;

    /// <summary>The server.</summary>
    public ServerProcess Server { get; private set; }

    /// <summary>The disk, as the client sees it.</summary>
    public IBlockDevice Disk => _client!.Device;

    /// <summary>Starts a server of a raw image, and connects to it.</summary>
    public static async Task<ServedImage> StartAsync(RbdTarget target)
    {
        var served = new ServedImage(null!);
        string socket = Path.Combine(served._folder, "nbd");
        served.Server = await ServerProcess.ServeAsync(target.ToString(), "--format", "raw", "--nbd", "unix:" + socket);
        served._client = await new ImageOpener("test", TextWriter.Null).OpenAsync(
            "nbd+unix:///?socket=" + socket, new OpenSettings { ReadOnly = false, Format = "raw" });
        return served;
    }

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        await (_client?.DisposeAsync() ?? default);
        Directory.Delete(_folder, recursive: true);
    }
}
