using System.Net.Sockets;
using Paddock.Images;
using Paddock.Qcow2;
using Paddock.Server.Control;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.VhostUser;

namespace Paddock.Server.Tests.VhostUser;

/// <summary>`paddock serve` of one image by vhost-user, with a control socket, in this process.</summary>
internal sealed class VhostServer : IAsyncDisposable
{
    private readonly string _folder;
    private readonly PaddockServer _server;
    private bool _stopped;

    private VhostServer(string folder, PaddockServer server)
    {
        _folder = folder;
        _server = server;
    }

    public static async Task<VhostServer> StartAsync(ServeSettings? settings = null, bool zoned = true)
    {
        string folder = Directory.CreateTempSubdirectory("vhost-server-").FullName;
        string image = Path.Combine(folder, "disk.qcow2");
        await ImageFile.CreateAsync(image, Guest.Zones * Guest.Zone, zoned ? new ZonedCreateOptions { ZoneSize = Guest.Zone } : null);
        var server = await PaddockServer.StartAsync(
            (settings ?? new ServeSettings()) with
            {
                Images = [new ServedImage { Path = image }],
                VhostUser = Path.Combine(folder, "s"),
                Control = Path.Combine(folder, "c"),
                Metrics = "unix:" + Path.Combine(folder, "m"),
            },
            new ServeLog(TextWriter.Null, TimeProvider.System, json: true));
        return new VhostServer(folder, server);
    }

    public Task<string> AskAsync(string line)
        => ControlSocket.AskAsync(Path.Combine(_folder, "c"), line, TestContext.Current.CancellationToken);

    /// <summary>The sample of a metric without labels.</summary>
    public async Task<double> MetricAsync(string name)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(_folder, "m")));
        await socket.SendAsync("GET /metrics HTTP/1.1\r\n\r\n"u8.ToArray());
        using var reader = new StreamReader(new NetworkStream(socket));
        string page = await reader.ReadToEndAsync();
        string line = page.Split('\n').Single(l => l.StartsWith(name + " ", StringComparison.Ordinal));
        return double.Parse(line.AsSpan(name.Length), System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>A guest with so many rings that run.</summary>
    public Guest Connect(int rings = 1, bool packed = false, long memory = 8 << 20)
        => Guest.Connect(Path.Combine(_folder, "s"), rings, packed, memory);

    /// <summary>Stops the server and checks the image.</summary>
    public async Task CheckAsync()
    {
        await StopAsync();
        await using var file = ImageOpener.OpenFile(Path.Combine(_folder, "disk.qcow2"), readOnly: true);
        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(file, Qcow2Repair.None, lines.Add);
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
}
