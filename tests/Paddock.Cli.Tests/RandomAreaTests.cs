using System.Text.Json;
using Paddock.Images;

namespace Paddock.Cli.Tests;

/// <summary>Random write areas on the command line: `create --zrwa-size`, `zone open --zrwa`, and what shows them (docs/zrwa.md).</summary>
public class RandomAreaTests
{
    [Fact]
    public async Task Numbers_of_create_are_shown_by_info_and_zones()
    {
        using var bench = new Workbench();
        var made = (await bench.MustAsync("create z.qcow2 64M --zone-size 8M --max-active 4 --zrwa-size 1M --json")).Json();
        Assert.Equal((1 << 20, 16384, 4), Numbers(made.GetProperty("zoned")));
        Assert.Equal((1 << 20, 16384, 4), Numbers((await bench.MustAsync("info z.qcow2 --json")).Json().GetProperty("zoned")));
        Assert.Equal((1 << 20, 16384, 4), Numbers((await bench.MustAsync("zones z.qcow2 --json")).Json()));
        Assert.Contains("1 MiB, committed by 16 KiB, zones: 4", (await bench.MustAsync("info z.qcow2")).Out, StringComparison.Ordinal);
        await bench.MustAsync("create --force z.qcow2 64M --zone-size 8M --zrwa-size 8k --zrwa-granularity 512 --zrwa-zones 2");
        Assert.Equal((8192, 512, 2), Numbers((await bench.MustAsync("zones z.qcow2 --json")).Json()));
        await bench.MustAsync("create --force z.qcow2 64M --zone-size 8M --zrwa-size 8k");
        Assert.Equal((8192, 8192, 0), Numbers((await bench.MustAsync("zones z.qcow2 --json")).Json()));
    }

    [Fact]
    public async Task Open_with_zrwa_gives_areas_that_stay_until_a_reset()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M --zrwa-size 1M --zrwa-zones 2");
        Assert.Equal("open", (await bench.MustAsync("zone open --zrwa z.qcow2 1-2 --json")).Json().GetProperty("action").GetString());
        var zones = (await bench.MustAsync("zones z.qcow2 --json")).Json();
        Assert.Equal(2, zones.GetProperty("zrwa_zones").GetInt32());
        Assert.True(zones.GetProperty("zones")[1].GetProperty("zrwa").GetBoolean());
        Assert.False(zones.GetProperty("zones")[0].TryGetProperty("zrwa", out _));
        Assert.Contains("closed, zrwa\n", (await bench.MustAsync("zones z.qcow2 --table")).Out, StringComparison.Ordinal);
        Assert.Contains("random write areas 2 of 2", (await bench.MustAsync("zones z.qcow2")).Out, StringComparison.Ordinal);
        Assert.Equal(2, (await bench.MustAsync("info z.qcow2 --json")).Json().GetProperty("zoned").GetProperty("zrwa_zones").GetInt32());
        Assert.Contains("all 2 are in use", await bench.RefusedAsync("zone open --zrwa z.qcow2 3"), StringComparison.Ordinal);
        await bench.MustAsync("zone reset z.qcow2 1");
        await bench.MustAsync("zone open --zrwa z.qcow2 3");
        await bench.MustAsync("check z.qcow2");
    }

    [Fact]
    public async Task Disk_without_areas_has_no_fields_of_them()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M");
        Assert.DoesNotContain("zrwa", (await bench.MustAsync("zones z.qcow2 --json")).Out, StringComparison.Ordinal);
        Assert.DoesNotContain("zrwa", (await bench.MustAsync("info z.qcow2 --json")).Out, StringComparison.Ordinal);
        string refused = await bench.RefusedAsync("zone open --zrwa z.qcow2 0");
        Assert.Contains("zones of this disk have no random write areas", refused, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--zone-size 8M --zrwa-size 100", "--zrwa-granularity is 100")]
    [InlineData("--zone-size 8M --zrwa-size 17M", "--zrwa-size is 17825792; it must be a multiple of --zrwa-granularity, 16384, up to")]
    [InlineData("--zone-size 8M --zrwa-size 1M --zrwa-granularity 768k", "must be a multiple of --zrwa-granularity")]
    [InlineData("--zone-size 8M --max-active 4 --zrwa-size 1M --zrwa-zones 5", "--zrwa-zones is 5, more than --max-active, 4")]
    [InlineData("--zone-size 8M --zrwa-zones 5", "--zrwa-zones requires --zrwa-size")]
    [InlineData("--zone-size 8M --zrwa-granularity 4k", "--zrwa-granularity requires --zrwa-size")]
    [InlineData("--zrwa-size 1M", "--zrwa-size requires --zone-size")]
    public async Task Impossible_areas_are_rejected_by_name(string options, string message)
    {
        using var bench = new Workbench();
        Assert.Contains(
            message, await bench.RefusedAsync($"create z.qcow2 64M {options}", code: NativeExit.Usage), StringComparison.Ordinal);
        Assert.False(File.Exists(bench["z.qcow2"]));
    }

    private static (int Size, int Unit, int Zones) Numbers(JsonElement zoned)
        => (zoned.GetProperty("zrwa_size").GetInt32(), zoned.GetProperty("zrwa_granularity").GetInt32(),
            zoned.GetProperty("max_zrwa_zones").GetInt32());
}
