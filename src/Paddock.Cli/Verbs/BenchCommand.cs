using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Cli.Native.Bench;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock bench`.</summary>
internal static class BenchCommand
{
    private static readonly Dictionary<string, BenchOperation> Operations = new()
    {
        ["read"] = BenchOperation.Read,
        ["write"] = BenchOperation.Write,
        ["randread"] = BenchOperation.RandomRead,
        ["randwrite"] = BenchOperation.RandomWrite,
        ["append"] = BenchOperation.Append,
    };

    public static readonly string[] Details =
    [
        "Loads: read and write are sequential, randread and randwrite use random places, and append writes",
        "zones. On a zoned disk, write and append reset all zones first and write zone by zone, and reads are",
        "those of what is written. A place that was never written is read without the disk: the command warns",
        "if there are many. Progress is shown on standard error if that is a terminal. After Ctrl-C the",
        "result is that of the requests so far.",
        "",
    ];

    public static Command Build(NativeConsole console)
    {
        var target = new Argument<string>("TARGET")
        {
            Description = "Image file, rbd:POOL/IMAGE, nvme+tcp://HOST:PORT/NQN or nbd://HOST:PORT/EXPORT.",
        };
        var rw = new Option<string>("--rw") { HelpName = "LOAD" }.OneOf([.. Operations.Keys]);
        rw.Description = "Workload; writing destroys the data on the disk (default: randread).";
        var block = Text("--bs", "Request size (default: 4k).", "SIZE");
        var depth = Number("--depth", "Queue depth of each connection (default: 32).");
        var connections = Number("--connections", "Number of connections to a server (default: 1).");
        var time = Durations.Create("--time", "Duration, such as 10s or 2m (default: 5s, with --size 60s).");
        var warmUp = Durations.Create("--warm-up", "Duration of the unmeasured warm-up (default: 0).");
        var size = Text("--size", "Total bytes to transfer over all connections (default: no limit).", "SIZE");
        var rate = Real("--rate", "Total requests per second; latency includes delay (default: no limit).", "IOPS");
        var format = Text("--format", "Format of an image file, qcow2 or raw (default: probed).", "FORMAT");
        var metrics = Text("--metrics", "Server metrics to read for its CPU time and memory allocations.", "HOST:PORT");
        var json = JsonOption.Create();
        var progress = new Option<bool>("--progress") { Description = "Shows progress even where standard error is no terminal." };
        var command = new Command("bench", "Measures the throughput and latency of an image or of a served disk.")
        {
            target, rw, block, depth, connections, time, warmUp, size, rate, format, metrics, progress, json,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            long bytes = parsed.GetValue(size) is { } text ? SizeText.Parse("--size", text) : 0;
            var plan = new BenchPlan
            {
                Target = parsed.GetRequiredValue(target),
                Operation = Operations[parsed.GetValue(rw) ?? "randread"],
                BlockSize = (int)Math.Min(SizeText.Parse("--bs", parsed.GetValue(block) ?? "4k"), int.MaxValue),
                Depth = parsed.GetValue(depth) ?? 32,
                Connections = parsed.GetValue(connections) ?? 1,
                Time = parsed.GetValue(time) ?? TimeSpan.FromSeconds(bytes == 0 ? 5 : 60),
                WarmUp = parsed.GetValue(warmUp) ?? TimeSpan.Zero,
                Size = bytes,
                Rate = parsed.GetValue(rate) ?? 0,
                Format = parsed.GetValue(format),
                Metrics = parsed.GetValue(metrics),
                ShowsProgress = parsed.GetValue(progress),
                Json = parsed.GetValue(json),
            };
            await BenchVerb.RunAsync(plan, console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }

    private static Option<string?> Text(string name, string description, string value)
        => new(name) { Description = description, HelpName = value };

    private static Option<int?> Number(string name, string description)
        => new(name) { Description = description, HelpName = "N", CustomParser = Numbers.Whole };

    private static Option<double?> Real(string name, string description, string value)
        => new(name) { Description = description, HelpName = value, CustomParser = Numbers.Real };
}
