using System.Text;
using Paddock.Cli.Native.Bench;
using Paddock.Cli.Verbs;
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
    [InlineData("10", 10000)]
    [InlineData("0.5", 500)]
    [InlineData("10s", 10000)]
    [InlineData("500ms", 500)]
    [InlineData("2m", 120000)]
    [InlineData("24h", 86400000)]
    public void Duration_has_a_unit_or_is_seconds(string text, int milliseconds)
        => Assert.Equal(TimeSpan.FromMilliseconds(milliseconds), Durations.Parse(text));

    [Theory]
    [InlineData("bench p.qcow2 --size 4k", "nothing of the part ")]
    [InlineData("bench z.qcow2 --size 4k", "nothing of the part ")]
    [InlineData("bench half.qcow2 --size 4k", "only 50% of the part ")]
    [InlineData("bench full.qcow2 --size 4k", null)]
    [InlineData("bench p.qcow2 --rw write --size 4k", null)]
    public async Task Reads_of_an_unwritten_disk_are_warned_about(string line, string? warning)
    {
        using var bench = new Workbench();
        await bench.MustAsync("create p.qcow2 4M");
        await bench.MustAsync("create z.qcow2 4M --zone-size 1M");
        await bench.MustAsync("create half.qcow2 4M");
        await bench.MustAsync("bench half.qcow2 --rw write --bs 64k --depth 1 --size 2M --time 600");
        await bench.MustAsync("create full.qcow2 4M");
        await bench.MustAsync("bench full.qcow2 --rw write --bs 64k --depth 1 --size 4M --time 600");
        var outcome = await bench.MustAsync(line + " --bs 4k --depth 1 --time 600");
        Assert.Equal(warning is not null, outcome.Error.Length > 0);
        Assert.Contains(warning ?? "", outcome.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, "", "")]
    [InlineData(true, "", "\rwrite: ")]
    [InlineData(false, "--progress", "write: 0%, 0 IOPS")]
    public async Task Progress_is_shown_on_terminals_or_on_request(bool isTerminal, string option, string shown)
    {
        using var bench = new Workbench { ShowsProgress = isTerminal };
        await bench.MustAsync("create p.qcow2 4M");
        string line = $"bench p.qcow2 --rw write --rate 20 --depth 1 --bs 4k --size 12k --time 600 {option}";
        string error = (await bench.MustAsync(line)).Error;
        Assert.Contains(shown, error, StringComparison.Ordinal);
        Assert.Equal(shown.Length > 0, error.Length > 0);
        Assert.Equal(isTerminal, error.EndsWith("\r\u001b[K", StringComparison.Ordinal));
    }

    [Fact]
    public void Progress_is_that_of_time_or_size_whichever_is_further()
    {
        var plan = new BenchPlan { Target = "x", BlockSize = 1 << 20, Time = TimeSpan.FromSeconds(60), Size = 20L << 30 };
        Assert.Equal("write: 25%, 512 IOPS, 512.0 MiB/s", BenchProgress.Line(plan, "write", TimeSpan.FromSeconds(10), 5120));
        Assert.Equal("write: 50%, 0 IOPS, 0.0 MiB/s", BenchProgress.Line(plan, "write", TimeSpan.FromSeconds(30), 0));
    }

    [Fact]
    public void Json_has_names_as_they_are_written()
    {
        var plan = new BenchPlan { Target = "nvme+tcp://127.0.0.1:4420/nqn.x" };
        using var json = new MemoryStream();
        new BenchResult(plan, 1, new LatencyHistogram(), default, null, 0.5).WriteJson(json);
        string text = Encoding.UTF8.GetString(json.ToArray());
        Assert.Contains("\"nvme+tcp://127.0.0.1:4420/nqn.x\"", text, StringComparison.Ordinal);
        Assert.Contains("\"unwritten_percent\": 50,", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(
        "bench p.qcow2 --warm-up -1", NativeExit.Usage, "--warm-up '-1': expected a duration such as 10, 10s, 500ms or 2m, at most 24h")]
    [InlineData("bench p.qcow2 --time 0", NativeExit.Usage, "--time: expected more than 0 and at most 24h")]
    [InlineData("bench p.qcow2 --time 10x", NativeExit.Usage, "--time '10x': expected a duration")]
    [InlineData("bench p.qcow2 --time 25h", NativeExit.Usage, "at most 24h")]
    [InlineData("bench p.qcow2 --depth many", NativeExit.Usage, "--depth 'many': expected a number")]
    [InlineData("bench p.qcow2 --rate fast", NativeExit.Usage, "--rate 'fast': expected a number")]
    [InlineData("bench p.qcow2 --bs huge", NativeExit.Usage, "--bs 'huge': expected bytes")]
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
