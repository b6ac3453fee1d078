using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Qcow2;
using Paddock.Server.Control;
using Paddock.Testing.Protocols;

namespace Paddock.Cli.Tests.Serve;

/// <summary>Two processes that serve one image with `--standby`.</summary>
public sealed class StandbyTests : IDisposable
{
    private const int Zone = 1 << 20, Block = 4096;

    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-two-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Killed_server_is_followed_by_the_other_with_what_was_flushed()
    {
        await ImageFile.CreateAsync(At("disk.qcow2"), 8 * Zone, new ZonedCreateOptions { ZoneSize = Zone });
        await using var one = await ServeAsync(1);
        await using var two = await ServeAsync(2);
        byte[] data = [.. Enumerable.Repeat((byte)9, Block)];
        await using (var disk = (await OpenAsync(1)).Device)
        {
            await disk.Zones!.AppendAsync(Zone, data, cancellationToken: TestContext.Current.CancellationToken);
            await disk.FlushAsync(TestContext.Current.CancellationToken);
            await one.KillAsync();
        }

        await ActiveAsync(2);
        await using (var disk = (await OpenAsync(2)).Device)
        {
            byte[] got = new byte[Block];
            await disk.ReadAsync(Zone, got, TestContext.Current.CancellationToken);
            Assert.Equal(data, got);
        }

        // a server that is updated: the new process waits, the old one hands over and ends
        await using var three = await ServeAsync(3);
        using var bench = new Workbench();
        var answer = (await bench.MustAsync($"handover --control {At("2.control")} disk --json")).Json();
        Assert.Equal("disk", answer.GetProperty("images")[0].GetProperty("image").GetString());
        string why = await bench.RefusedAsync($"handover --control {At("2.control")}");
        Assert.Contains("no image is owned by this server: 'disk' is on standby", why, StringComparison.Ordinal);
        await ActiveAsync(3);
        Assert.Equal(0, await two.StopAsync());
        Assert.Equal(0, await three.StopAsync());
    }

    [Fact]
    public async Task Stopped_server_keeps_a_file_until_it_ends()
    {
        await ImageFile.CreateAsync(At("disk.qcow2"), 8 * Zone);
        await using var one = await ServeAsync(1);
        await using var two = await ServeAsync(2);
        await one.SignalAsync("STOP");
        string answer = (await Assert.ThrowsAsync<ToolException>(() => ControlSocket.AskAsync(
            At("2.control"), "handover", TestContext.Current.CancellationToken))).Message;
        Assert.Contains("'disk' is on standby", answer, StringComparison.Ordinal);
        await one.SignalAsync("CONT");
        await using (var disk = (await OpenAsync(1)).Device)
        {
            await disk.WriteAsync(0, new byte[Block], cancellationToken: TestContext.Current.CancellationToken);
        }

        await one.KillAsync();
        await ActiveAsync(2);
    }

    private string At(string name) => Path.Combine(_folder, name);

    private Task<ServerProcess> ServeAsync(int node)
        => ServerProcess.ServeAsync(
            At("disk.qcow2"), "--standby", "--node", $"{node}", "--nvme", "127.0.0.1:0", "--port-file", At($"{node}.port"), "--control",
            At($"{node}.control"));

    private async Task<ImageNode> OpenAsync(int node)
    {
        string port = (await File.ReadAllTextAsync(At($"{node}.port"), TestContext.Current.CancellationToken)).Trim();
        return await new ImageOpener("t", TextWriter.Null).OpenAsync(
            $"nvme+tcp://127.0.0.1:{port}/nqn.2026-01.io.paddock:disk?reconnect=0", new OpenSettings { ReadOnly = false });
    }

    // the live feed shows who serves the disk
    private Task<string> ActiveAsync(int node)
        => Eventually.IsAsync(
            async () =>
            {
                await using var feed = await ControlSocket.ConnectAsync(
                    At($"{node}.control"), "watch", TestContext.Current.CancellationToken);
                using var reader = new StreamReader(feed);
                await reader.ReadLineAsync(TestContext.Current.CancellationToken);
                return await reader.ReadLineAsync(TestContext.Current.CancellationToken) ?? "";
            },
            frame => frame.Contains("\"state\":\"active\"", StringComparison.Ordinal));
}
