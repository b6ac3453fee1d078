using Paddock.Images;

namespace Paddock.Cli.Tests;

public class CreateTests
{
    [Fact]
    public async Task What_was_asked_for_is_what_info_says()
    {
        using var bench = new Workbench();
        await bench.MustAsync(
            "create z.qcow2 100M --zone-size 8M --zone-capacity 6M --conventional 2 --max-open 3 --max-active 5 --max-append 128k --layout "
                + "a");
        var info = (await bench.MustAsync("info z.qcow2 --json")).Json();
        Assert.Equal(100 << 20, info.GetProperty("size").GetInt64());
        var zones = (await bench.MustAsync("zones z.qcow2 --json")).Json();
        Assert.Equal(8 << 20, zones.GetProperty("zone_size").GetInt64());
        Assert.Equal(6 << 20, zones.GetProperty("zone_capacity").GetInt64());
        Assert.Equal(13, zones.GetProperty("zone_count").GetInt32());
        Assert.Equal(2, zones.GetProperty("conventional_zones").GetInt32());
        Assert.Equal(3, zones.GetProperty("max_open_zones").GetInt32());
        Assert.Equal(5, zones.GetProperty("max_active_zones").GetInt32());
        Assert.Equal(131072, zones.GetProperty("max_append_bytes").GetInt32());
        var last = zones.GetProperty("zones")[12];
        Assert.Equal(4 << 20, last.GetProperty("length").GetInt64());
        Assert.Equal(4 << 20, last.GetProperty("capacity").GetInt64());
    }

    [Fact]
    public async Task Open_limit_defaults_to_the_active_limit()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M --max-active 4");
        var zones = (await bench.MustAsync("zones z.qcow2 --json")).Json();
        Assert.Equal(4, zones.GetProperty("max_open_zones").GetInt32());
    }

    [Theory]
    [InlineData("")]
    [InlineData(" --zone-size 8M")]
    public async Task Image_with_subclusters_is_described(string zones)
    {
        using var bench = new Workbench();
        await bench.MustAsync($"create z.qcow2 64M --cluster-size 2M --subclusters{zones}");
        Assert.Equal(65536, (await bench.MustAsync("info z.qcow2 --json")).Json().GetProperty("subcluster_size").GetInt32());
        Assert.Contains("2 MiB, subclusters of 64 KiB", (await bench.MustAsync("info z.qcow2")).Out, StringComparison.Ordinal);
        await bench.MustAsync("check z.qcow2");
    }

    [Theory]
    [InlineData("create z.qcow2 64M --zone-size 0")]
    [InlineData("create z.qcow2 64M --zone-size 8M --zone-capacity 9M")]
    [InlineData("create z.qcow2 64M --zone-size 8M --max-open 5 --max-active 4")]
    [InlineData("create z.qcow2 64M --zone-size 8M --conventional 9")]
    [InlineData("create z.qcow2 64M --zone-size 1000")]
    [InlineData("create z.qcow2 64M --zone-size 4G")]
    [InlineData("create z.qcow2 64M --zone-size 8M --max-append 1000")]
    [InlineData("create z.qcow2 64M --cluster-size 3k")]
    [InlineData("create z.qcow2 64M --subclusters --cluster-size 8k")]
    [InlineData("create z.qcow2 64M --max-open 3")]
    [InlineData("create z.qcow2 many")]
    [InlineData("create z.qcow2 64M --layout b --zone-size 8M")]
    public async Task Rejected_create_leaves_no_file(string line)
    {
        using var bench = new Workbench();
        await bench.RefusedAsync(line, code: NativeExit.Usage);
        Assert.False(File.Exists(bench["z.qcow2"]));
    }

    [Fact]
    public async Task Existing_file_is_kept_without_force_and_on_an_invalid_option()
    {
        using var bench = new Workbench();
        await File.WriteAllTextAsync(bench["z.qcow2"], "precious", TestContext.Current.CancellationToken);
        Assert.Contains("--force", await bench.RefusedAsync("create z.qcow2 64M"), StringComparison.Ordinal);
        await bench.RefusedAsync("create z.qcow2 64M --zone-size 1000 --force", code: NativeExit.Usage);
        Assert.Equal("precious", await File.ReadAllTextAsync(bench["z.qcow2"], TestContext.Current.CancellationToken));
        await bench.MustAsync("create z.qcow2 64M --force");
        await bench.MustAsync("check z.qcow2");
    }

    [Fact]
    public async Task Small_zones_in_layout_c_get_smaller_clusters_and_the_line_tells_it()
    {
        using var bench = new Workbench();
        var made = await bench.MustAsync("create z.qcow2 1M --zone-size 16k --layout c");
        Assert.Contains("cluster size 16 KiB", made.Out, StringComparison.Ordinal);
        Assert.Equal(16384, (await bench.MustAsync("info z.qcow2 --json")).Json().GetProperty("cluster_size").GetInt32());
        string refusal = await bench.RefusedAsync(
            "create y.qcow2 1M --zone-size 16k --layout c --cluster-size 64k", code: NativeExit.Usage);
        Assert.Contains("multiple of the cluster size, 65536", refusal, StringComparison.Ordinal);
        Assert.False(File.Exists(bench["y.qcow2"]));
    }

    [Fact]
    public async Task Zone_size_that_Linux_rejects_gets_a_hint_with_the_size_to_use()
    {
        using var bench = new Workbench();
        var made = await bench.MustAsync("create z.qcow2 64M --zone-size 3M");
        Assert.Contains("hint: Linux rejects zones of 3 MiB", made.Error, StringComparison.Ordinal);
        Assert.Contains("--zone-size 4M --zone-capacity 3M", made.Error, StringComparison.Ordinal);
        Assert.Empty((await bench.MustAsync("create y.qcow2 64M --zone-size 4M --zone-capacity 3M")).Error);
    }

    [Theory]
    [InlineData("1536M")]
    [InlineData("1.5G")]
    [InlineData("1.5GiB")]
    [InlineData("1610612736")]
    [InlineData("0x60000000")]
    public async Task Size_may_be_written_as_Paddock_prints_it(string size)
    {
        using var bench = new Workbench();
        var made = (await bench.MustAsync($"create z.qcow2 {size} --zone-size 64MiB --max-append 1MiB --json")).Json();
        Assert.Equal(1536L << 20, made.GetProperty("size").GetInt64());
        Assert.Equal(24, made.GetProperty("zoned").GetProperty("zone_count").GetInt32());
    }

    [Theory]
    [InlineData("a")]
    [InlineData("c")]
    public async Task Both_layouts_are_written_and_named(string layout)
    {
        using var bench = new Workbench();
        await bench.MustAsync($"create z.qcow2 64M --zone-size 8M --layout {layout}");
        Assert.Contains($"zone layout:         {layout}", (await bench.MustAsync("info z.qcow2")).Out, StringComparison.OrdinalIgnoreCase);
    }
}
