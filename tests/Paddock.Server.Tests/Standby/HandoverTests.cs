using Paddock.Block;
using Paddock.Images;
using Paddock.Nvme;
using Paddock.Nvme.Ana;
using Paddock.Testing.Protocols;

namespace Paddock.Server.Tests.Standby;

/// <summary>Two servers of one file: one serves it, the other waits; hand-overs and take-overs.</summary>
public sealed class HandoverTests
{
    private const int Block = 4096;

    private static readonly byte[] Data = [.. Enumerable.Repeat((byte)7, Block)];

    [Fact]
    public async Task Only_one_server_is_active_and_the_other_takes_over_when_it_stops()
    {
        await using var pair = await StandbyPair.StartAsync();
        Assert.Equal(1, await pair.A.MetricAsync("paddock_disk_active{image=\"disk\"}"));
        Assert.Equal(0, await pair.B.MetricAsync("paddock_disk_active{image=\"disk\"}"));
        await using (var disk = await pair.NbdAsync("a"))
        {
            await disk.WriteAsync(0, Data, cancellationToken: TestContext.Current.CancellationToken);
        }

        await pair.A.StopAsync();
        await StandbyPair.TakenOverAsync(pair.B);
        await using var after = await pair.NbdAsync("b");
        Assert.Equal(Data, await ReadAsync(after));
        Assert.Contains("taken over", StandbyPair.EventsOf(pair.B));
    }

    [Fact]
    public async Task Handover_flushes_and_releases_before_it_answers()
    {
        await using var pair = await StandbyPair.StartAsync();
        await using (var disk = await pair.NbdAsync("a"))
        {
            await disk.WriteAsync(0, Data, cancellationToken: TestContext.Current.CancellationToken);
            Assert.StartsWith("ok: handed over disk in ", await pair.A.AskAsync("handover image=disk"), StringComparison.Ordinal);

            // the client was disconnected, and may not come back
            await Assert.ThrowsAnyAsync<BlockException>(async () => await ReadAsync(disk));
        }

        await StandbyPair.TakenOverAsync(pair.B);
        Assert.Equal(0, await pair.A.MetricAsync("paddock_disk_active{image=\"disk\"}"));
        await using var after = await pair.NbdAsync("b");
        Assert.Equal(Data, await ReadAsync(after));
    }

    [Fact]
    public async Task Image_goes_back_and_forth()
    {
        await using var pair = await StandbyPair.StartAsync(zoned: false);
        TestServer[] servers = [pair.A, pair.B];
        for (int i = 0; i < 6; i++)
        {
            string name = i % 2 == 0 ? "a" : "b";
            await StandbyPair.TakenOverAsync(servers[i % 2]);
            await using var disk = await pair.NbdAsync(name);
            Assert.Equal(i == 0 ? new byte[Block] : Enumerable.Repeat((byte)i, Block), await ReadAsync(disk));
            await disk.WriteAsync(
                0, Enumerable.Repeat((byte)(i + 1), Block).ToArray(), cancellationToken: TestContext.Current.CancellationToken);
            await servers[i % 2].AskAsync("handover");
        }
    }

    [Fact]
    public async Task Handover_to_nobody_is_taken_back()
    {
        await using var pair = await StandbyPair.StartAsync();
        await pair.B.StopAsync();
        await pair.A.AskAsync("handover");
        await StandbyPair.TakenOverAsync(pair.A);
        await using var disk = await pair.NbdAsync("a");
        Assert.Equal(new byte[Block], await ReadAsync(disk));
    }

