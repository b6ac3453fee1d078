using System.Diagnostics;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Compat.Img;

/// <summary><c>bench</c>: how fast an image takes requests of one kind.</summary>
internal static class BenchCommand
{
    private const string Native = "native";

    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(
            args, "format image-opts force-share quiet", new('c', "count", true), new('d', "depth", true), new('n', "native", false),
            new('o', "offset", true),
            new('s', "buffer-size", true), new('S', "step-size", true), new('t', "cache", true), new('w', "write", false),
            new('\0', "pattern", true), new('\0', "flush-interval", true), new('\0', "no-drain", false), new('i', "aio", true));
        var plan = Plan(given);
        var settings = given.Settings(readOnly: !plan.IsWrite);
        await using var node = await new ImageOpener(ctx.Program, ctx.Error)
            .OpenAsync(given.Operands[0], settings, given.Has("image-opts"));
        ctx.Line($"Sending {plan.Count} {(plan.IsWrite ? "write" : "read")} requests, {plan.Size} bytes each, {plan.Depth} in parallel "
            + $"(starting at offset {plan.Offset}, step size {plan.Step})");
        if (plan.FlushInterval != 0)
        {
            ctx.Line($"Sending flush every {plan.FlushInterval} requests");
        }

        await ctx.Out.FlushAsync();
        long start = Stopwatch.GetTimestamp();
        using var loop = new RequestLoop(node.Device, plan);
        await loop.RunAsync();
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        ctx.Line(FormattableString.Invariant($"Run completed in {seconds:F3} seconds."));
        return 0;
    }

    private static RequestPlan Plan(ImgArguments given)
    {
        // in the order of the peer, which parses numbers before it counts operands
        int count = Number("request count", given["c"], 75000, 1);
        int depth = Number("queue depth", given["d"], 64, 1);
        long offset = given["o"] is { } o ? SizeParser.Argument("offset", o) : 0;
        int size = Number("buffer size", given["s"], 4096, 1, isSize: true);
        int step = Number("step size", given["S"], 0, 0, isSize: true);
        int pattern = given["pattern"] is { } p ? (int)SizeParser.Argument("pattern byte", p, 0, 255, isSize: false) : 0;
        int interval = Number("flush interval", given["flush-interval"], 0, 0);
        if (given["i"] is { } aio && aio is not ("threads" or Native or "io_uring"))
        {
            throw new ToolException($"Invalid aio option: {aio}");
        }

        if (given["t"] is { } cache && !ImageOpener.IsCacheMode(cache))
        {
            throw new ToolException("Invalid cache mode");
        }

        if (given.Operands.Count != 1)
        {
            throw new UsageException("Expecting one image file name");
        }

        if (interval != 0 && !given.Has("w"))
        {
            throw new ToolException("--flush-interval is only available in write tests");
        }

        if (interval != 0 && interval < depth)
        {
            throw new ToolException("Flush interval can't be smaller than depth");
        }

        if ((given["i"] ?? (given.Has("n") ? Native : "threads")) == Native && !ImageOpener.IsDirect(given["t"]))
        {
            throw new ToolException(
                $"Could not open '{given.Operands[0]}': aio=native was specified, but it requires cache.direct=on, which was not "
                    + "specified.");
        }

        return new RequestPlan
        {
            Count = count,
            Depth = depth,
            Offset = offset,
            Size = size,
            Step = step == 0 ? size : step,
            IsWrite = given.Has("w"),
            Pattern = (byte)pattern,
            FlushInterval = interval,
            DrainsOnFlush = !given.Has("no-drain"),
        };
    }

    private static int Number(string what, string? text, int otherwise, int min, bool isSize = false)
        => text is null ? otherwise : (int)SizeParser.Argument(what, text, min, int.MaxValue, isSize);
}
