using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Qcow2;
using Paddock.Qcow2.Snapshots;

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

        given.All("o").ToList().ForEach(FormatOptions.RequireList);
        bool asksForHelp = given.All("o").Any(KeyValueOptions.AsksForHelp);
        if (given["f"] is { } format && asksForHelp)
        {
            RequireFormat(format);
            FormatOptions.PrintAmend(ctx, format);
            return 0;
        }

        if (given.Operands.Count != 1)
        {
            throw new ToolException("Expecting one image file name");
        }

        await using var node = await new ImageOpener(ctx.Program, ctx.Error)
            .OpenAsync(given.Operands[0], given.Settings(readOnly: false), given.Has("image-opts"));
        RequireFormat(node.Driver);
        if (asksForHelp)
        {
            FormatOptions.PrintAmend(ctx, node.Driver);
            return 0;
        }

        var options = Parse(given.All("o"), node.Driver);
        var progress = given.Has("p") && !given.Has("q") ? new AmendProgressLine(ctx) : null;
        progress?.Show(0, 1);
        try
        {
            await AmendAsync(node, options, given, progress, ctx);
            await node.Device.FlushAsync();
        }
        finally
        {
            progress?.End();
        }

        return 0;
    }

    private static void RequireFormat(string format)
    {
        if (format is not ("qcow2" or FormatProbe.Luks))
        {
            throw new ToolException(FormatOptions.IsKnown(format)
                ? $"Format driver '{format}' does not support option amendment" : $"Unknown file format '{format}'");
        }
    }

    private static Dictionary<string, string> Parse(IEnumerable<string> lists, string format)
    {
        var options = new Dictionary<string, string>();
        foreach (var (name, value) in lists.SelectMany(KeyValueOptions.Parse))
        {
            options[name] = FormatOptions.ForAmend(name, format).Parse(value);
        }

        return options;
    }

    private static ValueTask AmendAsync(
        ImageNode node, Dictionary<string, string> options, ImgArguments given, AmendProgressLine? progress, ToolContext ctx)
        => node.Luks is { } luks
            ? new KeySlotAmend(luks.Volume, "", options, given.All("object"), given.Has("force"))
                .RunAsync(NodeOptions.Text(node.FullOptions["key-secret"])!)
            : AmendImageAsync(node, options, given, progress, ctx);

    private static async ValueTask AmendImageAsync(
        ImageNode node, Dictionary<string, string> options, ImgArguments given, AmendProgressLine? progress, ToolContext ctx)
    {
        var image = node.Qcow2!;
        var info = image.Info;
        var layout = Layout(options.GetValueOrDefault("zone_layout"));
        var wanted = new Qcow2AmendOptions
        {
            Version = VersionOf(options.GetValueOrDefault("compat")),
            RefcountBits = options.TryGetValue("refcount_bits", out var bits)
                ? (int)Math.Min(FormatOption.NumberOf(bits), int.MaxValue) : null,
            LazyRefcounts = options.TryGetValue("lazy_refcounts", out var lazy) ? lazy == "on" : null,
            DataFile = options.GetValueOrDefault("data_file"),
            DataFileRaw = options.TryGetValue("data_file_raw", out var raw) ? raw == "on" : null,
        };
        CheckBacking(info, options.GetValueOrDefault("backing_file"), options.GetValueOrDefault("backing_fmt"));
        bool changesSlots = options.Keys.Any(static name => name.StartsWith(EncryptionCreate.Prefix, StringComparison.Ordinal));
        if (changesSlots && info.Luks is null)
        {
            throw new ToolException(info.Encryption is null ? "Can't amend encryption options - encryption not present"
                : "Only LUKS encryption options can be amended");
        }

        image.CheckAmendOptions(wanted);
        var before = info.Zoned?.Layout;
        if (layout is { } next)
        {
            await image.SetZoneLayoutAsync(next);
        }

        bool resizes = options.TryGetValue("size", out var size);
        if (resizes && wanted.Version > info.Version)
        {
            // version 2 with snapshots has one size alone
            await image.AmendAsync(new Qcow2AmendOptions { Version = wanted.Version });
        }

        if (resizes)
        {
            await ResizeAsync(node, (long)Math.Min(ulong.Parse(size!, null), long.MaxValue), layout is null ? null : before);
        }

        try
        {
            await image.AmendAsync(wanted, progress is null ? null : progress.Show);
        }
        catch (BlockException e) when (e.InnerException is SnapshotL1Exception cause)
        {
            ctx.Report(cause.Message);
            throw;
        }

        if (changesSlots)
        {
            await new KeySlotAmend(info.Luks!, EncryptionCreate.Prefix, options, given.All("object"), given.Has("force"))
                .RunAsync(NodeOptions.Text(node.FullOptions[EncryptionCreate.Prefix + "key-secret"])!);
        }
    }

    private static ZoneLayout? Layout(string? text) => text switch
    {
        null => null,
        "a" => ZoneLayout.A,
        "c" => ZoneLayout.C,
        _ => throw new ToolException($"Invalid zone_layout '{text}': it is a or c"),
    };

    private static int? VersionOf(string? compat) => compat switch
    {
        null => null,
        "0.10" or "v2" => 2,
        "1.1" or "v3" => 3,
        _ => throw new ToolException($"Unknown compatibility level {compat}"),
    };

    // the names that the image has are no change
    private static void CheckBacking(Qcow2ImageInfo info, string? file, string? format)
    {
        if ((file ?? format) is not null && (file != info.BackingFile || format != info.BackingFormat))
        {
            throw new ToolException("Cannot amend the backing file\nYou can use 'qemu-img rebase' instead.");
        }
    }

    // a refused size takes back the change of the layout: all of the options are applied, or none
    private static async ValueTask ResizeAsync(ImageNode node, long size, ZoneLayout? before)
    {
        try
        {
            await node.Device.ResizeAsync(size);
        }
        catch (BlockException) when (before is not null)
        {
            await node.Qcow2!.SetZoneLayoutAsync(before.Value);
            throw;
        }
    }
}

/// <summary>The line that shows how far an amendment is; it may go back when more work is found.</summary>
internal sealed class AmendProgressLine(ToolContext ctx)
{
    private double _shown = double.NegativeInfinity;

    public void Show(long done, long all)
    {
        double percent = all == 0 ? 0 : done * 100.0 / all;
        if (percent is 0 or 100 || percent > _shown + 1 || percent < _shown)
        {
            _shown = percent;
            ctx.Out.Write(FormattableString.Invariant($"    ({percent:F2}/100%)\r"));
            ctx.Out.Flush();
        }
    }

    public void End()
    {
        Show(1, 1);
        ctx.Out.Write("\n");
    }
}
