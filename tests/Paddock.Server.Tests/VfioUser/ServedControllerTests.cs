using Paddock.Block;
using Paddock.Images;
using Paddock.Testing.Protocols.VfioUser;

namespace Paddock.Server.Tests.VfioUser;

/// <summary>`paddock serve --vfio-user`: a controller on a virtual machine's PCI bus, with the disks of the other listeners.</summary>
public sealed class ServedControllerTests : IDisposable
{
    private const int Block = 4096, Zone = TestServer.Zone;

    private readonly DeviceMemory _memory = new(8 << 20);

    [Fact]
    public async Task Namespaces_are_those_of_NVMe_over_TCP()
    {
        await using var server = await StartAsync(conventional: 2);
        using var driver = Connect(server);
        NvmeDriver.Check(driver.Identify(2), "list of namespaces");
        Assert.Equal([1u, 2u, 0u], Enumerable.Range(0, 3).Select(i => driver.Memory.U32(driver.Buffer + ((ulong)i * 4))));
        using var queue = driver.CreateQueue(1, 16);
        ulong data = driver.Reserve(Block);
        _memory.Span(data, Block).Fill(7);
        Assert.Equal(0, queue.Run(NvmeDriver.Write, 1, data, Block, 0, 0, 7).Status);
        Assert.Equal(0, queue.Run(NvmeDriver.Append, 2, data, Block, 0, 0, 7).Status);
        await using var first = await server.NvmeAsync();
        await using var second = await server.NvmeAsync(2);
        Assert.Equal(7, (await ReadAsync(first, 0))[0]);
        Assert.Equal(7, (await ReadAsync(second, 0))[Block - 1]);
        Assert.Equal(1, await server.MetricAsync(
            "paddock_nvme_commands_total{nqn=\"nqn.2026-01.io.paddock:disk\",namespace=\"1\",kind=\"write\"}"));
    }

    [Fact]
    public async Task Power_cut_keeps_the_connection_and_flushed_data()
    {
        await using var server = await StartAsync(cache: "1M");
        using var driver = Connect(server);
        ushort request;
        using (var queue = driver.CreateQueue(1, 16))
        {
            ulong data = driver.Reserve(Block);
            _memory.Span(data, Block).Fill(7);
            Assert.Equal(0, queue.Run(NvmeDriver.Append, 1, data, Block, 0, 0, 7).Status);
            Assert.Equal(0, queue.Run(NvmeDriver.Flush, 1).Status);
            Assert.Equal(0, queue.Run(NvmeDriver.Append, 1, data, Block, 0, 0, 7).Status);
            request = driver.Admin.Put(0x0C, 0);
            driver.Admin.Ring();
            NvmeDriver.Check(driver.Identify(1), "identify");
            Assert.Equal("ok: power cut and restored", await server.AskAsync("powercut"));
            Assert.Equal((request, 0x10300u), (driver.Admin.Take() is var told ? told.Id : (ushort)0, (uint)told.Result));
            Assert.Equal(3u, driver.Device.Read32(NvmeDriver.Bar, NvmeDriver.Csts));
        }

        driver.Restart();
        using var next = driver.CreateQueue(1, 16);
        ulong back = driver.Reserve(Block);
        var done = next.Run(NvmeDriver.Append, 1, back, Block, 0, 0, 7);
        Assert.Equal((0, 8u), (done.Code, (uint)done.Result));
        Assert.False(driver.Device.Client.HasEnded);
        await server.CheckAsync();
    }

    [Fact]
    public async Task Held_command_ends_with_a_power_cut()
    {
        await using var server = await StartAsync(cache: "1M");
        using var driver = Connect(server);
        using (var queue = driver.CreateQueue(1, 16))
        {
            await server.AskAsync("hang command=append");
            queue.Put(NvmeDriver.Append, 1, driver.Reserve(Block), Block, 0, 0, 7);
            queue.Ring();
            await server.AskAsync("powercut");
            Assert.False(queue.TryTake(out _));
        }

        driver.Restart();
        NvmeDriver.Check(driver.Identify(1), "identify");
    }

    [Fact]
    public async Task Dropped_connections_leave_a_controller_to_be_reset()
    {
        await using var server = await StartAsync();
        using var driver = Connect(server);
        await server.AskAsync("drop");
        Assert.True(SpinWait.SpinUntil(
            () => (driver.Device.Read32(NvmeDriver.Bar, NvmeDriver.Csts) & 2) != 0, TimeSpan.FromSeconds(30)));
        driver.Restart();
        NvmeDriver.Check(driver.Identify(1), "identify");
    }

    [Fact]
    public async Task Resizing_is_reported_by_an_event()
    {
        await using var server = await StartAsync(zoned: false);
        using var driver = Connect(server);
        NvmeDriver.Check(driver.Admin.Run(9, 0, cdw10: 0x0B, cdw11: 0x100), "event configuration");
        ushort request = driver.Admin.Put(0x0C, 0);
        driver.Admin.Ring();
        NvmeDriver.Check(driver.Identify(1), "identify");
        await server.AskAsync("resize size=+1M");
        var told = driver.Admin.Take();
        Assert.Equal((request, 0x40002u), (told.Id, (uint)told.Result));
        NvmeDriver.Check(driver.Identify(0, 1), "identify");
        Assert.Equal((TestServer.Zones + 1ul) * Zone / 512, driver.Memory.U64(driver.Buffer));
    }

