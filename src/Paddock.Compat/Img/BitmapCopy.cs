using Paddock.Block;
using Paddock.Images;
using Paddock.Qcow2;

namespace Paddock.Compat.Img;

/// <summary>The bitmaps that <c>convert --bitmaps</c> copies: those of the source itself, not of its backing images.</summary>
/// <param name="ctx">Takes warnings.</param>
/// <param name="skipsBroken">Whether inconsistent bitmaps are left out.</param>
internal sealed class BitmapCopy(ToolContext ctx, bool skipsBroken)
{
    /// <summary>Before the target is made: refuses a source without bitmap support, or with bitmaps that cannot be copied.</summary>
    public void CheckSource(ImageNode source)
    {
        if (!Supports(source))
        {
            throw new ToolException("Source lacks bitmap support");
        }

        if (!skipsBroken && source.Qcow2!.Bitmaps.List.LastOrDefault(static b => b.InUse) is { } broken)
        {
            throw new ToolException(
                $"Cannot copy inconsistent bitmap '{broken.Name}'\n"
                + "Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove' to delete it");
        }
    }

    /// <summary>Before data is copied: refuses a target that cannot have bitmaps.</summary>
    public static void CheckTarget(ImageNode target)
    {
        if (!Supports(target))
        {
            throw new ToolException($"Format driver '{target.Driver}' does not support bitmaps");
        }
    }

    /// <summary>Copies the bitmaps.</summary>
    public async ValueTask RunAsync(ImageNode source, ImageNode target)
    {
        var from = source.Qcow2!.Bitmaps;
        var copied = new List<Qcow2BitmapInfo>();

        // the last one comes first, as the peer's messages have it
        foreach (var bitmap in from.List.Reverse())
        {
            if (bitmap.InUse)
            {
                ctx.Warn($"Skipping inconsistent bitmap '{bitmap.Name}'");
                continue;
            }

            copied.Insert(0, bitmap);
        }

        foreach (var bitmap in copied)
        {
            await CopyAsync(from, target.Qcow2!.Bitmaps, bitmap);
        }
    }

    private static bool Supports(ImageNode node) => node.Qcow2 is { Info.Version: >= 3 };

    private static async ValueTask CopyAsync(IQcow2Bitmaps from, IQcow2Bitmaps to, Qcow2BitmapInfo bitmap)
    {
        await TryAsync("create", () => to.AddAsync(bitmap.Name, bitmap.Granularity));
        try
        {
            await TryAsync("populate", async () => await to.MergeAsync(bitmap.Name, await from.OpenAsync(bitmap.Name)));
            if (!bitmap.Auto)
            {
                await TryAsync("populate", () => to.SetEnabledAsync(bitmap.Name, enabled: false));
            }
        }
        catch (ToolException)
        {
            await to.RemoveAsync(bitmap.Name);
            throw;
        }

        async ValueTask TryAsync(string what, Func<ValueTask> step)
        {
            try
            {
                await step();
            }
            catch (BlockException e)
            {
                throw new ToolException($"Failed to {what} bitmap {bitmap.Name}: {e.Message}", inner: e);
            }
        }
    }
}
