using System.Text.Json;
using Paddock.Images;

namespace Paddock.Cli.Tests;

/// <summary>`paddock snapshot` on files, and the control lines that it sends to a server.</summary>
public class SnapshotVerbTests
{
    [Fact]
    public async Task Snapshots_of_a_zoned_file_are_taken_listed_applied_and_deleted()
    {
        using var bench = new Workbench();
        await bench.MustAsync($"create {bench["z"]} 1M --zone-size 128k");
        Assert.Equal("no snapshots\n", (await bench.MustAsync($"snapshot list {bench["z"]}")).Out);
        Assert.Equal("snapshot 1 'empty' taken\n", (await bench.MustAsync($"snapshot create {bench["z"]} empty")).Out);
        await bench.MustAsync($"zone finish {bench["z"]} 3");
        Assert.Equal("snapshot 2 'full' taken\n", (await bench.MustAsync($"snapshot create {bench["z"]} full")).Out);
        var list = (await bench.MustAsync($"snapshot list {bench["z"]} --json")).Json();
        Assert.Equal(["empty", "full"], list.EnumerateArray().Select(static s => s.GetProperty("name").GetString()));
        Assert.Equal(1 << 20, list[0].GetProperty("disk-size").GetInt64());
        Assert.Equal("full", await ConditionAsync(bench));
        await bench.MustAsync($"snapshot apply {bench["z"]} empty");
        Assert.Equal("empty", await ConditionAsync(bench));
        await bench.MustAsync($"snapshot apply {bench["z"]} 2");
        Assert.Equal("full", await ConditionAsync(bench));
        await bench.MustAsync($"snapshot delete {bench["z"]} empty");
        await bench.MustAsync($"snapshot delete {bench["z"]} full");
        await bench.MustAsync($"check {bench["z"]}");
    }

    [Theory]
    [InlineData("snapshot create only-a-name", "takes IMAGE NAME")]
    [InlineData("snapshot list", "takes IMAGE")]
    [InlineData("snapshot undo disk a", "expected one of list, create, delete, apply")]
    [InlineData("snapshot apply --control c a", "stop the server first")]
    [InlineData("snapshot", "ACTION")]
    public async Task Invalid_command_line_is_rejected(string line, string why)
    {
        using var bench = new Workbench();
        Assert.Contains(why, await bench.RefusedAsync(line, code: NativeExit.Usage), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Missing_snapshot_and_missing_server_exit_with_1()
    {
        using var bench = new Workbench();
        await bench.MustAsync($"create {bench["p"]} 1M");
        Assert.Contains("has no snapshot 'x'", await bench.RefusedAsync($"snapshot apply {bench["p"]} x"), StringComparison.Ordinal);
        Assert.Contains(
            "no server is listening", await bench.RefusedAsync($"snapshot create --control {bench["none"]} x"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Help_of_snapshot_lists_the_actions()
    {
        using var bench = new Workbench();
        string help = (await bench.MustAsync("snapshot --help")).Out;
        foreach (string part in new[] { "create  [IMAGE] NAME", "--control", "paddock snapshot create --control /run/p.sock zns nightly" })
        {
            Assert.Contains(part, help, StringComparison.Ordinal);
        }
    }

    private static async Task<string> ConditionAsync(Workbench bench)
    {
        JsonElement zones = (await bench.MustAsync($"zones {bench["z"]} --json")).Json();
        return zones.GetProperty("zones")[3].GetProperty("condition").GetString()!.ToLowerInvariant();
    }
}
