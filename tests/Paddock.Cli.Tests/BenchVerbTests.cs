using Paddock.Images;

namespace Paddock.Cli.Tests;

/// <summary>`paddock bench` on files.</summary>
public class BenchVerbTests
{
    [Theory]
    [InlineData("write")]
    [InlineData("append")]
    public async Task Zones_are_filled_in_order_and_again_when_the_disk_is_full(string load)
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 8M --zone-size 1M --conventional 1 --max-open 2 --max-active 3");
        var json = (await bench.MustAsync($"bench z.qcow2 --rw {load} --bs 64k --depth 4 --size 10M --time 600 --json")).Json();
        Assert.Equal(160, json.GetProperty("requests").GetInt64());
        Assert.True(json.GetProperty("latency_us").GetProperty("p99_9").GetDouble() <= json.GetProperty("latency_us").GetProperty("max")
            .GetDouble());
        Assert.Equal(
            "full", (await bench.MustAsync("zones z.qcow2 --json")).Json().GetProperty("zones")[7].GetProperty("condition").GetString());
    }

    [Theory]
    [InlineData("read")]
    [InlineData("randread")]
    [InlineData("write")]
    [InlineData("randwrite")]
    public async Task Plain_disk_supports_every_load_except_append(string load)
    {
        using var bench = new Workbench();
        await bench.MustAsync("create p.qcow2 4M");
        string text = (await bench.MustAsync($"bench p.qcow2 --rw {load} --bs 8k --depth 2 --size 5M --time 600")).Out;
        Assert.Contains("640 requests", text, StringComparison.Ordinal);
        Assert.Contains("bytes allocated a request", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bench_keeps_its_rate()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create p.qcow2 4M");
        var json = (await bench.MustAsync("bench p.qcow2 --rate 500 --depth 2 --size 400k --time 600 --json")).Json();
        Assert.Equal(100, json.GetProperty("requests").GetInt64());
        Assert.InRange(json.GetProperty("iops").GetDouble(), 0, 505);
    }

    [Theory]
    [InlineData("write")]
    [InlineData("append")]
    public async Task Warm_up_is_not_measured_and_the_load_continues_after_it(string load)
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 8M --zone-size 1M");
        var json = (await bench.MustAsync($"bench z.qcow2 --rw {load} --bs 64k --depth 4 --warm-up 0.05 --size 2M --time 600 --json"))
            .Json();
        Assert.Equal(32, json.GetProperty("requests").GetInt64());
    }

    [Theory]
    [InlineData("bench p.qcow2 --warm-up -1", NativeExit.Usage, "--warm-up -1: expected more than 0")]
    [InlineData("bench z.qcow2 --rw randwrite", NativeExit.Failure, "sequentially")]
    [InlineData("bench p.qcow2 --rw append", NativeExit.Failure, "no zones")]
    [InlineData("bench p.qcow2 --connections 2", NativeExit.Usage, "is a file")]
    [InlineData("bench p.qcow2 --bs 1000", NativeExit.Usage, "multiple of 512")]
    [InlineData("bench p.qcow2 --depth 0", NativeExit.Usage, "depth")]
    [InlineData("bench p.qcow2 --bs 8M", NativeExit.Failure, "too small")]
    public async Task Bench_that_does_not_fit_the_disk_is_rejected(string line, int code, string says)
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 4M --zone-size 1M");
        await bench.MustAsync("create p.qcow2 4M");
        Assert.Contains(says, await bench.RefusedAsync(line, code: code), StringComparison.Ordinal);
    }
}
