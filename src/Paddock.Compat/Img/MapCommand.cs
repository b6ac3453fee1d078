using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Compat.Img;

/// <summary><c>map</c>: which bytes lie where.</summary>
internal static class MapCommand
{
    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(
            args, ImgArguments.Input + " output force-share", new('s', "start-offset", true), new('l', "max-length", true));
        if (given.Operands.Count != 1)
        {
            throw new UsageException("Expecting one image file name");
        }

        long start = given["s"] is { } s ? SizeParser.Argument("start offset", s) : 0;
        long max = given["l"] is { } l ? SizeParser.Argument("max length", l) : long.MaxValue;
        await using var node = await new ImageOpener(ctx.Program, ctx.Error)
            .OpenAsync(given.Operands[0], given.Settings(), given.Has("image-opts"));
        if (!given.Json)
        {
            ctx.Line($"{"Offset",-16}{"Length",-16}{"Mapped to",-16}File");
        }

        long end = start + Math.Min(max, Math.Max(0, node.Device.Length - start));
        bool first = true;
        for (long at = start; at < end;)
        {
            var run = await QueryAsync(node, at, end - at);
            while (at + run.Length < end)
            {
                var next = await QueryAsync(node, at + run.Length, end - at - run.Length);
                if (!run.Continues(next))
                {
                    break;
                }

                run = run with { Length = run.Length + next.Length };
            }

            if (given.Json)
            {
                ctx.Out.Write(first ? "[" : ",\n");
                ctx.Out.Write(Json(at, run));
            }
            else
            {
                Human(ctx, at, run);
            }

            first = false;
            at += run.Length;
            ctx.Sink?.ThrowIfFailed();
        }

        if (given.Json)
        {
            ctx.Line(first ? "[]" : "]");
        }

        return 0;
    }

    // a file that ends within a sector: the rest of that sector is on the disk, and not in the file
    private static async ValueTask<ChainStatus> QueryAsync(ImageNode node, long offset, long length)
    {
        var run = await ChainStatus.QueryLayersAsync(node, offset, length);
        if (run.Layer is not { Qcow2: null, Protocol: "file" } || (run.Flags & BlockStatusFlags.OffsetValid) == 0)
        {
            return run;
        }

        // direct I/O has no parts of blocks
        long block = Math.Max(1, run.Layer.Storage.PreferredAlignment);
        long inFile = ((run.Layer.Storage.Length + block - 1) / block * block) - run.HostOffset;
        return inFile >= run.Length ? run
            : inFile > 0 ? run with { Length = inFile }
            : run with { Flags = (run.Flags & ~BlockStatusFlags.Data) | BlockStatusFlags.Zero };
    }

    private static void Human(ToolContext ctx, long at, ChainStatus run)
    {
        if (!run.IsData || run.IsZero)
        {
            return;
        }

        if ((run.Flags & BlockStatusFlags.Compressed) != 0 || (run.Flags & BlockStatusFlags.OffsetValid) == 0)
        {
            throw new ToolException("File contains external, encrypted or compressed clusters.");
        }

        string file = EscapedText.Escape(MappedName(run.Layer));
        ctx.Line($"{Hex(at),-16}{Hex(run.Length),-16}{Hex(run.HostOffset),-16}{file}");
    }

    // the node that the offset is in: the file of the image, below filters
    private static string MappedName(ImageNode layer)
    {
        var node = layer;
        while (node is { Qcow2: null, Primary: { } below })
        {
            node = below;
        }

        return node.DataFile?.Name ?? (node.Qcow2 is null ? node : node.Primary ?? node).Filename;
    }

    private static string Json(long at, ChainStatus run)
    {
        bool compressed = (run.Flags & BlockStatusFlags.Compressed) != 0;
        string line = $"{{ \"start\": {at}, \"length\": {run.Length}, \"depth\": {run.Depth}, \"present\": {Word(run.IsPresent)}, "
            + $"\"zero\": {Word(run.IsZero)}, \"data\": {Word(run.IsData)}, \"compressed\": {Word(compressed)}";
        return (run.Flags & BlockStatusFlags.OffsetValid) != 0 && !compressed ? $"{line}, \"offset\": {run.HostOffset}}}" : line + "}";
    }

    private static string Word(bool value) => value ? "true" : "false";

    private static string Hex(long value) => value == 0 ? "0" : $"0x{value:x}";
}
