using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Paddock.Images;
using Paddock.Server;
using Paddock.Server.Live;

namespace Paddock.Web.Tests;

public class ApiTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Health_names_the_number_of_disks()
    {
        await using var server = await WebServer.StartAsync();
        var health = await server.JsonAsync("/healthz");
        Assert.Equal(("ok", 1), (health.GetProperty("status").GetString(), health.GetProperty("disks").GetInt32()));
    }

    [Fact]
    public async Task Zones_have_conditions_write_pointers_and_traffic()
    {
        await using var server = await WebServer.StartAsync();
        await using var disk = await server.NvmeAsync();
        await disk.Zones!.AppendAsync(2 << 20, new byte[8192], cancellationToken: Stop);
        var zone = await Testing.Protocols.Eventually.IsAsync(
            async () => (await server.JsonAsync("/api/zones?from=2&count=1")).GetProperty("zones")[0],
            static zone => zone.GetProperty("condition").GetString() == "implicitly open");
        Assert.Equal((2 << 20) + 8192, zone.GetProperty("write_pointer").GetInt64());
        Assert.Equal(1, zone.GetProperty("writes").GetInt32());
    }

    [Fact]
    public async Task Zones_are_filtered_by_state_and_by_stamp()
    {
        await using var server = await WebServer.StartAsync();
        var all = await server.JsonAsync("/api/zones");
        Assert.Equal((16, 16), (all.GetProperty("zone_count").GetInt32(), all.GetProperty("zones").GetArrayLength()));
        Assert.False(all.TryGetProperty("next", out _));
        await server.AskAsync("offline zone=5");
        string since = "/api/zones?since=" + all.GetProperty("stamp").GetInt64();
        foreach (string path in new[] { "/api/zones?state=offline,open", since })
        {
            var found = await Testing.Protocols.Eventually.IsAsync(
                async () => (await server.JsonAsync(path)).GetProperty("zones"), static zones => zones.GetArrayLength() > 0);
            Assert.Equal(5, Assert.Single(found.EnumerateArray()).GetProperty("zone").GetInt32());
        }
    }

    [Fact]
    public async Task Long_lists_of_zones_come_in_parts()
    {
        await using var server = await WebServer.StartAsync(zones: 40);
        var seen = new List<int>();
        for (int? from = 0; from is { } start;)
        {
            var part = await server.JsonAsync($"/api/zones?count=15&from={start}");
            seen.AddRange(part.GetProperty("zones").EnumerateArray().Select(z => z.GetProperty("zone").GetInt32()));
            from = part.TryGetProperty("next", out var next) ? next.GetInt32() : null;
        }

        Assert.Equal(Enumerable.Range(0, 40), seen);
    }

    [Fact]
    public async Task Packed_zones_are_arrays_of_one_value_each()
    {
        await using var server = await WebServer.StartAsync();
        await using var disk = await server.NvmeAsync();
        await disk.Zones!.AppendAsync(3 << 20, new byte[4096], cancellationToken: Stop);
        await disk.ReadAsync(3 << 20, new byte[512], Stop);
        byte[] packed = await Testing.Protocols.Eventually.IsAsync(
            () => server.Client.GetByteArrayAsync("/api/zones.bin", Stop),
            static packed => Value(packed, 0, 3) > 0 && Value(packed, 3, 3) > 0);
        Assert.Equal(ZoneReplies.PackedHead + (16 * 17), packed.Length);
        Assert.Equal((16u, 512u), (Number(packed, 4), Number(packed, 8)));
        Assert.Equal((8u, 1u, 0u, 1u), (Value(packed, 0, 3), Value(packed, 1, 3), Value(packed, 2, 3), Value(packed, 3, 3)));
        Assert.Equal((2, 1), (packed[^13], packed[^12]));

        static uint Number(byte[] packed, int at) => BinaryPrimitives.ReadUInt32LittleEndian(packed.AsSpan(at));

        static uint Value(byte[] packed, int array, int zone) => Number(packed, ZoneReplies.PackedHead + (((array * 16) + zone) * 4));
    }

    [Fact]
    public async Task Past_zones_come_with_the_frames_since_then()
    {
        await using var server = await WebServer.StartAsync();
        await using var disk = await server.NvmeAsync();
        await PastAsync(server, static frames => frames.Length > 0);
        await disk.Zones!.AppendAsync(3 << 20, new byte[4096], cancellationToken: Stop);
        byte[] packed = await PastAsync(server, static frames => frames.Any(f => f.Disks[0].Zones is [3, 1, 2, 4096, ..]));
        Assert.Equal(0u, BinaryPrimitives.ReadUInt32LittleEndian(packed.AsSpan(ZoneReplies.PackedHead + (3 * 4))));
        Assert.Equal(1, packed[ZoneReplies.PackedHead + (16 * 16) + 3]);
    }

    [Fact]
    public async Task Events_begin_where_the_client_is()
    {
        await using var server = await WebServer.StartAsync();
        await using var disk = await server.NvmeAsync();
        uint stamp = (await server.JsonAsync("/api/zones")).GetProperty("stamp").GetUInt32();
        await disk.Zones!.AppendAsync(4 << 20, new byte[4096], cancellationToken: Stop);
        await using var stream = await server.Client.GetStreamAsync($"/api/events?interval=100&stamp={stamp}", Stop);
        using var reader = new StreamReader(stream);
        for (var frame = await NextAsync(reader); ; frame = await NextAsync(reader))
        {
            Assert.Equal(LiveFrame.Delta, frame.Type);
            if (frame.Disks[0].Zones is [4, 1, 2, 4096, 1, 0, 0])
            {
                return;
            }
        }
    }

    [Fact]
    public async Task Seventeenth_stream_is_rejected_and_stopping_ends_the_others()
    {
        await using var server = await WebServer.StartAsync();
        var streams = new List<Stream>();
        for (int i = 0; i < EventStream.MaxClients; i++)
        {
            streams.Add(await server.Client.GetStreamAsync("/api/events", Stop));
        }

        Assert.Equal(503, (await server.SendAsync("/api/events")).Status);
        await server.Server.DisposeAsync();
        foreach (var stream in streams)
        {
            await Record.ExceptionAsync(() => stream.CopyToAsync(Stream.Null, Stop));
            await stream.DisposeAsync();
        }
    }

    [Theory]
    [InlineData("/api/zones?from=-1", "from=-1: expected a number from 0 to")]
    [InlineData("/api/zones?count=0", "count=0: expected a number from 1 to 10000")]
    [InlineData("/api/zones?count=10001", "count=10001")]
    [InlineData("/api/zones?state=broken", "state=broken: expected one of conventional, empty, implicitly-open")]
    [InlineData("/api/zones?disk=other", "unknown image 'other'; expected disk")]
    [InlineData("/api/zones?from=1&from=2", "parameter 'from' is given twice")]
    [InlineData("/api/events?interval=99", "interval=99: expected a number from 100 to 10000")]
    public async Task Invalid_parameter_is_named(string path, string why)
    {
        await using var server = await WebServer.StartAsync();
        var (status, text) = await server.SendAsync(path);
        Assert.Equal(400, status);
        Assert.Contains(why, JsonDocument.Parse(text).RootElement.GetProperty("error").GetString()!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Plain_disk_has_no_zones()
    {
        await using var server = await WebServer.StartAsync(zoneSize: 0, with: s => s with
        {
            Images = [new ServedImage { Path = PlainIn(Path.GetDirectoryName(s.Control!)!), Format = "raw" }],
        });
        Assert.Contains("plain\\u0027 has no zones", (await server.SendAsync("/api/zones")).Text, StringComparison.Ordinal);
        Assert.False((await server.JsonAsync("/api/disks")).GetProperty("disks")[0].TryGetProperty("zoned", out _));
    }

    [Theory]
    [InlineData("Host", "attacker.example", 421)]
    [InlineData("Origin", "http://attacker.example", 403)]
    [InlineData("Origin", "null", 403)]
    public async Task Requests_of_other_sites_are_rejected(string header, string value, int expected)
    {
        await using var server = await WebServer.StartAsync();
        foreach (string path in new[] { "/", "/api/zones", "/metrics", "/api/events" })
        {
            Assert.Equal(expected, (await server.SendAsync(path, headers: (header, value))).Status);
        }
    }

    [Fact]
    public async Task Configured_host_name_is_accepted()
    {
        await using var server = await WebServer.StartAsync(with: s => s with { WebHosts = ["disks.example"] });
        Assert.Equal(200, (await server.SendAsync("/healthz", headers: ("Host", "disks.example:8080"))).Status);
    }

    [Fact]
    public async Task Page_allows_no_inline_script_and_asks_nobody_else()
    {
        await using var server = await WebServer.StartAsync();
        using var reply = await server.Client.GetAsync("/", Stop);
        string policy = string.Join(' ', reply.Headers.GetValues("Content-Security-Policy"));
        Assert.Contains("default-src 'none'; script-src 'self'", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        foreach (var asset in Asset.OfPage())
        {
            var (status, text) = await server.SendAsync(asset.Path);
            Assert.Equal(200, status);
            Assert.DoesNotMatch(@"(src|href)=""(https?:)?//|import .*https?:|\sstyle=""|\son[a-z]+=""", text);
        }
    }

    [Fact]
    public async Task Unchanged_asset_is_not_sent_again()
    {
        await using var server = await WebServer.StartAsync();
        using var reply = await server.Client.GetAsync("/page.js", Stop);
        var (status, text) = await server.SendAsync("/page.js", headers: ("If-None-Match", reply.Headers.ETag!.ToString()));
        Assert.Equal((304, ""), (status, text));
    }

    [Theory]
    [InlineData("GET /metrics?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)]
    [InlineData("GET /metrics HTTP/1.0\r\n\r\n", 200)]
    [InlineData("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)]
    [InlineData("GET /metrics HTTP/1.1\r\nHost: attacker.example\r\n\r\n", 421)]
    [InlineData("GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: attacker.example\r\n\r\n", 400)]
    [InlineData("GET /metrics HTTP/1.1\r\n\r\n", 400)]
    [InlineData("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 404)]
    [InlineData("GET /api/disks HTTP/1.1\r\nHost: localhost\r\n\r\n", 404)]
    [InlineData("DELETE /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 405)]
    [InlineData("\0\r\n\r\n", 400)]
    public async Task Metrics_port_answers_metrics_alone(string request, int status)
    {
        await using var server = await WebServer.StartAsync();
        Assert.Equal(status, await RawAsync(server.Server.MetricsAddress!.Port, request));
    }

    [Fact]
    public async Task Endless_head_is_rejected()
    {
        await using var server = await WebServer.StartAsync();
        string head = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: " + new string('x', 20_000) + "\r\n\r\n";
        Assert.Equal(431, await RawAsync(server.Server.MetricsAddress!.Port, head));
    }

    [Fact]
    public async Task Unix_socket_serves_the_page_and_is_removed()
    {
        string path = "";
        await using (var server = await WebServer.StartAsync(with: s => s with
        {
            Metrics = "unix:" + (path = Path.Combine(Path.GetDirectoryName(s.Control!)!, "m")),
        }))
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), Stop);
            Assert.Equal(200, await StatusOfAsync(socket, "GET /metrics HTTP/1.1\r\nHost: anything\r\n\r\n"));
            await server.Server.DisposeAsync();
            Assert.False(File.Exists(path));
        }
    }

    [Fact]
    public async Task Build_without_the_web_part_rejects_its_options()
    {
        foreach (var settings in new[] { new ServeSettings { Web = "127.0.0.1:0" }, new ServeSettings { Metrics = "127.0.0.1:0" } })
        {
            var error = await Assert.ThrowsAsync<ToolException>(() => PaddockServer.StartAsync(
                settings with { Images = [new ServedImage { Path = "x" }], Nbd = "127.0.0.1:0" },
                new ServeLog(TextWriter.Null, TimeProvider.System, json: false)));
            Assert.Contains($"{(settings.Web is null ? "--metrics" : "--web")}: this build has no web part", error.Message,
                StringComparison.Ordinal);
        }
    }

    private static async Task<byte[]> PastAsync(WebServer server, Func<LiveFrame[], bool> isRight)
        => await Testing.Protocols.Eventually.IsAsync(
            () => server.Client.GetByteArrayAsync("/api/zones.bin?past=true", Stop),
            packed => isRight(JsonSerializer.Deserialize(
                packed.AsSpan(packed.Length - BinaryPrimitives.ReadInt32LittleEndian(packed.AsSpan(12))),
                WebJson.Default.LiveFrameArray)!));

    private static string PlainIn(string folder)
    {
        string path = Path.Combine(folder, "plain");
        File.WriteAllBytes(path, new byte[1 << 20]);
        return path;
    }

    private static async Task<LiveFrame> NextAsync(StreamReader reader)
    {
        while (true)
        {
            string line = await reader.ReadLineAsync(Stop) ?? throw new EndOfStreamException();
            if (line.StartsWith("data: ", StringComparison.Ordinal))
            {
                return JsonSerializer.Deserialize(line[6..], LiveJson.Default.LiveFrame)!;
            }
        }
    }

    private static async Task<int> RawAsync(int port, string request)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync("127.0.0.1", port, Stop);
        return await StatusOfAsync(socket, request);
    }

    private static async Task<int> StatusOfAsync(Socket socket, string request)
    {
        await socket.SendAsync(Encoding.ASCII.GetBytes(request), Stop);
        using var reader = new StreamReader(new NetworkStream(socket));
        string status = await reader.ReadLineAsync(Stop) ?? "HTTP/1.1 0";
        return int.Parse(status.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);
    }
}