    [Fact]
    public async Task Connections_are_logged_and_counted()
    {
        await using var server = await StartAsync();
        using (var driver = Connect(server))
        {
            NvmeDriver.Check(driver.Identify(1), "identify");
            Assert.Equal(0, driver.Device.Reset());
        }

        Assert.True(SpinWait.SpinUntil(
            () => server.Log.Contains("\"disconnected\"", StringComparison.Ordinal), TimeSpan.FromSeconds(30)));
        Assert.Contains("\"connected\",\"listener\":\"vfio-user\",\"peer\":\"pid ", server.Log, StringComparison.Ordinal);
        string labels = $"{{nqn=\"nqn.2026-01.io.paddock:disk\",socket=\"unix:{SocketOf(server)}\"}}";
        Assert.Equal(1, await server.MetricAsync("paddock_vfio_user_resets_total" + labels));
        Assert.Equal(1, await server.MetricAsync("paddock_vfio_user_connections_accepted_total" + labels));
        Assert.True(await server.MetricAsync("paddock_vfio_user_requests_total" + labels) > 0);
        Assert.True(await server.MetricAsync("paddock_vfio_user_interrupts_total" + labels) > 0);
    }

    [Fact]
    public async Task Endpoint_names_the_command_line_of_qemu()
    {
        await using var server = await StartAsync();
        var endpoint = Assert.Single(server.Server.Endpoints, e => e.Listener == "vfio-user");
        Assert.Equal("unix:" + SocketOf(server), endpoint.Uri);
        Assert.Contains(
            $"-device '{{\"driver\":\"vfio-user-pci\",\"socket\":{{\"path\":\"{SocketOf(server)}\",\"type\":\"unix\"}}}}'",
            endpoint.ConnectCommand, StringComparison.Ordinal);
        Assert.Contains("share=on", endpoint.ConnectCommand, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Only_vfio_user_can_be_served()
    {
        await using var server = await TestServer.StartAsync(with: s => s with
        {
            Nvme = null, Nbd = null, VfioUser = [Path.Combine(Path.GetDirectoryName(s.Control)!, "v")],
        });
        using var driver = Connect(server);
        using var queue = driver.CreateQueue(1, 16);
        Assert.Equal(0, queue.Run(NvmeDriver.Append, 1, driver.Reserve(Block), Block, 0, 0, 7).Status);
        Assert.Equal(Block, await server.MetricAsync(
            "paddock_nvme_bytes_total{nqn=\"nqn.2026-01.io.paddock:disk\",namespace=\"1\",kind=\"write\"}"));
    }

    [Fact]
    public async Task Socket_of_another_file_is_rejected()
    {
        string error = await RefusalAsync(s => File.WriteAllText(SocketIn(s), "text"), s => [SocketIn(s)]);
        Assert.Contains("a file that is not a socket has this name", error, StringComparison.Ordinal);
        Assert.StartsWith("--vfio-user", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Socket_path_that_is_too_long_is_rejected()
        => Assert.EndsWith(
            "the path of a socket has 1 to 107 bytes; this one has 200", await RefusalAsync(_ => { }, _ => [new string('s', 200)]),
            StringComparison.Ordinal);

    [Fact]
    public async Task Socket_that_is_given_twice_is_rejected()
        => Assert.Contains("given twice", await RefusalAsync(_ => { }, s => [SocketIn(s), SocketIn(s)]), StringComparison.Ordinal);

    [Fact]
    public async Task Unknown_subsystem_is_rejected()
        => Assert.EndsWith(
            "unknown subsystem 'nqn.x'; expected nqn.2026-01.io.paddock:disk", await RefusalAsync(_ => { }, s => [SocketIn(s) + "=nqn.x"]),
            StringComparison.Ordinal);

    public void Dispose() => _memory.Dispose();

    private static Task<TestServer> StartAsync(string? cache = null, bool zoned = true, int conventional = 0)
        => TestServer.StartAsync(cache, zoned: zoned, conventional: conventional, with: s => s with { VfioUser = [SocketIn(s)] });

    private static async Task<string> RefusalAsync(Action<ServeSettings> prepare, Func<ServeSettings, IReadOnlyList<string>> sockets)
        => (await Assert.ThrowsAsync<ToolException>(() => TestServer.StartAsync(with: s =>
        {
            prepare(s);
            return s with { VfioUser = sockets(s) };
        }))).Message;

    private static string SocketIn(ServeSettings settings) => Path.Combine(Path.GetDirectoryName(settings.Control)!, "v");

    private static string SocketOf(TestServer server) => Path.Combine(server.Folder, "v");

    private static async Task<byte[]> ReadAsync(IBlockDevice device, long offset)
    {
        byte[] data = new byte[Block];
        await device.ReadAsync(offset, data);
        return data;
    }

    private NvmeDriver Connect(TestServer server)
        => NvmeDriver.Start(new VfioClient(VfioClient.ConnectSocket(SocketOf(server))), _memory);
}
