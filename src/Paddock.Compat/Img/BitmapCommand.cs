using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Qcow2.Bitmaps;

namespace Paddock.Compat.Img;

/// <summary><c>bitmap</c>: changes a persistent bitmap, by one action after another.</summary>
internal static class BitmapCommand
{
    private static readonly string[] Actions = ["add", "remove", "clear", "enable", "disable", "merge"];

    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(
            args, ImgArguments.Input, new('g', "granularity", true), new('b', "source-file", true), new('F', "source-format", true),
            new('\0', "add", false), new('\0', "remove", false), new('\0', "clear", false), new('\0', "enable", false),
            new('\0', "disable", false), new('\0', "merge", true));
        long granularity = given["g"] is { } size ? SizeParser.Argument("granularity", size) : 0;
        var actions = given.InOrder.Where(static o => Actions.Contains(o.Key)).ToList();
        Check(given, actions);
        var opener = new ImageOpener(ctx.Program, ctx.Error);
        var node = await opener.OpenAsync(given.Operands[0], given.Settings(readOnly: false), given.Has("image-opts"));
        try
        {
            await node.UseAsync(() => RunAsync(given, actions, granularity, opener, node));
            return 0;
        }
        catch (BitmapsLostException e)
        {
            // as the peer prints it, whose second attempt to close the image fails as well
            ctx.Report(CloseFailure.LineOf(e));
            ctx.Report("Error while closing the image: Invalid argument");
            ctx.Report(CloseFailure.LineOf(e));
            return 1;
        }
    }

    private static void Check(ImgArguments given, List<ParsedOption> actions)
    {
        if (actions.Count == 0)
        {
            throw new ToolException("Need at least one of --add, --remove, --clear, --enable, --disable, or --merge");
        }

        if (given.Has("g") && !given.Has("add"))
        {
            throw new ToolException("granularity only supported with --add");
        }

        if (given.Has("F") && !given.Has("b"))
        {
            throw new ToolException("-F only supported with -b");
        }

        if (given.Has("b") && !given.Has("merge"))
        {
            throw new ToolException("Merge bitmap source file only supported with --merge");
        }

        if (given.Operands.Count != 2)
        {
            throw new ToolException("Expecting filename and bitmap name");
        }
    }

    private static async ValueTask RunAsync(
        ImgArguments given, List<ParsedOption> actions, long granularity, ImageOpener opener, ImageNode node)
    {
        string name = given.Operands[1];
        ImageNode? source = given["b"] is not { } file ? null
            : await opener.OpenAsync(file, new OpenSettings { Format = given["F"], Objects = given.All("object"), NoBacking = true });
        await using var owned = source;
        foreach (var action in actions)
        {
            try
            {
                await ActAsync(node, action, name, granularity, source ?? node);
            }
            catch (BlockException e)
            {
                throw new ToolException($"Operation {action.Key} on bitmap {name} failed: {e.Message}", inner: e);
            }
        }
    }

    private static async ValueTask ActAsync(ImageNode node, ParsedOption action, string name, long granularity, ImageNode source)
    {
        if (node.Qcow2?.Bitmaps is not { } bitmaps)
        {
            throw action.Key == "add"
                ? new BlockException(BlockError.NotSupported, $"Can't store persistent bitmaps to {node.Filename}: Operation not supported")
                : BitmapSource.NotFound(name);
        }

        switch (action.Key)
        {
            case "add":
                await bitmaps.AddAsync(name, granularity);
                break;
            case "remove":
                await bitmaps.RemoveAsync(name);
                break;
            case "clear":
                await bitmaps.ClearAsync(name);
                break;
            case "merge":
                await bitmaps.MergeAsync(name, await BitmapSource.OpenAsync(source, action.Value));
                break;
            default:
                await bitmaps.SetEnabledAsync(name, action.Key == "enable");
                break;
        }
    }
}
