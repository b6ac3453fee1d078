using System.Text;
using Paddock.Images;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Paddock.Server.Tests.Nvme;

/// <summary>SMART totals, persistent events and telemetry of a server, and what is kept of them.</summary>
public sealed class DriveHistoryTests : IDisposable
{
    private const string Nqn = "nqn.2026-01.io.paddock:disk";

    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-history-").FullName;

    private string History => Path.Combine(_folder, "history.json");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Totals_and_events_continue_after_a_restart()
    {
        await using (var server = await StartAsync())
        {
            await using var disk = await server.NvmeAsync();
            await disk.WriteAsync(0, new byte[1 << 20]);
            await disk.ReadAsync(0, new byte[4096]);
        }

        await using (var server = await StartAsync())
        {
            using var admin = Connect(server);
            var smart = admin.Log(0x02, 512).Data!;
            Assert.Equal(
                new UInt128[] { 1, 3, 1, 1, 2, 0 },
                new[] { 32, 48, 64, 80, 112, 144 }.Select(at => ReadUInt128LittleEndian(smart.AsSpan(at))));

            // two starts, and two controllers that were enabled
            Assert.Equal(4u, ReadUInt32LittleEndian(admin.Log(0x0D, 512, specific: 3).Data.AsSpan(4)));
        }
    }

    [Fact]
    public async Task Second_server_with_the_same_file_is_refused()
    {
        await using var server = await StartAsync();
        var failure = await Assert.ThrowsAsync<ToolException>(StartAsync);
        Assert.Contains("lock", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Server_that_was_killed_is_an_unsafe_shutdown()
    {
        await using (var server = await StartAsync())
        {
            Assert.Contains("\"is-running\":true", await File.ReadAllTextAsync(History, TestContext.Current.CancellationToken),
                StringComparison.Ordinal);
            File.Copy(History, History + ".killed");
        }

        File.Move(History + ".killed", History, overwrite: true);
        await using (var server = await StartAsync())
        {
            using var admin = Connect(server);
            Assert.Equal((UInt128)1, ReadUInt128LittleEndian(admin.Log(0x02, 512).Data.AsSpan(144)));
        }

        await using (var server = await StartAsync())
        {
            using var admin = Connect(server);
            var smart = admin.Log(0x02, 512).Data!;
            Assert.Equal((UInt128)3, ReadUInt128LittleEndian(smart.AsSpan(112)));
            Assert.Equal((UInt128)1, ReadUInt128LittleEndian(smart.AsSpan(144)));
        }
    }

    [Fact]
    public async Task Power_cut_counts_and_is_an_event_with_telemetry()
    {
        await using var server = await TestServer.StartAsync(cache: "1M", zoned: false);
        await server.AskAsync("powercut");
        using var admin = Connect(server);
        var smart = admin.Log(0x02, 512).Data!;
        Assert.Equal(((UInt128)2, (UInt128)1), (ReadUInt128LittleEndian(smart.AsSpan(112)), ReadUInt128LittleEndian(smart.AsSpan(144))));
        var telemetry = admin.Log(0x08, 512, keepEvent: true).Data!;
        Assert.StartsWith("power cut", Encoding.ASCII.GetString(telemetry.AsSpan(384, 128)), StringComparison.Ordinal);
        Assert.Equal(1, telemetry[382]);
    }

    [Fact]
    public async Task Fault_rules_and_changed_zones_are_events()
    {
        await using var server = await TestServer.StartAsync();
        await server.AskAsync("fail command=write zone=1");
        await server.AskAsync("offline zone=2");
        await server.AskAsync("status");
        using var admin = Connect(server);
        string log = Encoding.ASCII.GetString(admin.Log(0x0D, 4096, specific: 1).Data!);
        Assert.Contains("control: fail command=write zone=1", log, StringComparison.Ordinal);
        Assert.Contains("namespace 1: the condition of zone 2 was changed by the controller", log, StringComparison.Ordinal);
        Assert.DoesNotContain("control: status", log, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{")]
    [InlineData("{\"version\":2}")]
    [InlineData("{\"version\":1,\"subsystems\":[{\"nqn\":\"x\",\"events\":[{\"type\":1,\"controller\":1,\"milliseconds\":1,"
        + "\"data\":\"AA==\"}]}]}")]
    [InlineData("{\"version\":1,\"subsystems\":null}")]
    [InlineData("{\"version\":1,\"subsystems\":[null]}")]
    [InlineData("{\"version\":1,\"subsystems\":[{\"nqn\":\"x\",\"events\":null}]}")]
    [InlineData("{\"version\":1,\"subsystems\":[{\"nqn\":\"x\",\"events\":[null]}]}")]
    [InlineData("{\"version\":1,\"subsystems\":[{\"nqn\":\"nqn.2026-01.io.paddock:disk\",\"totals\":null}]}")]
    public async Task Invalid_history_is_rejected(string text)
    {
        await File.WriteAllTextAsync(History, text, TestContext.Current.CancellationToken);
        var e = await Assert.ThrowsAsync<ToolException>(() => StartAsync());
        Assert.Contains("history.json", e.Message, StringComparison.Ordinal);
    }

    private static RawAdmin Connect(TestServer server) => new(server.NvmeAddress.Port, Nqn);

    private Task<TestServer> StartAsync() => TestServer.StartAsync(zoned: false, with: s => s with { NvmeHistory = History });
}
