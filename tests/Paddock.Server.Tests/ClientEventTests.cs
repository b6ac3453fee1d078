using System.Globalization;
using System.Text.Json;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Testing.Protocols;

namespace Paddock.Server.Tests;

/// <summary>Events in the log when clients connect, are rejected, and disconnect.</summary>
public class ClientEventTests
{
    private const string Host = "nqn.2014-08.org.example:mine";

    private static readonly string Me = $"pid {Environment.ProcessId.ToString(CultureInfo.InvariantCulture)} uid ";

    [Fact]
    public async Task Nvme_host_is_named_with_its_address()
    {
        await using var server = await TestServer.StartAsync();
        await using (await NvmeNode.OpenAsync(server.NvmeName($"?hostnqn={Host}&reconnect=0"), readOnly: false, Token))
        {
        }

        await server.StopAsync();
        var (connected, disconnected) = (Single(server, "connected"), Single(server, "disconnected"));
        Assert.Equal(
            ("nvme", Host, "nqn.2026-01.io.paddock:disk", "0"),
            (connected["listener"], connected["host"], connected["nqn"], connected["queue"]));
        Assert.StartsWith("127.0.0.1:", connected["peer"], StringComparison.Ordinal);
        Assert.Equal((connected["peer"], connected["controller"]), (disconnected["peer"], disconnected["controller"]));
        Assert.NotEqual("", disconnected["reason"]);
    }

    [Fact]
    public async Task Rejected_nvme_host_has_a_reason()
    {
        await using var server = await TestServer.StartAsync(with: static s => s with { AllowHosts = ["nqn.2014-08.org.example:other"] });
        await Assert.ThrowsAnyAsync<ToolException>(
            () => NvmeNode.OpenAsync(server.NvmeName($"?hostnqn={Host}&reconnect=0"), readOnly: false, Token).AsTask());
        await Assert.ThrowsAnyAsync<ToolException>(
            () => NvmeNode.OpenAsync(
                server.NvmeName($"?hostnqn={Host}&reconnect=0").Replace(":disk", ":none", StringComparison.Ordinal), readOnly: false, Token)
                .AsTask());
        await server.StopAsync();
        Assert.Equal(
            [(Host, "nqn.2026-01.io.paddock:disk", "the host is not allowed"), (Host, "nqn.2026-01.io.paddock:none", "unknown subsystem")],
            All(server, "rejected").Select(static e => (e["host"], e["nqn"], e["reason"])));

        // our host asks the discovery controller for the subsystems that exist
        Assert.All(All(server, "connected"), static e => Assert.EndsWith(".discovery", e["nqn"], StringComparison.Ordinal));
    }

    [Fact]
    public async Task Nbd_client_is_named_by_process_and_export()
    {
        await using var server = await TestServer.StartAsync();
        await using (await server.NbdAsync())
        {
        }

        Assert.NotEqual(0, (await Peer.RunAsync("nbdinfo", $"nbd+unix:///none?socket={Path.Combine(server.Folder, "n")}")).Code);
        await server.StopAsync();
        var (connected, disconnected) = (Single(server, "connected"), Single(server, "disconnected"));
        Assert.Equal(("nbd", "disk"), (connected["listener"], connected["export"]));
        Assert.StartsWith(Me, connected["peer"], StringComparison.Ordinal);
        Assert.Equal("the client disconnected", disconnected["reason"]);
        var rejected = All(server, "rejected").ToArray();
        Assert.NotEmpty(rejected);
        Assert.All(rejected, static e => Assert.Contains("none", e["reason"], StringComparison.Ordinal));
    }

    [Fact]
    public async Task Virtual_machine_is_named_by_its_process()
    {
        await using var server = await TestServer.StartAsync(zoned: false, vhostUser: true);
        using (server.Connect())
        {
        }

        await server.StopAsync();
        var connected = Single(server, "connected");
        Assert.Equal(("vhost-user", "disk"), (connected["listener"], connected["image"]));
        Assert.StartsWith(Me, connected["peer"], StringComparison.Ordinal);
        Assert.Equal(connected["peer"], Single(server, "disconnected")["peer"]);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static Dictionary<string, string> Single(TestServer server, string name) => Assert.Single(All(server, name));

    private static IEnumerable<Dictionary<string, string>> All(TestServer server, string name)
        => server.Log.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(static line => JsonDocument.Parse(line).RootElement)
            .Where(line => line.GetProperty("event").GetString() == name)
            .Select(static line => line.EnumerateObject().ToDictionary(static p => p.Name, static p => p.Value.ToString()));
}
