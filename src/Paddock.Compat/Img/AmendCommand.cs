using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Compat.Img;

/// <summary><c>amend</c>: other options for an image that is there.</summary>
internal static class AmendCommand
{
    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(
            args, ImgArguments.Input + " quiet progress", new('o', "options", true), new('t', "cache", true), new('\0', "force", false));
        if (given["o"] is null)
        {
            throw new UsageException("Must specify options (-o)");
        }

        if (given.Operands.Count != 1)
        {
            throw new UsageException("Expecting one image file name");
        }

        var options = new CreateOptions();
        given.All("o").ToList().ForEach(o => options.Add(o, raw: false));
        if (CreateOptions.LineOrder.FirstOrDefault(name => name is not ("zone_layout" or "size") && options[name] is not null) is { } other)
        {
            throw new ToolException($"Changing '{other}' of an image is not supported");
        }

        ZoneLayout? layout = options["zone_layout"] switch
        {
            null => null,
            "a" => ZoneLayout.A,
            "c" => ZoneLayout.C,
            var unknown => throw new ToolException($"Invalid zone_layout '{unknown}': it is a or c"),
        };
        long? size = options["size"] is { } text ? (long)Math.Min(SizeParser.Option("size", text), long.MaxValue) : null;
        await using var node = await new ImageOpener(ctx.Program, ctx.Error)
            .OpenAsync(given.Operands[0], given.Settings(readOnly: false), given.Has("image-opts"));
        var image = node.Qcow2 ?? throw new ToolException("Format driver 'raw' does not support option amendment");
        var before = image.Info.Zoned?.Layout;
        if (layout is { } wanted)
        {
            await image.SetZoneLayoutAsync(wanted);
        }

        if (size is { } bytes)
        {
            await ResizeAsync(node, bytes, layout is null ? null : before);
        }

        await node.Device.FlushAsync();
        if (given.Has("p") && !given.Has("q"))
        {
            ctx.Out.Write("    (0.00/100%)\r    (100.00/100%)\r\n");
        }

        return 0;
    }

    // a refused size takes back the change of the layout: all of the options are applied, or none
    private static async ValueTask ResizeAsync(ImageNode node, long size, ZoneLayout? before)
    {
        try
        {
            await node.Device.ResizeAsync(size);
        }
        catch (Block.BlockException) when (before is not null)
        {
            await node.Qcow2!.SetZoneLayoutAsync(before.Value);
            throw;
        }
    }
}
