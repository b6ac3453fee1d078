using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Compat.Img;

/// <summary><c>resize</c>: a new length.</summary>
internal static class ResizeCommand
{
    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        // a size such as -1M must not be read as options
        string size = args.Length == 0 ? "" : args[^1];
        var given = new ImgArguments(
            args.Length == 0 ? args : args[..^1], ImgArguments.Input
            + " quiet", new OptionSpec('\0', "preallocation", true), new OptionSpec('\0', "shrink", false));
        if (given.Operands.Count != 1)
        {
            throw new UsageException("Expecting image file name and size");
        }

        var preallocation = PreallocationName.Parse(given["preallocation"])
            ?? throw new ToolException($"Invalid preallocation mode '{given["preallocation"]}'");
        var change = SizeChange.Parse(size);
        await using var node = await new ImageOpener(ctx.Program, ctx.Error).OpenAsync(
            given.Operands[0], given.Settings(readOnly: false), given.Has("image-opts"));
        long old = node.Device.Length, wanted = change.Of(old);
        if (wanted < old && !given.Has("shrink"))
        {
            ctx.Report("Use the --shrink option to perform a shrink operation.");
            ctx.Warn("Shrinking an image will delete all data beyond the shrunken image's end. "
                + "Before performing such an operation, make sure there is no important data there.");
            return 1;
        }

        if (wanted <= old && given["preallocation"] is not (null or "off"))
        {
            throw new ToolException("Preallocation can only be used for growing images");
        }

        await node.Device.ResizeAsync(wanted, preallocation);
        await node.Device.FlushAsync();
        if (!given.Has("q"))
        {
            ctx.Line("Image resized.");
        }

        return 0;
    }
}
