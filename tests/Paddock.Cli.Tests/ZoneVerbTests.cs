using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Cli.Tests;

public class ZoneVerbTests
{
    [Fact]
    public async Task Appended_bytes_are_there_in_the_next_command_and_the_pointer_stands_behind_them()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M --conventional 1");
        Assert.Contains(
            "8388608 (0x800000)", (await bench.MustAsync("append z.qcow2 1", Workbench.Bytes(3 << 20, 7))).Out, StringComparison.Ordinal);
        Assert.Contains(
            "11534336 (0xb00000)", (await bench.MustAsync("append z.qcow2 1", Workbench.Bytes(512, 8))).Out, StringComparison.Ordinal);
        var zone = (await bench.MustAsync("zones z.qcow2 --json")).Json().GetProperty("zones")[1];
        Assert.Equal((8 << 20) + (3 << 20) + 512, zone.GetProperty("write_pointer").GetInt64());
        Assert.Equal("closed", zone.GetProperty("condition").GetString());
    }

    [Fact]
    public async Task Append_of_a_partial_sector_requires_pad()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M");
        Assert.Contains("--pad", await bench.RefusedAsync("append z.qcow2 0", Workbench.Bytes(700, 7)), StringComparison.Ordinal);
        Assert.Equal("empty", await ConditionAsync(bench, 0));
        Assert.Contains("appended 1024 bytes", (await bench.MustAsync("append z.qcow2 0 --pad", Workbench.Bytes(700, 7))).Out,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Append_that_does_not_fit_is_rejected_as_a_whole()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M --zone-capacity 1M");
        string message = await bench.RefusedAsync("append z.qcow2 0", Workbench.Bytes((1 << 20) + 512, 7));
        Assert.Contains("1048576 bytes are left", message, StringComparison.Ordinal);
        Assert.Equal("empty", await ConditionAsync(bench, 0));
    }

    [Fact]
    public async Task Empty_append_changes_nothing()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M");
        Assert.Contains("nothing appended", (await bench.MustAsync("append z.qcow2 0")).Out, StringComparison.Ordinal);
        Assert.Equal("empty", await ConditionAsync(bench, 0));
    }

    [Theory]
    [InlineData("append z.qcow2 8", "zone 8 does not exist: this disk has zones 0 to 7")]
    [InlineData("append z.qcow2 -1", "zone -1 does not exist")]
    [InlineData("append z.qcow2 0", "conventional")]
    [InlineData("zone reset z.qcow2 9", "zone 9 does not exist")]
    [InlineData("zone open z.qcow2 0", "conventional")]
    [InlineData("zone open missing.qcow2 0", "missing.qcow2")]
    public async Task Rejected_zone_command_is_explained_in_one_line(string line, string part)
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M --conventional 1");
        string message = await bench.RefusedAsync(line, Workbench.Bytes(512, 1));
        Assert.Contains(part, message, StringComparison.Ordinal);
        Assert.Single(message.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public async Task All_means_the_sequential_zones()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 60M --zone-size 8M --conventional 2");
        await bench.MustAsync("append z.qcow2 3", Workbench.Bytes(512, 1));
        Assert.Equal("6 zones finished\n", (await bench.MustAsync("zone finish z.qcow2 all")).Out);
        Assert.Equal("full", await ConditionAsync(bench, 7));
        Assert.Equal("conventional", await ConditionAsync(bench, 1));
        Assert.Equal("3 zones reset\n", (await bench.MustAsync("zone reset z.qcow2 7,2-3")).Out);
        Assert.Equal("empty", await ConditionAsync(bench, 3));
        Assert.Equal("full", await ConditionAsync(bench, 4));
    }

    [Fact]
    public async Task Zones_are_made_read_only_and_offline_and_restored()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M");
        await bench.MustAsync("append z.qcow2 1", Workbench.Bytes(512, 1));
        Assert.Equal("2 zones made read-only\n", (await bench.MustAsync("zone readonly z.qcow2 1,5")).Out);
        Assert.Equal("1 zone made offline\n", (await bench.MustAsync("zone offline z.qcow2 2")).Out);
        Assert.Equal(("read only", "offline"), (await ConditionAsync(bench, 1), await ConditionAsync(bench, 2)));
        Assert.Contains("2 read-only, 1 offline", (await bench.MustAsync("info z.qcow2")).Out, StringComparison.Ordinal);
        Assert.Contains("read-only", await bench.RefusedAsync("append z.qcow2 1", Workbench.Bytes(512, 1)), StringComparison.Ordinal);
        Assert.Contains("offline", await bench.RefusedAsync("zone reset z.qcow2 2"), StringComparison.Ordinal);
        await bench.MustAsync("check z.qcow2");
        Assert.Equal("8 zones restored\n", (await bench.MustAsync("zone restore z.qcow2 all")).Out);
        Assert.Equal(("closed", "empty"), (await ConditionAsync(bench, 1), await ConditionAsync(bench, 2)));
    }

    [Fact]
    public async Task Disk_with_conventional_zones_only_has_nothing_to_reset()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 16M --zone-size 8M --conventional 2");
        Assert.Contains(
            "all zones of this disk are conventional", await bench.RefusedAsync("zone reset z.qcow2 all"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Plain_disk_has_no_zones_and_the_error_names_the_remedy()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create p.qcow2 16M");
        Assert.Contains("--zone-size", await bench.RefusedAsync("zones p.qcow2"), StringComparison.Ordinal);
        Assert.Contains("zones:               none", (await bench.MustAsync("info p.qcow2")).Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0", "0+1")]
    [InlineData("5,1,3-4", "1+1 3+3")]
    [InlineData("0-3,2-6", "0+7")]
    [InlineData("7,7", "7+1")]
    [InlineData("all", "0+8")]
    public void Zone_list_becomes_sorted_disjoint_runs(string text, string runs)
        => Assert.Equal(runs, string.Join(' ', ZoneList.Parse(text, 8).Select(r => $"{r.First}+{r.Count}")));

    [Theory]
    [InlineData("")]
    [InlineData("-")]
    [InlineData("1-")]
    [InlineData("+1")]
    [InlineData("1 2")]
    [InlineData("8")]
    [InlineData("99999999999")]
    public void Invalid_zone_list_is_rejected(string text) => Assert.Throws<ToolException>(() => ZoneList.Parse(text, 8));

    internal static async Task<string?> ConditionAsync(Workbench bench, int zone)
        => (await bench.MustAsync("zones z.qcow2 --json")).Json().GetProperty("zones")[zone].GetProperty("condition").GetString();
}
