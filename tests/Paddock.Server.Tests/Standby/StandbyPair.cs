using System.Text.Json;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Nbd;
using Paddock.Qcow2;
using Paddock.Testing.Protocols;

namespace Paddock.Server.Tests.Standby;

/// <summary>Two servers of one image in a file, 'a' and 'b': whichever is started first owns it.</summary>
internal sealed class StandbyPair : IAsyncDisposable
{
    private readonly Dictionary<string, TestServer> _servers = [];

    private StandbyPair(string folder) => Folder = folder;

    public string Folder { get; }

    public string Image => Path.Combine(Folder, "disk.qcow2");

    public TestServer A => _servers["a"];

    public TestServer B => _servers["b"];

    /// <summary>Creates an image and starts both servers.</summary>
    /// <param name="zoned">Whether the image has zones.</param>
    /// <param name="with">Modifies the settings of both.</param>
    public static async Task<StandbyPair> StartAsync(bool zoned = true, Func<ServeSettings, ServeSettings>? with = null)
    {
        var pair = new StandbyPair(Directory.CreateTempSubdirectory("paddock-standby-").FullName);
        await ImageFile.CreateAsync(
            pair.Image, TestServer.Zones * TestServer.Zone, zoned ? new ZonedCreateOptions { ZoneSize = TestServer.Zone } : null);
        await pair.StartAsync("a", with);
        await pair.StartAsync("b", with);
        return pair;
    }

    /// <summary>Settings of one of the servers.</summary>
    public ServeSettings SettingsOf(string name) => new()
    {
        Images = [new ServedImage { Path = Image }], Standby = true, Node = 1 + name[0] - 'a',
        Nvme = "127.0.0.1:0", Nbd = "unix:" + Path.Combine(Folder, name + ".nbd"), Control = Path.Combine(Folder, name + ".control"),
    };

    public async Task StartAsync(string name, Func<ServeSettings, ServeSettings>? with = null)
    {
        var settings = SettingsOf(name);
        _servers[name] = await TestServer.StartInAsync(Folder, with?.Invoke(settings) ?? settings);
    }

    /// <summary>Connects an NBD client, which fails while the server is on standby.</summary>
    public async Task<IBlockDevice> NbdAsync(string name)
        => (await new ImageOpener("t", TextWriter.Null).OpenAsync(
            $"nbd+unix:///disk?socket={Path.Combine(Folder, name + ".nbd")}",
            new OpenSettings { Format = "raw", ReadOnly = false })).Device;

    /// <summary>Waits until a server has taken the image over.</summary>
    public static Task TakenOverAsync(TestServer server)
        => Eventually.IsAsync(() => server.MetricAsync("paddock_disk_active{image=\"disk\"}"), active => active == 1);

    /// <summary>Names of the events in a server's log.</summary>
    public static string[] EventsOf(TestServer server)
        => [.. server.Log.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("event").GetString()!)];

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers.Values)
        {
            await server.StopAsync();
        }

        Directory.Delete(Folder, recursive: true);
    }
}
