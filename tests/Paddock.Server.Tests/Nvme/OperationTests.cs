using System.Net;
using System.Net.Sockets;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Nvme;
using Paddock.Posix;
using Paddock.Server.Control;
using Paddock.Testing.Protocols;

namespace Paddock.Server.Tests.Nvme;

/// <summary>`paddock serve` in operation: combined listeners, limits, metrics, a stop under load, sockets from a service manager.</summary>
public sealed class OperationTests : IDisposable
{
    private const int Zone = 1 << 20, Piece = 4096;

    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-operation-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Data_written_on_one_listener_is_read_on_another_and_both_are_counted()
    {
        await using var server = await StartAsync(Settings());
        await using var nbd = await NbdAsync();
        await using var nvme = await NvmeNode.OpenAsync(server.NvmeName(), readOnly: false, Token);
        byte[] data = new byte[Piece], back = new byte[Piece];
        data.AsSpan().Fill(9);
        await nbd.Device.WriteAsync(0, data, cancellationToken: Token);
        await nbd.Device.FlushAsync(Token);
        await nvme.ReadAsync(0, back, Token);
        Assert.Equal(data, back);
        await nvme.WriteAsync(Piece, data, cancellationToken: Token);
        await nbd.Device.ReadAsync(Piece, back, Token);
        Assert.Equal(data, back);
        var page = await server.MetricsAsync();
        Assert.Equal(Piece, page["paddock_nbd_bytes_total{export=\"disk\",kind=\"write\"}"]);
        Assert.Equal(2 * Piece, page["paddock_image_client_written_bytes_total{image=\"disk\"}"]);
        double stored = page["paddock_image_written_bytes_total{image=\"disk\"}"];
        Assert.True(stored >= 2 * Piece, $"{stored}");
        Assert.Equal(stored / (2 * Piece), page["paddock_image_write_amplification{image=\"disk\"}"]);
        Assert.Equal(1, page["paddock_zones_open{image=\"disk\"}"]);
        Assert.Equal(1, page["paddock_nvme_latency_seconds_count{kind=\"write\"}"]);
        Assert.True(page["paddock_nbd_latency_seconds_count{kind=\"write\"}"] >= 1);
        Assert.Equal(1, page["paddock_connections{listener=\"nbd\"}"]);
        Assert.True(page["paddock_buffer_bytes"] > 0);
    }

    [Fact]
    public async Task Nbd_explains_a_rejected_zone_write_and_accepts_a_sequential_one()
    {
        await using var server = await StartAsync(Settings());
        await using var nbd = await NbdAsync();
        byte[] data = new byte[Piece];
        await nbd.Device.WriteAsync(Zone, data, cancellationToken: Token);
        var refused = await Assert.ThrowsAnyAsync<BlockException>(
            () => nbd.Device.WriteAsync(Zone + (4 * Piece), data, cancellationToken: Token).AsTask());
        Assert.Equal(BlockError.InvalidArgument, refused.Error);
        Assert.Contains("write pointer", refused.Message, StringComparison.OrdinalIgnoreCase);
        await nbd.Device.WriteAsync(Zone + Piece, data, cancellationToken: Token);
        Assert.Equal(1, (await server.MetricsAsync())["paddock_nbd_request_errors_total{export=\"disk\"}"]);
    }

    [Fact]
    public async Task Stop_under_load_loses_no_acknowledged_write()
    {
        await using (var server = await StartAsync(Settings()))
        {
            await using var nbd = await NbdAsync();
            await using var nvme = await NvmeNode.OpenAsync(server.NvmeName(), readOnly: false, Token);
            var started = new TaskCompletionSource();
            Task<int>[] writers = [WriteZoneAsync(nbd.Device, 2, 0x22, started), WriteZoneAsync(nvme, 4, 0x44, started)];
            await started.Task;
            await server.DisposeAsync();
            int[] done = await Task.WhenAll(writers);
            await using var image = await OpenAsync();
            for (int i = 0; i < 2; i++)
            {
                byte[] back = new byte[done[i]];
                await image.Device.ReadAsync((2 + (2 * i)) * Zone, back, Token);
                Assert.Equal(-1, back.AsSpan().IndexOfAnyExcept((byte)(0x22 * (i + 1))));
            }
        }

        // start again: the sockets and the image are free
        await using var again = await StartAsync(Settings());
    }

