using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Server.Control;
using Paddock.Testing.Protocols;

namespace Paddock.Server.Tests.Nvme;

/// <summary>A server of one zoned image by NVMe and NBD, with a control socket, in this process.</summary>
internal sealed class FaultServer : IAsyncDisposable
{
    public const int Zone = 1 << 20, Zones = 8;

    private readonly string _folder;
    private readonly PaddockServer _server;
    private bool _stopped;

    private FaultServer(string folder, PaddockServer server)
    {
        _folder = folder;
        _server = server;
    }

    public string Image => Path.Combine(_folder, "disk.qcow2");

    public string Control => ControlIn(_folder);

    public int Port => _server.NvmeAddress!.Port;

    public static async Task<FaultServer> StartAsync(string? cache = "1M", string? script = null, int conventional = 0, Func<ServeSettings, ServeSettings>? with = null)
    {
        string folder = Directory.CreateTempSubdirectory("paddock-faults-").FullName;
        string image = Path.Combine(folder, "disk.qcow2");
        var zoned = new Qcow2.ZonedCreateOptions { ZoneSize = Zone, ConventionalZones = (uint)conventional };
        await ImageFile.CreateAsync(image, Zones * Zone, zoned);
        if (script is not null)
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "script"), script);
        }

        var settings = new ServeSettings
        {
            Images = [new ServedImage { Path = image }],
            Nvme = "127.0.0.1:0",
            Nbd = "unix:" + Path.Combine(folder, "n"),
            Control = ControlIn(folder),
            VolatileCache = cache,
            Faults = script is null ? [] : [Path.Combine(folder, "script")],
        };
        var server = await PaddockServer.StartAsync(with?.Invoke(settings) ?? settings, new ServeLog(TextWriter.Null, TimeProvider.System, json: true));
        return new FaultServer(folder, server);
    }

    public Task<string> AskAsync(string line) => ControlSocket.AskAsync(Control, line, TestContext.Current.CancellationToken);

    public async Task<string> RefusalAsync(string line) => (await Assert.ThrowsAsync<ToolException>(() => AskAsync(line))).Message;

    /// <summary>A host that does not come back by itself: what it wrote before a cut it must not take for written after.</summary>
    public async Task<IBlockDevice> NvmeAsync(int ns = 1)
        => await NvmeNode.OpenAsync($"nvme+tcp://127.0.0.1:{Port}/nqn.2026-01.io.paddock:disk?ns={ns}&reconnect=0", readOnly: false);

    public async Task<IBlockDevice> NbdAsync()
        => (await new ImageOpener("t", TextWriter.Null)
            .OpenAsync($"nbd+unix:///disk?socket={Path.Combine(_folder, "n")}", new OpenSettings { Format = "raw", ReadOnly = false })).Device;

    public Task<IBlockDevice> OpenAsync(bool nbd) => nbd ? NbdAsync() : Task.Run(async () => (IBlockDevice)await NvmeAsync());

    /// <summary>Stops the server and checks the image.</summary>
    public async Task CheckAsync()
    {
        await StopAsync();
        await using var file = ImageOpener.OpenFile(Image, readOnly: true);
        var lines = new List<string>();
        var report = await Qcow2.Qcow2Image.CheckAsync(file, Qcow2.Qcow2Repair.None, lines.Add);
        Assert.True(report.Corruptions == 0 && report.CheckErrors == 0, string.Join("\n", lines));
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task StopAsync()
    {
        if (!_stopped)
        {
            _stopped = true;
            await _server.DisposeAsync();
        }
    }

    private static string ControlIn(string folder) => Path.Combine(folder, "c");
}