    [Fact]
    public async Task Server_on_standby_rejects_commands_and_clients()
    {
        await using var pair = await StandbyPair.StartAsync();
        const string why = "'disk' is on standby: another server owns the image";
        Assert.Equal(why, await pair.B.RefusalAsync("resize size=+1M"));
        Assert.Equal(why, await pair.B.RefusalAsync("snapshot action=list"));
        Assert.Equal(why, await pair.B.RefusalAsync($"backup target={Path.Combine(pair.Folder, "backup")}"));
        Assert.Equal(why, await pair.B.RefusalAsync("readonly zone=1"));
        Assert.StartsWith(
            "no image is owned by this server: 'disk' is on standby", await pair.B.RefusalAsync("handover"), StringComparison.Ordinal);
        Assert.Equal(why, await pair.B.RefusalAsync("handover image=disk"));
        var e = await Assert.ThrowsAnyAsync<Exception>(() => pair.NbdAsync("b"));
        Assert.Contains("'disk' is on standby: another server owns the image", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Size_that_the_other_server_has_changed_is_seen_after_the_takeover()
    {
        await using var pair = await StandbyPair.StartAsync();
        const long size = (TestServer.Zones + 4) * TestServer.Zone;
        await pair.A.AskAsync("resize size=+4M");
        await pair.A.AskAsync("handover");
        await StandbyPair.TakenOverAsync(pair.B);
        await using var disk = await pair.NbdAsync("b");
        Assert.Equal(size, disk.Length);
        var zones = (await pair.B.MetricsAsync()).Samples.Where(s => s.Key.StartsWith("paddock_zones{", StringComparison.Ordinal));
        Assert.Equal(TestServer.Zones + 4, zones.Sum(s => s.Value));
    }

    [Fact]
    public async Task Rule_that_holds_a_request_does_not_keep_the_image()
    {
        await using var pair = await StandbyPair.StartAsync();
        await using var disk = await pair.NbdAsync("a");
        await pair.A.AskAsync("hang command=write");
        var held = disk.WriteAsync(0, Data, cancellationToken: TestContext.Current.CancellationToken).AsTask();
        await Eventually.IsAsync(() => pair.A.AskAsync("status"), s => s.Contains("\"waiting\": 1", StringComparison.Ordinal));
        await pair.A.AskAsync("handover");
        await Assert.ThrowsAnyAsync<BlockException>(() => held);
        await StandbyPair.TakenOverAsync(pair.B);
        await using var after = await pair.NbdAsync("b");
        Assert.Equal(new byte[Block], await ReadAsync(after));
    }

    [Fact]
    public async Task Takeover_that_fails_is_logged_and_tried_again()
    {
        await using var pair = await StandbyPair.StartAsync();
        await pair.A.StopAsync();
        await StandbyPair.TakenOverAsync(pair.B);
        await pair.StartAsync("a");
        byte[] good = await File.ReadAllBytesAsync(pair.Image, TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(pair.Image, new byte[good.Length], TestContext.Current.CancellationToken);
        await pair.B.StopAsync();
        await Eventually.IsAsync(() => Task.FromResult(StandbyPair.EventsOf(pair.A)), events => events.Contains("take-over failed"));
        Assert.Equal(0, await pair.A.MetricAsync("paddock_disk_active{image=\"disk\"}"));
        await File.WriteAllBytesAsync(pair.Image, good, TestContext.Current.CancellationToken);
        await StandbyPair.TakenOverAsync(pair.A);
    }

    [Fact]
    public async Task Answer_in_JSON_names_the_images()
    {
        await using var pair = await StandbyPair.StartAsync();
        string answer = await pair.A.AskAsync("json handover");
        Assert.Contains("\"images\": [{\"image\": \"disk\", \"ms\": ", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Server_without_standby_hands_nothing_over()
    {
        await using var server = await TestServer.StartAsync();
        Assert.Equal("the server has no image that can be handed over: start it with --standby", await server.RefusalAsync("handover"));
        Assert.Equal("'disk' cannot be handed over: start the server with --standby", await server.RefusalAsync("handover image=disk"));
    }

    [Theory]
    [InlineData("{\"node\": 0}", "--standby with NVMe requires --node N, 1 to 15")]
    [InlineData("{\"node\": 1, \"volatile-cache\": \"1M\"}", "--standby cannot be combined with --volatile-cache")]
    [InlineData("{\"node\": 1, \"namespace-dir\": \"/\", \"namespace-quota\": \"1G\"}", "cannot be combined with --namespace-dir")]
    [InlineData("{\"node\": 16}", "node 16: expected 1 to 15")]
    public async Task Settings_that_cannot_work_are_rejected(string json, string why)
    {
        string folder = Directory.CreateTempSubdirectory("paddock-standby-").FullName;
        try
        {
            string file = Path.Combine(folder, "settings.json");
            await File.WriteAllTextAsync(file, json, TestContext.Current.CancellationToken);
            var e = Assert.Throws<ToolException>(() => ServeCheck.Run(
                ServeSettings.Load(file) with { Standby = true, Nvme = "0", Images = [new ServedImage { Path = "disk" }] },
                TextWriter.Null));
            Assert.Contains(why, e.Message, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Raw_image_needs_its_format()
    {
        string folder = Directory.CreateTempSubdirectory("paddock-standby-").FullName;
        try
        {
            string image = Path.Combine(folder, "disk.raw");
            await File.WriteAllBytesAsync(image, new byte[1 << 20], TestContext.Current.CancellationToken);
            var settings = TestServer.SettingsIn(folder) with { Images = [new ServedImage { Path = image }], Standby = true, Node = 1 };
            var e = await Assert.ThrowsAsync<ToolException>(() => TestServer.StartInAsync(folder, settings));
            Assert.Contains("specify --format raw", e.Message, StringComparison.Ordinal);
            settings = settings with { Images = [new ServedImage { Path = image, Format = "raw" }] };
            await using var server = await TestServer.StartInAsync(folder, settings);
            Assert.StartsWith("ok: handed over", await server.AskAsync("handover"), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Notice_to_a_host_that_keeps_sending_takes_no_time_from_the_flush()
    {
        await using var pair = await StandbyPair.StartAsync(with: static s => s with { DrainTimeout = 1 });
        await using var host = await NvmeTcpHost.ConnectAsync(
            new() { Host = "127.0.0.1", Port = pair.A.NvmeAddress.Port, SubsystemNqn = PaddockServer.DefaultNqn + "disk" },
            TestContext.Current.CancellationToken);
        await using var disk = await host.OpenAsync(1, ownsHost: false, TestContext.Current.CancellationToken);
        using var stop = new CancellationTokenSource();
        var reading = Enumerable.Range(0, 8).Select(_ => ReadUntilAsync(disk, stop.Token)).ToArray();
        Assert.StartsWith("ok: handed over disk in ", await pair.A.AskAsync("handover"), StringComparison.Ordinal);
        await StandbyPair.TakenOverAsync(pair.B);
        await stop.CancelAsync();
        await host.DisposeAsync();
        await Task.WhenAll(reading);
    }

    [Fact]
    public async Task Read_only_image_beside_one_that_is_handed_over_has_a_group()
    {
        string folder = Directory.CreateTempSubdirectory("paddock-standby-").FullName;
        try
        {
            string[] images = [Path.Combine(folder, "a.qcow2"), Path.Combine(folder, "b.qcow2")];
            foreach (string image in images)
            {
                await ImageFile.CreateAsync(image, 1 << 20, null);
            }

            await using var server = await TestServer.StartInAsync(folder, TestServer.SettingsIn(folder) with
            {
                Images = [new ServedImage { Path = images[0], ReadOnly = true }, new ServedImage { Path = images[1] }],
                Standby = true, Node = 1, Nqn = "nqn.2026-01.io.paddock:both",
            });
            await using var host = await NvmeTcpHost.ConnectAsync(
                new() { Host = "127.0.0.1", Port = server.NvmeAddress.Port, SubsystemNqn = "nqn.2026-01.io.paddock:both" },
                TestContext.Current.CancellationToken);
            byte[] log = await host.ReadLogAsync(AnaLog.Id, 0, 256, TestContext.Current.CancellationToken);
            Assert.Equal([(1, AnaState.Optimized, 1), (2, AnaState.Optimized, 2)],
                AnaLog.Read(log)!.Select(g => ((int)g.GroupId, g.State, (int)g.Namespaces.Single())));
            await server.AskAsync("handover");
            log = await host.ReadLogAsync(AnaLog.Id, 0, 256, TestContext.Current.CancellationToken);
            Assert.Equal([AnaState.Optimized, AnaState.Inaccessible], AnaLog.Read(log)!.Select(g => g.State));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // the host waits for a server that has the image: it has one address
    private static async Task ReadUntilAsync(IBlockDevice disk, CancellationToken stop)
    {
        await Task.Yield();
        try
        {
            while (!stop.IsCancellationRequested)
            {
                await ReadAsync(disk);
            }
        }
        catch (BlockException)
        {
            // closed
        }
    }

    private static async Task<byte[]> ReadAsync(IBlockDevice disk)
    {
        byte[] buffer = new byte[Block];
        await disk.ReadAsync(0, buffer, TestContext.Current.CancellationToken);
        return buffer;
    }
}