    [Fact]
    public async Task Beyond_the_cap_an_nvme_host_is_hung_up_on_and_an_nbd_client_waits()
    {
        await using var server = await StartAsync(Settings() with { MaxConnections = 2 });
        using var first = await ConnectAsync(server);
        using var second = await ConnectAsync(server);
        await Eventually.IsAsync(
            () => server.MetricAsync("paddock_connections{listener=\"nvme\"}"), static connections => connections == 2);
        using var third = await ConnectAsync(server);
        Assert.Equal(0, await third.ReceiveAsync(new byte[1], Token));
        await using var one = await NbdAsync();
        var two = await NbdAsync();
        var waiting = NbdAsync();
        Assert.False(waiting.IsCompleted);
        await two.DisposeAsync();
        await (await waiting).DisposeAsync();
    }

    [Fact]
    public async Task Where_memory_is_spent_requests_are_refused_and_the_server_goes_on()
    {
        await using var server = await StartAsync(Settings() with { MaxMemory = "16M" });
        await using var nbd = await NbdAsync();
        await using var nvme = await NvmeNode.OpenAsync(server.NvmeName(), readOnly: false, Token);
        Assert.StartsWith("ok", await server.AskAsync("hang command=write count=0"), StringComparison.Ordinal);
        byte[] much = new byte[Zone];
        var all = Enumerable.Range(0, 24)
            .Select(_ => Record.ExceptionAsync(() => nbd.Device.WriteAsync(0, much, cancellationToken: Token).AsTask()).AsTask()).ToArray();
        var first = Assert.IsType<BlockException>(await await Task.WhenAny(all));
        Assert.Equal(BlockError.NoMemory, first.Error);
        Assert.StartsWith("ok", await server.AskAsync("clear"), StringComparison.Ordinal);
        var ends = await Task.WhenAll(all);
        Assert.Contains(ends, e => e is null);
        Assert.Contains(ends, e => e is BlockException { Error: BlockError.InvalidArgument });
        await nbd.Device.ReadAsync(0, much.AsMemory(0, Piece), Token);
        await nvme.ReadAsync(0, much.AsMemory(0, Piece), Token);
        var page = await server.MetricsAsync();
        Assert.Equal(16 << 20, page["paddock_buffer_limit_bytes"]);
        Assert.True(page["paddock_buffer_bytes"] <= 16 << 20);
    }

    [Fact]
    public async Task Second_signal_stops_without_waiting()
    {
        var server = await StartAsync(Settings() with { DrainTimeout = 600 });
        await using var nbd = await NbdAsync();
        Assert.StartsWith("ok", await server.AskAsync("hang command=read"), StringComparison.Ordinal);
        var held = nbd.Device.ReadAsync(0, new byte[Piece], Token).AsTask();
        await Eventually.IsAsync(async () => (await server.AskAsync("status")).Replace(" ", "", StringComparison.Ordinal)
            .Contains("\"waiting\":1", StringComparison.Ordinal), static holds => holds);
        server.Server.StopNow();
        await server.DisposeAsync();
        await Assert.ThrowsAnyAsync<BlockException>(() => held);
    }

