using Paddock.Qcow2;

namespace Paddock.Tools;

/// <summary><c>amend</c>: other options for an image that is there.</summary>
internal static class AmendCommand
{
    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(args, new OptionSpec('o', "options", true), new OptionSpec('\0', "force", false));
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

        await using var node = await new ImageOpener(ctx).OpenAsync(given.Operands[0], given.Settings(readOnly: false), given.Has("image-opts"));
        var image = node.Qcow2 ?? throw new ToolException("Format driver 'raw' does not support option amendment");
        if (options["size"] is { } size)
        {
            await node.Device.ResizeAsync((long)Math.Min(SizeParser.Option("size", size), long.MaxValue));
        }

        if (options["zone_layout"] is { } layout)
        {
            await image.SetZoneLayoutAsync(layout switch
            {
                "a" => ZoneLayout.A,
                "c" => ZoneLayout.C,
                _ => throw new ToolException($"Invalid zone_layout '{layout}': it is a or c"),
            });
        }

        await node.Device.FlushAsync();
        return 0;
    }
}
