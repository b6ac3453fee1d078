using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Nvme;
using Paddock.Server.Control;
using Paddock.Testing.Protocols;

namespace Paddock.Server.Tests.Nvme;

/// <summary>Configuration of `paddock serve`: a file, several listeners, faults, metrics, hosts.</summary>
public sealed class ServeTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-serve-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Missing_configuration_key_keeps_its_default()
    {
        string file = Path.Combine(_folder, "c.json");
        File.WriteAllText(
            file, "{ // a comment\n \"images\": [ { \"path\": \"x\" }, ], \"nvme\": \"127.0.0.1:0\", \"allow-hosts\": [\"nqn.a\"] }");
        var settings = ServeSettings.Load(file);
        var defaults = new ServeSettings();
        Assert.Equal((defaults.BlockSize, defaults.MaxConnections), (settings.BlockSize, settings.MaxConnections));
        Assert.Equal(("x", "127.0.0.1:0", "nqn.a"), (settings.Images[0].Path, settings.Nvme, settings.AllowHosts[0]));
    }

    [Fact]
    public void Unknown_key_is_reported_with_its_line()
    {
        string file = Path.Combine(_folder, "c.json");
        File.WriteAllText(file, "{\n\"nvmee\": \"x\" }");
        Assert.Contains("line 2", Assert.Throws<ToolException>(() => ServeSettings.Load(file)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Conventional_zones_are_a_namespace_of_their_own_and_all_listeners_lead_to_one_disk()
    {
        await using var server = await StartAsync(conventional: 2);
        string name = server.NvmeName();
        await using var plain = await NvmeNode.OpenAsync(name, readOnly: false, TestContext.Current.CancellationToken);
        await using var zoned = (CheckedDevice)await NvmeNode.OpenAsync(
            name + "?ns=2", readOnly: false, TestContext.Current.CancellationToken);
        Assert.Equal((2 << 20, 6 << 20), (plain.Length, zoned.Length));
        byte[] data = new byte[4096];
        data.AsSpan().Fill(7);
        await plain.WriteAsync(4096, data, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(1 << 20, await zoned.Zones!.AppendAsync(1 << 20, data, cancellationToken: TestContext.Current.CancellationToken));
        await using var nbd = await new ImageOpener("t", TextWriter.Null)
            .OpenAsync($"nbd+unix:///disk?socket={Path.Combine(_folder, "n")}", new OpenSettings { Format = "raw" });
        byte[] back = new byte[4096];
        await nbd.Device.ReadAsync(3 << 20, back, TestContext.Current.CancellationToken);
        Assert.Equal(data, back);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("1M")]
    public async Task Probed_raw_disk_rejects_a_qcow2_header_on_every_listener(string? cache)
    {
        string image = Path.Combine(_folder, "disk");
        await File.WriteAllBytesAsync(image, new byte[1 << 20], TestContext.Current.CancellationToken);
        var settings = new ServeSettings
        {
            Images = [new ServedImage { Path = image }], Nvme = "127.0.0.1:0", Nbd = "unix:"
                + Path.Combine(_folder, "n"), VolatileCache = cache,
        };
        await using var server = await TestServer.StartInAsync(_folder, settings);
        Assert.Contains("specify --format raw", server.Log, StringComparison.Ordinal);
        await using var nvme = await NvmeNode.OpenAsync(
            $"nvme+tcp://127.0.0.1:{server.NvmeAddress.Port}/nqn.2026-01.io.paddock:disk", readOnly: false,
            TestContext.Current.CancellationToken);
        await using var nbd = await new ImageOpener("t", TextWriter.Null)
            .OpenAsync($"nbd+unix:///disk?socket={Path.Combine(_folder, "n")}", new OpenSettings { Format = "raw", ReadOnly = false });
        byte[] header = new byte[4096];
        new byte[] { 0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3 }.CopyTo(header, 0);
        foreach (var device in new[] { nvme, nbd.Device })
        {
            var failure = await Assert.ThrowsAsync<BlockException>(
                () => device.WriteAsync(0, header, WriteFlags.None, TestContext.Current.CancellationToken).AsTask());
            Assert.Equal(BlockError.NotPermitted, failure.Error);
            await device.WriteAsync(512, header, WriteFlags.None, TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task Probed_raw_disk_that_looks_like_an_image_after_a_power_cut_is_not_reopened()
    {
        string image = Path.Combine(_folder, "disk");
        await File.WriteAllBytesAsync(image, new byte[1 << 20], TestContext.Current.CancellationToken);
        var settings = new ServeSettings
        {
            Images = [new ServedImage { Path = image }], Nbd = "unix:"
                + Path.Combine(_folder, "n"), Control = Path.Combine(_folder, "c"), VolatileCache = "1M",
        };
        await using var server = await TestServer.StartInAsync(_folder, settings);
        await using (var file = new FileStream(image, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.Write([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3]);
        }

        Assert.Contains("now looks like a qcow2 image", await server.RefusalAsync("powercut"), StringComparison.Ordinal);

        // a disk that was not reopened does not keep the server from closing the others
        await server.DisposeAsync();
        Assert.Contains("flush failed", server.Log, StringComparison.Ordinal);
        Assert.Contains("stopped", server.Log, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("same-directory", false)]
    [InlineData("none", false)]
    [InlineData("any", true)]
    public async Task The_backing_policy_of_a_configuration_is_kept_with_and_without_a_volatile_cache(string policy, bool opens)
    {
        string secret = Path.Combine(_folder, "secret"), image = Path.Combine(_folder, "disk.qcow2"),
            config = Path.Combine(_folder, "c.json");
        await File.WriteAllBytesAsync(secret, new byte[4096], TestContext.Current.CancellationToken);
        await using (var file = ImageOpener.OpenFile(image, readOnly: false, create: true))
        {
            await Qcow2.Qcow2Image.CreateAsync(
                file, new Qcow2.Qcow2CreateOptions { Size = 4096, BackingFile = secret, BackingFormat = "raw" },
                TestContext.Current.CancellationToken);
        }

        await File.WriteAllTextAsync(config, $"{{ \"backing\": \"{policy}\" }}", TestContext.Current.CancellationToken);
        foreach (string? cache in new[] { null, "1M" })
        {
            var settings = ServeSettings.Load(config) with
            {
                Images = [new ServedImage { Path = image }], Nbd = "unix:" + Path.Combine(_folder, "n"), VolatileCache = cache,
            };
            var start = Record.ExceptionAsync(async () =>
            {
                await using var server = await TestServer.StartInAsync(_folder, settings);
            });
            Assert.Equal(opens, await start is null);
        }
    }

    [Fact]
    public async Task Faults_are_asked_for_over_the_control_socket_and_counted_in_the_metrics()
    {
        await using var server = await StartAsync();
        var stop = TestContext.Current.CancellationToken;
        Assert.Equal("ok: rule 1 of disk", await server.AskAsync("fail command=append status=281"));
        await using var disk = await NvmeNode.OpenAsync(server.NvmeName("?reconnect=0"), readOnly: false, stop);
        await Assert.ThrowsAsync<BlockException>(() => disk.Zones!.AppendAsync(0, new byte[4096], cancellationToken: stop).AsTask());
        await disk.Zones!.AppendAsync(0, new byte[4096], cancellationToken: stop);
        var page = await server.MetricsAsync();
        Assert.Equal(1, page["paddock_nvme_command_errors_total{nqn=\"nqn.2026-01.io.paddock:disk\",namespace=\"1\"}"]);
        Assert.Contains(
            page.Samples, sample => sample.Key.EndsWith("namespace=\"1\",zone=\"0\"}", StringComparison.Ordinal) && sample.Value == 4096);
        Assert.Contains("expected one of clear", await server.RefusalAsync("nonsense"), StringComparison.Ordinal);
        await server.AskAsync("drop");
        await Assert.ThrowsAnyAsync<BlockException>(() => disk.Zones!.AppendAsync(0, new byte[4096], cancellationToken: stop).AsTask());
    }

    [Fact]
    public async Task Retired_zone_survives_a_restart_until_restored()
    {
        var stop = TestContext.Current.CancellationToken;
        await using (var server = await StartAsync(conventional: 2))
        {
            await using var host = await NvmeTcpHost.ConnectAsync(
                new NvmeTcpHostOptions { Host = "127.0.0.1", Port = server.NvmeAddress.Port,
                SubsystemNqn = "nqn.2026-01.io.paddock:disk" }, stop);
            Assert.Equal("ok: zone 1 is readonly", await server.AskAsync("readonly zone=1 ns=2"));
            Assert.Equal("ok: zone 2 is offline", await server.AskAsync("offline zone=2 ns=2"));
            Assert.Equal([ZoneCondition.Empty, ZoneCondition.ReadOnly, ZoneCondition.Offline], await ConditionsAsync(server));
            Assert.Equal(2, (await host.ReadLogAsync(0xBF, 2, 4096, stop))[0]);
            Assert.Contains("zone 6 does not exist", await server.RefusalAsync("offline zone=6 ns=2"), StringComparison.Ordinal);
            Assert.Contains("no sequential zones", await server.RefusalAsync("offline zone=1 ns=1"), StringComparison.Ordinal);
        }

        await using var again = await StartAsync(conventional: 2, make: false);
        Assert.Equal([ZoneCondition.Empty, ZoneCondition.ReadOnly, ZoneCondition.Offline], await ConditionsAsync(again));
        await again.AskAsync("restore zone=1 ns=2");
        await again.AskAsync("restore zone=2 ns=2");
        Assert.Equal([ZoneCondition.Empty, ZoneCondition.Empty, ZoneCondition.Empty], await ConditionsAsync(again));
    }

    private static async Task<ZoneCondition[]> ConditionsAsync(TestServer server)
    {
        var stop = TestContext.Current.CancellationToken;
        string name = server.NvmeName("?ns=2");
        await using var disk = await NvmeNode.OpenAsync(name, readOnly: true, stop);
        var zones = new ZoneDescriptor[3];
        await disk.Zones!.ReportAsync(0, zones, stop);
        return [.. zones.Select(z => z.Condition)];
    }

    private async Task<TestServer> StartAsync(int conventional = 0, bool make = true)
    {
        string image = Path.Combine(_folder, "disk.qcow2");
        if (make)
        {
            await ImageFile.CreateAsync(
                image, 8 << 20, new Qcow2.ZonedCreateOptions { ZoneSize = 1 << 20, ConventionalZones = (uint)conventional });
        }

        return await TestServer.StartInAsync(_folder, TestServer.SettingsIn(_folder) with { Images = [new ServedImage { Path = image }] });
    }
}