    [Fact]
    public async Task Sockets_of_a_service_manager_are_served_and_states_are_reported()
    {
        using var ear = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        ear.Bind(new UnixDomainSocketEndPoint(At("notify")));
        var handed = ServerSockets.Tcp(new IPEndPoint(IPAddress.Loopback, 0));
        int port = ((IPEndPoint)handed.LocalEndPoint!).Port;
        var manager = ServiceManager.Of(
            name => name switch
            {
                "NOTIFY_SOCKET" => At("notify"), "LISTEN_PID" => "7", "LISTEN_FDS" => "1", "LISTEN_FDNAMES" => "nbd", _ => null,
            },
            process: 7, first: (int)handed.SafeHandle.DangerousGetHandle());
        await using (var server = await TestServer.StartInAsync(
            _folder, new ServeSettings { Images = [await ImageAsync()] }, manager))
        {
            handed.SafeHandle.SetHandleAsInvalid();
            Assert.Equal($"127.0.0.1:{port}", server.Server.NbdAddress);
            await using var nbd = await OpenerOf().OpenAsync($"nbd://127.0.0.1:{port}/disk", new OpenSettings { Format = "raw" });
            Assert.Equal(8 * Zone, nbd.Device.Length);
            manager.Ready();
            Assert.Equal("READY=1", await HearAsync(ear));
            manager.Reloading();
            Assert.StartsWith("RELOADING=1\nMONOTONIC_USEC=", await HearAsync(ear), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("1", "telnet", "one of nvme")]
    [InlineData("2", "nbd", "passed 2 sockets with 1 names")]
    public void Passed_sockets_with_unknown_names_are_rejected(string count, string names, string message)
    {
        string? Variable(string name) => name switch { "LISTEN_PID" => "7", "LISTEN_FDS" => count, "LISTEN_FDNAMES" => names, _ => null };
        Assert.Contains(message, Assert.Throws<ToolException>(() => ServiceManager.Of(Variable, 7)).Message, StringComparison.Ordinal);
        Assert.False(ServiceManager.Of(Variable, 8).Has("nbd"));
    }

    [Fact]
    public async Task Check_config_prints_what_would_be_served_and_names_the_invalid_key()
    {
        var image = await ImageAsync();
        var output = new StringWriter();
        ServeCheck.Run(Settings() with { Images = [image] }, output);
        string said = output.ToString();
        Assert.Contains("export disk", said, StringComparison.Ordinal);
        Assert.Contains("nvme 127.0.0.1:0, all hosts", said, StringComparison.Ordinal);
        foreach (var (wrong, key) in new (ServeSettings, string)[]
        {
            (Settings() with { MaxConnections = 0 }, "max-connections"), (Settings() with { MaxMemory = "1k" }, "max-memory"),
            (Settings() with { NbdTls = "maybe" }, "nbd-tls"), (Settings() with { Nvme = "here" }, "--nvme"),
            (Settings() with { NbdTlsCreds = At("none") }, "--nbd-tls-creds"),
        })
        {
            Assert.Contains(key, Assert.Throws<ToolException>(() => ServeCheck.Run(wrong with { Images = [image] }, output)).Message,
                StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Invalid_configuration_value_is_named_by_line_and_key()
    {
        File.WriteAllText(At("c.json"), "{\n  \"nvme\": \"127.0.0.1:1\",\n  \"max-connections\": \"many\"\n}");
        string message = Assert.Throws<ToolException>(() => ServeSettings.Load(At("c.json"))).Message;
        Assert.Contains("line 3", message, StringComparison.Ordinal);
        Assert.Contains("max-connections", message, StringComparison.Ordinal);
    }

    private static async Task<int> WriteZoneAsync(IBlockDevice device, int zone, byte fill, TaskCompletionSource started)
    {
        byte[] data = new byte[Piece];
        data.AsSpan().Fill(fill);
        int done = 0;
        try
        {
            for (; done < Zone; done += Piece)
            {
                await device.WriteAsync((zone * Zone) + done, data, cancellationToken: Token);
                if (done > 16 * Piece)
                {
                    started.TrySetResult();
                }
            }
        }
        catch (BlockException)
        {
            // the server has stopped
        }

        started.TrySetResult();
        return done;
    }

    private static async Task<Socket> ConnectAsync(TestServer server)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(server.NvmeAddress, Token);
        return socket;
    }

    private static async Task<string> HearAsync(Socket ear)
    {
        byte[] text = new byte[256];
        return System.Text.Encoding.ASCII.GetString(text, 0, await ear.ReceiveAsync(text, Token));
    }

    private static ImageOpener OpenerOf() => new("t", TextWriter.Null);

    private string At(string name) => Path.Combine(_folder, name);

    private async Task<ImageNode> NbdAsync()
        => await OpenerOf().OpenAsync($"nbd+unix:///disk?socket={At("n")}", new OpenSettings { Format = "raw", ReadOnly = false });

    private async Task<ImageNode> OpenAsync() => await OpenerOf().OpenAsync(At("disk.qcow2"), new OpenSettings());

    private async Task<ServedImage> ImageAsync()
    {
        string image = At("disk.qcow2");
        if (!File.Exists(image))
        {
            var zoned = new Qcow2.ZonedCreateOptions { ZoneSize = Zone };
            await ImageFile.CreateAsync(image, 8 * Zone, zoned);
        }

        return new ServedImage { Path = image };
    }

    private ServeSettings Settings() => TestServer.SettingsIn(_folder);

    private async Task<TestServer> StartAsync(ServeSettings settings)
        => await TestServer.StartInAsync(_folder, settings with { Images = [await ImageAsync()] });
}
