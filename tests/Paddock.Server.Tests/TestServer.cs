using System.Net;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Qcow2;
using Paddock.Server.Control;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.VhostUser;

namespace Paddock.Server.Tests;

/// <summary>`paddock serve` in this process: ready when created; disposal stops it and deletes its folder.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    public const int Zone = 1 << 20, Zones = 8;

    private readonly ServeSettings _settings;
    private readonly StringWriter _log;
    private readonly bool _ownsFolder;
    private bool _stopped;

    private TestServer(PaddockServer server, ServeSettings settings, string folder, bool ownsFolder, StringWriter log)
    {
        Server = server;
        Folder = folder;
        _settings = settings;
        _ownsFolder = ownsFolder;
        _log = log;
    }

    public PaddockServer Server { get; }

    public string Folder { get; }

    /// <summary>Image created by <see cref="StartAsync"/>.</summary>
    public string Image => Path.Combine(Folder, "disk.qcow2");

    /// <summary>Log lines, as JSON.</summary>
    public string Log => _log.ToString();

    /// <summary>Path of the control socket.</summary>
    public string Control => _settings.Control!;

    public IPEndPoint NvmeAddress => Server.NvmeAddress!;

    /// <summary>Serves one image by NVMe/TCP and NBD, with a control socket, in its own folder.</summary>
    /// <param name="cache">Size of the volatile cache; null: none.</param>
    /// <param name="script">Faults that are set before the first client connects.</param>
    /// <param name="zoned">Whether the image has zones.</param>
    /// <param name="conventional">Number of conventional zones.</param>
    /// <param name="vhostUser">Whether a virtual machine can also connect.</param>
    /// <param name="with">Modifies the settings.</param>
    public static async Task<TestServer> StartAsync(
        string? cache = null, string? script = null, bool zoned = true, int conventional = 0, bool vhostUser = false,
        Func<ServeSettings, ServeSettings>? with = null)
    {
        string folder = Directory.CreateTempSubdirectory("paddock-server-").FullName;
        string image = Path.Combine(folder, "disk.qcow2");
        await ImageFile.CreateAsync(
            image, Zones * Zone, zoned ? new ZonedCreateOptions { ZoneSize = Zone, ConventionalZones = (uint)conventional } : null);
        if (script is not null)
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "script"), script);
        }

        var settings = SettingsIn(folder) with
        {
            Images = [new ServedImage { Path = image }],
            VhostUser = vhostUser ? Path.Combine(folder, "s") : null,
            VolatileCache = cache,
            Faults = script is null ? [] : [Path.Combine(folder, "script")],
        };
        return await StartAsync(with?.Invoke(settings) ?? settings, folder, ownsFolder: true, null);
    }

    /// <summary>Starts a server with the given settings, in the folder of the test.</summary>
    public static Task<TestServer> StartInAsync(string folder, ServeSettings settings, ServiceManager? manager = null)
        => StartAsync(settings, folder, ownsFolder: false, manager);

    /// <summary>NVMe/TCP, NBD and a control socket, in a folder or on free ports.</summary>
    public static ServeSettings SettingsIn(string folder) => new()
    {
        Nvme = "127.0.0.1:0",
        Nbd = "unix:" + Path.Combine(folder, "n"),
        Control = Path.Combine(folder, "c"),
    };

    public Task<string> AskAsync(string line) => ControlSocket.AskAsync(Control, line, TestContext.Current.CancellationToken);

    public async Task<string> RefusalAsync(string line) => (await Assert.ThrowsAsync<ToolException>(() => AskAsync(line))).Message;

    /// <summary>Name of a namespace, for the tools.</summary>
    public string NvmeName(string query = "") => $"nvme+tcp://127.0.0.1:{NvmeAddress.Port}/nqn.2026-01.io.paddock:disk{query}";

    /// <summary>Connects a host that does not reconnect: data written before a power cut must not count as written after it.</summary>
    public async Task<IBlockDevice> NvmeAsync(int ns = 1) => await NvmeNode.OpenAsync(NvmeName($"?ns={ns}&reconnect=0"), readOnly: false);

    public async Task<IBlockDevice> NbdAsync()
        => (await new ImageOpener("t", TextWriter.Null)
            .OpenAsync($"nbd+unix:///disk?socket={Path.Combine(Folder, "n")}",
            new OpenSettings { Format = "raw", ReadOnly = false })).Device;

    public Task<IBlockDevice> OpenAsync(bool nbd) => nbd ? NbdAsync() : NvmeAsync();

    /// <summary>Connects a virtual machine with this number of running rings.</summary>
    public Guest Connect(int rings = 1, bool packed = false, long memory = 8 << 20)
        => Guest.Connect(_settings.VhostUser!, rings, packed, memory);

    /// <summary>The metrics page.</summary>
    public async Task<Exposition> MetricsAsync() => Exposition.Parse(await Server.RenderMetricsAsync());

    /// <summary>Returns one sample of the metrics page.</summary>
    public async Task<double> MetricAsync(string sample) => (await MetricsAsync())[sample];

    /// <summary>Stops the server and checks the image.</summary>
    public async Task CheckAsync()
    {
        await StopAsync();
        await using var file = ImageOpener.OpenFile(Image, readOnly: true);
        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(file, Qcow2Repair.None, lines.Add);
        Assert.True(report.Corruptions == 0 && report.CheckErrors == 0, string.Join("\n", lines));
    }

    /// <summary>Stops the server; its folder is kept until disposal.</summary>
    public async Task StopAsync()
    {
        if (!_stopped)
        {
            _stopped = true;
            await Server.DisposeAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        if (_ownsFolder && Directory.Exists(Folder))
        {
            Directory.Delete(Folder, recursive: true);
        }
    }

    private static async Task<TestServer> StartAsync(ServeSettings settings, string folder, bool ownsFolder, ServiceManager? manager)
    {
        var log = new StringWriter();
        try
        {
            var server = await PaddockServer.StartAsync(
                settings, new ServeLog(TextWriter.Synchronized(log), TimeProvider.System, json: true), manager);
            server.LogReady();
            return new TestServer(server, settings, folder, ownsFolder, log);
        }
        catch when (ownsFolder)
        {
            Directory.Delete(folder, recursive: true);
            throw;
        }
    }
}
