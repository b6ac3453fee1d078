using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Chains;
using Paddock.Images.Text;
using Paddock.Qcow2.Bitmaps;

namespace Paddock.Compat.Img;

/// <summary><c>commit</c>: writes an overlay's changes into an image of its chain.</summary>
internal static class CommitCommand
{
    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(
            args, ImgArguments.Input + " quiet progress", new('t', "cache", true), new('b', "base", true), new('d', "drop", false),
            new('r', "rate", true));
        long rate = given["r"] is { } text ? ConvertArguments.RateOf(text) : 0;
        if (given.Operands.Count != 1)
        {
            throw new UsageException("Expecting one image file name");
        }

        string name = given.Operands[0];
        var wanted = new CommitBase(given["b"]);
        var node = await new ImageOpener(ctx.Program, ctx.Error)
            .OpenAsync(name, given.Settings(readOnly: false) with { Base = wanted }, given.Has("image-opts"));
        var progress = given.Has("p") && !given.Has("q") ? new CopyProgress(ctx) : null;
        progress?.Show(0, 0);
        try
        {
            await node.UseAsync(() => CommitAsync(node, BaseOf(wanted, given["b"], name), given, rate, progress, ctx.Time));
        }
        catch (BitmapsLostException e)
        {
            progress?.Break();

            // as the peer prints it, which tries twice
            ctx.Report(CloseFailure.LineOf(e));
            ctx.Report(CloseFailure.LineOf(e));
            ctx.Report("Error while closing the image: Invalid argument");
            return 1;
        }
        catch
        {
            progress?.Break();
            throw;
        }

        progress?.End();
        if (!given.Has("q"))
        {
            ctx.Line("Image committed.");
        }

        return 0;
    }

    private static ImageNode BaseOf(CommitBase wanted, string? name, string overlay)
        => wanted.Found ?? throw new ToolException(
            name is null ? "Image does not have a backing file" : $"Did not find '{name}' in the backing chain of '{overlay}'");

    private static async ValueTask CommitAsync(
        ImageNode node, ImageNode target, ImgArguments given, long rate, CopyProgress? progress, TimeProvider time)
    {
        ZoneChain.RequireCommittable(node, target);
        try
        {
            await new CommitWork(node.Device, target.Device, ZoneChain.BelowZones(target))
                .RunAsync(rate, progress is null ? null : progress.Show, time);
            await ZoneChain.CommitZonesAsync(node, target);
        }
        catch (BlockException e)
        {
            string why = e.Error == BlockError.TooManyZones ? e.Message : ErrorText.Of(e);
            throw new ToolException($"Block job failed: {why}", inner: e);
        }

        // an overlay of another base than the first shows that one's old contents: it keeps what it holds
        if (given.Has("d") || given["b"] is not null)
        {
            return;
        }

        try
        {
            await node.Qcow2!.EmptyAsync();
        }
        catch (BlockException e)
        {
            throw new ToolException($"Failed to empty {node.Filename}: {ErrorText.Of(e)}", inner: e);
        }
    }
}
