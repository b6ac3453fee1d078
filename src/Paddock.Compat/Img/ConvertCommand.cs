using Paddock.Block;
using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Compat.Img;

/// <summary><c>convert</c>: copies an image into another format.</summary>
internal static class ConvertCommand
{
    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        if (ConvertArguments.Parse(args, ctx) is not { } given)
        {
            return 0;
        }

        var opener = new ImageOpener(ctx.Program, ctx.Error);
        await using var sources = await ConvertSources.OpenAsync(given, opener, ctx);
        var source = sources.First;
        if (given.TargetIsStream)
        {
            await StreamAsync(given, sources, ctx);
            return 0;
        }

        if (!given.TargetIsOptions)
        {
            sources.Nodes.ForEach(n => RequireOther(given.Target, n));
        }

        if (!given.SkipsCreate)
        {
            sources.Nodes.ForEach(n => RequireOtherData(given.Options, n));
        }

        var bitmaps = given.CopiesBitmaps ? new BitmapCopy(ctx, given.SkipsBrokenBitmaps) : null;
        bitmaps?.CheckSource(source);
        bool isZero = given.TargetIsZero;
        if (!given.SkipsCreate)
        {
            isZero = await CreateAsync(given, sources.Device.Length, ctx);
        }

        var output = await opener.OpenAsync(given.Target, given.TargetSettings, given.TargetIsOptions);
        await output.UseAsync(() => CopyAsync(given, sources, output, isZero, bitmaps, ctx));
        return 0;
    }

    private static async ValueTask CopyAsync(
        ConvertArguments given, ConvertSources sources, ImageNode output, bool isZero, BitmapCopy? bitmaps, ToolContext ctx)
    {
        if (bitmaps is not null)
        {
            BitmapCopy.CheckTarget(output);
        }

        if (given.IsCompressed && output.Qcow2 is null)
        {
            throw new ToolException("Compression not supported for this file format");
        }

        if (sources.Nodes.Exists(static n => n.Device.Zones is not null) && output.Device.Zones is null && !given.IsQuiet)
        {
            ctx.Warn($"'{given.Source}' has zones, and '{given.Target}' has none: its data is copied, its zones and write pointers are "
                + "not");
        }

        using var progress = new CopyProgress(ctx, given.Progress, sources.Device.Length);
        try
        {
            await DiskCopy.RunAsync(sources.Device, output.Device, OptionsOf(given, ctx, sources, output, isZero, progress));
        }
        catch (CopyException e)
        {
            throw new ToolException(CopyText.Of(e));
        }

        progress.End();
        if (bitmaps is not null)
        {
            await bitmaps.RunAsync(sources.First, output);
        }

        await output.Device.FlushAsync();
    }

    /// <summary>Refuses to overwrite the source, or what it reads from.</summary>
    /// <param name="target">Name of the new file.</param>
    /// <param name="source">The source.</param>
    /// <param name="asData">
    /// Whether the new file is a data file, for which one of the source without any data may be taken: nothing is lost, and QEMU takes it.
    /// </param>
    internal static void RequireOther(string target, ImageNode source, bool asData = false)
    {
        for (var layer = source; layer is not null; layer = layer.Backing)
        {
            if (layer.DataFile is { } data && !(asData && HoldsNothing(data.Name)))
            {
                NewImage.RequireOther(target, data.Name);
            }

            if (layer.Protocol == "file")
            {
                NewImage.RequireOther(target, layer.Storage.Name);
            }
        }
    }

    // the image may be open for its header alone, and its data file not at all
    private static bool HoldsNothing(string path)
    {
        if (!File.Exists(path))
        {
            return false;
        }

        using var file = DiskOpening.OpenFile(new FileOpenOptions { Path = path, ReadOnly = true });
        return file.AllocatedBytes == 0;
    }

    /// <summary>The same for the external data file that a new image is to have.</summary>
    internal static void RequireOtherData(CreateOptions options, ImageNode source)
    {
        if (options["data_file"] is { } dataFile)
        {
            RequireOther(dataFile, source, asData: true);
        }
    }

    private static async ValueTask<bool> CreateAsync(ConvertArguments given, long size, ToolContext ctx)
    {
        try
        {
            NewImage.Check(given.Format, given.Options, size);
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            throw new ToolException($"{given.Target}: error while converting {given.Format}: {e.Message}");
        }

        if (given.Options["backing_file"] is { } backing)
        {
            await CheckBackingAsync(given, backing, ctx);
        }

        try
        {
            return await NewImage.MakeAsync(given.Format, given.Target, given.Options, size) && given.Options["backing_file"] is null;
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            throw new ToolException($"{given.Target}: error while converting {given.Format}: {e.Message}");
        }
    }

    // opened before the target is touched, with the message that opening the finished target would give
    private static async ValueTask CheckBackingAsync(ConvertArguments given, string backing, ToolContext ctx)
    {
        string path = BackingName.Resolve(backing, given.Target);
        NewImage.RequireOther(given.Target, path);
        try
        {
            var settings = new OpenSettings { Format = given.Options["backing_fmt"] };
            await using var node = await new ImageOpener(ctx.Program, ctx.Error).OpenBareAsync(path, settings);
            RequireOther(given.Target, node);
            RequireOtherData(given.Options, node);
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            throw new ToolException($"Could not open '{given.Target}': Could not open backing file: {e.Message}");
        }
    }

    private static async ValueTask StreamAsync(ConvertArguments given, ConvertSources sources, ToolContext ctx)
    {
        var target = new StreamTarget(ctx.Sink ?? throw new ToolException("standard output takes no data here"), sources.Device.Length);
        using var progress = new CopyProgress(ctx, given.Progress, sources.Device.Length);
        var options = CommonOptions(given, ctx, progress) with { SparseBytes = 0, OutOfOrder = false };
        try
        {
            await DiskCopy.RunAsync(sources.Device, target, options);
        }
        catch (CopyException e)
        {
            throw new ToolException(CopyText.Of(e));
        }

        progress.End();
        await target.FlushAsync();
    }

    private static CopyOptions OptionsOf(
        ConvertArguments given, ToolContext ctx, ConvertSources sources, ImageNode output, bool isZero, CopyProgress progress)
    {
        bool hasBacking = given.Options["backing_file"] is not null;
        return CommonOptions(given, ctx, progress) with
        {
            SparseBytes = given.SparseBytes,
            TargetIsZero = isZero,
            TopLayerOnly = hasBacking,

            // a target that is there already may hold anything behind the end of its backing image
            BackingLength = hasBacking && !given.SkipsCreate && output.Backing is { } backing ? backing.Device.Length : long.MaxValue,
            CompressedUnit = given.IsCompressed ? output.ClusterSize : 0,
            WriteCompressed = given.IsCompressed ? output.Qcow2!.WriteCompressedAsync : null,
            CopyRange = given.Offloads ? FileCopy.Between(sources.Nodes, output) : null,
        };
    }

    private static CopyOptions CommonOptions(ConvertArguments given, ToolContext ctx, CopyProgress progress) => new()
    {
        Parallel = given.Parallel,
        OutOfOrder = given.OutOfOrder,
        BytesPerSecond = given.Rate,
        Unreadable = !given.Salvages ? null
            : (offset, e) => CopyText.WarnUnreadable(ctx, given.IsQuiet, isStatus: false, offset, e),
        Unmapped = !given.Salvages ? null
            : (offset, e) => CopyText.WarnUnreadable(ctx, given.IsQuiet, isStatus: true, offset, e),
        Warn = given.IsQuiet ? null : ctx.Warn,
        Progress = given.Progress == ProgressForm.None ? null : progress.Show,
        Position = progress.Reach,
        Time = ctx.Time,
    };
}
