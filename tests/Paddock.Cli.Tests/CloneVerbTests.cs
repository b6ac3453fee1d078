using Paddock.Images;

namespace Paddock.Cli.Tests;

/// <summary>Verb <c>clone</c>, and the zone verbs on what it makes.</summary>
public class CloneVerbTests
{
    [Fact]
    public async Task Clones_are_small_and_read_what_the_base_has()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create base.qcow2 64M --zone-size 8M");
        await bench.MustAsync("append base.qcow2 1", Workbench.Bytes(8192, 5));
        var made = await bench.MustAsync("clone base.qcow2 a.qcow2 b.qcow2 c.qcow2");
        Assert.Equal(3, made.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        foreach (string name in new[] { "a.qcow2", "b.qcow2", "c.qcow2" })
        {
            Assert.True(new FileInfo(bench[name]).Length < 1 << 20);
            var zones = (await bench.MustAsync($"zones {name} --json")).Json();
            Assert.Contains("8396800", zones.ToString(), StringComparison.Ordinal);
            await bench.MustAsync($"check {name}");
        }
    }

    [Fact]
    public async Task Json_lists_the_clones()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create base.qcow2 64M --zone-size 8M");
        var json = (await bench.MustAsync("clone base.qcow2 a.qcow2 b.qcow2 --json")).Json();
        Assert.Equal(2, json.GetArrayLength());
        Assert.Equal(bench["b.qcow2"], json[1].GetProperty("name").GetString());
        Assert.Equal("base.qcow2", json[1].GetProperty("base").GetString());
        Assert.Equal((64 << 20, 8), (json[1].GetProperty("size").GetInt64(), json[1].GetProperty("zones").GetInt32()));
    }

    [Fact]
    public async Task Clone_is_written_and_reset_by_the_zone_verbs_without_the_base()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create base.qcow2 64M --zone-size 8M");
        await bench.MustAsync("append base.qcow2 1", Workbench.Bytes(8192, 5));
        string before = (await bench.MustAsync("zones base.qcow2 --table")).Out;
        await bench.MustAsync("clone base.qcow2 a.qcow2");
        await bench.MustAsync("append a.qcow2 1", Workbench.Bytes(512, 6));
        await bench.MustAsync("append a.qcow2 2", Workbench.Bytes(1024, 6));
        await bench.MustAsync("zone reset a.qcow2 1");
        Assert.NotEqual(before, (await bench.MustAsync("zones a.qcow2 --table")).Out);
        Assert.Equal(before, (await bench.MustAsync("zones base.qcow2 --table")).Out);
        await bench.MustAsync("check a.qcow2");
    }

    [Fact]
    public async Task Clone_of_a_plain_image_is_an_overlay_without_zones()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create base.qcow2 20M");
        Assert.DoesNotContain("zones", (await bench.MustAsync("clone base.qcow2 a.qcow2")).Out, StringComparison.Ordinal);
        Assert.Contains("base.qcow2 (qcow2)", (await bench.MustAsync("info a.qcow2")).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Base_that_is_not_named_by_a_path_keeps_its_name()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create base.qcow2 64M --zone-size 8M");
        string name = $"json:{{\"driver\":\"qcow2\",\"file.filename\":\"{bench["base.qcow2"]}\"}}";
        await bench.MustAsync($"clone {name} a.qcow2");
        await bench.MustAsync("append a.qcow2 1", Workbench.Bytes(512, 6));
        await bench.MustAsync("check a.qcow2");
    }

    [Fact]
    public async Task Existing_file_or_missing_base_is_refused()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create base.qcow2 20M");
        await bench.MustAsync("clone base.qcow2 a.qcow2");
        Assert.Contains("exists", await bench.RefusedAsync("clone base.qcow2 a.qcow2"), StringComparison.Ordinal);
        Assert.Contains("No such file", await bench.RefusedAsync("clone missing.qcow2 b.qcow2"), StringComparison.Ordinal);
        Assert.False(File.Exists(bench["b.qcow2"]));
        await bench.RefusedAsync("clone base.qcow2", code: NativeExit.Usage);
        byte[] raw = new byte[1 << 20];
        await File.WriteAllBytesAsync(bench["raw.qcow2"], raw, TestContext.Current.CancellationToken);
        Assert.Contains("--format raw", await bench.RefusedAsync("clone raw.qcow2 c.qcow2"), StringComparison.Ordinal);
        await bench.MustAsync("clone raw.qcow2 c.qcow2 --format raw");
    }
}
