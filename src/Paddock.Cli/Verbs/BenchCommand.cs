using System.CommandLine;
using Paddock.Tools;
using Paddock.Tools.Native;

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

    public static Command Build(NativeConsole console)
    {
        var target = new Argument<string>("TARGET") { Description = "An image file, nvme+tcp://HOST:PORT/NQN or nbd://HOST:PORT/EXPORT." };
        var rw = new Option<string>("--rw") { Description = "The load; randread by default. Writing loads destroy what the disk holds.", HelpName = "LOAD" }
            .AcceptOnlyFromAmong([.. Operations.Keys]);
        var block = Text("--bs", "Bytes of a request; 4k by default.", "SIZE");
        var depth = new Option<int?>("--depth") { Description = "Requests in flight on each connection; 32 by default.", HelpName = "N" };
        var connections = new Option<int?>("--connections") { Description = "Connections to a server; 1 by default.", HelpName = "N" };
        var time = new Option<double?>("--time") { Description = "Seconds that it lasts; 5 by default, with --size at most 60.", HelpName = "SECONDS" };
        var warmUp = new Option<double?>("--warm-up") { Description = "Seconds of the same load before the measure begins; 0 by default.", HelpName = "SECONDS" };
        var size = Text("--size", "Bytes to move, all connections together.", "SIZE");
        var rate = new Option<double?>("--rate") { Description = "Requests a second, all together; latency counts from when one is due.", HelpName = "IOPS" };
        var format = Text("--format", "Format of an image file; probed unless given.", "qcow2|raw");
        var metrics = Text("--metrics", "The server's metrics, to tell what the load cost it.", "HOST:PORT");
        var json = new Option<bool>("--json") { Description = "Print JSON." };
        var command = new Command("bench", "Measures how fast a disk takes requests of one kind.")
        {
            target, rw, block, depth, connections, time, warmUp, size, rate, format, metrics, json,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            long bytes = parsed.GetValue(size) is { } text ? SizeText.Parse("size", text) : 0;
            var plan = new BenchPlan
            {
                Target = parsed.GetRequiredValue(target),
                Operation = Operations[parsed.GetValue(rw) ?? "randread"],
                BlockSize = (int)Math.Min(SizeText.Parse("request size", parsed.GetValue(block) ?? "4k"), int.MaxValue),
                Depth = parsed.GetValue(depth) ?? 32,
                Connections = parsed.GetValue(connections) ?? 1,
                Time = Seconds(parsed.GetValue(time) ?? (bytes == 0 ? 5 : 60)),
                WarmUp = parsed.GetValue(warmUp) is { } warm and not 0 ? Seconds(warm) : default,
                Size = bytes,
                Rate = parsed.GetValue(rate) ?? 0,
                Format = parsed.GetValue(format),
                Metrics = parsed.GetValue(metrics),
                Json = parsed.GetValue(json),
            };
            await BenchVerb.RunAsync(plan, console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }

    private static Option<string?> Text(string name, string description, string value) => new(name) { Description = description, HelpName = value };

    private static TimeSpan Seconds(double value)
        => value is > 0 and < 1e6 ? TimeSpan.FromSeconds(value) : throw new ToolException($"{value} is no number of seconds", NativeExit.Usage);
}
