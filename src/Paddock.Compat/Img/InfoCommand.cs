using System.Globalization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Compat.Img;

/// <summary><c>info</c>: what an image is.</summary>
internal static class InfoCommand
{
    private static readonly string[] Units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(args, ImgArguments.Input + " output force-share", new OptionSpec('b', "backing-chain", false));
        if (given.Operands.Count != 1)
        {
            throw new UsageException("Expecting one image file name");
        }

        var opener = new ImageOpener(ctx.Program, ctx.Error);
        var settings = given.Settings() with { NoBacking = true, ForInfo = true, Chain = new ImageChain(BackingPolicy.Any) };
        string? name = given.Operands[0];
        bool imageOpts = given.Has("image-opts");
        var layers = new List<object?>();

        // printed when the whole chain is known: of one that ends in a fault nothing is shown
        var text = new StringWriter();
        var lines = new ToolContext { Program = ctx.Program, Out = text, Error = ctx.Error };
        for (int depth = 0; name is not null; depth++)
        {
            ImageChain.CheckDepth(depth);
            await using var node = await OpenAsync(opener, name, settings, imageOpts);
            if (given.Json)
            {
                layers.Add(Describe(node));
            }
            else
            {
                lines.Out.Write(depth == 0 ? "" : "\n");
                InfoText.Print(lines, node);
            }

            var info = node.Qcow2?.Info;
            name = given.Has("b") && info?.BackingFile is { } backing ? BackingName.Resolve(backing, node.Storage.Name) : null;
            settings = settings with
            {
                Format = info?.BackingFormat,
                Admit = name is null ? null : settings.Chain.Admit(name, info?.BackingFormat),
                Objects = [],
            };
            imageOpts = false;
        }

        ctx.Out.Write(text);
        if (given.Json)
        {
            ctx.Line(JsonText.Pretty(given.Has("b") ? layers : layers[0]));
        }

        return 0;
    }

    private static async ValueTask<ImageNode> OpenAsync(ImageOpener opener, string name, OpenSettings settings, bool imageOpts)
    {
        try
        {
            return await opener.OpenAsync(name, settings, imageOpts);
        }
        catch (ToolException e) when (e.InnerException is ChainLoopException loop)
        {
            throw new ToolException(loop.Message, inner: loop);
        }
    }

    /// <summary>A size with a binary unit, three digits of it.</summary>
    internal static string Human(long bytes)
    {
        int unit = 0;
        double value = bytes;
        while (unit < Units.Length - 1 && value / 1000 >= 1)
        {
            value /= 1024;
            unit++;
        }

        string digits = value >= 100 || value == Math.Floor(value) ? value.ToString("F0", CultureInfo.InvariantCulture)
            : value.ToString(value >= 10 ? "0.#" : value >= 1 ? "0.##" : "0.###", CultureInfo.InvariantCulture);
        return $"{digits} {Units[unit]}";
    }

    /// <summary>What only a qcow2 image has.</summary>
    internal static IEnumerable<(string Key, object? Value)> Specific(Qcow2ImageInfo info)
    {
        yield return ("compat", info.Version == 2 ? "0.10" : "1.1");
        yield return ("compression-type", info.Compression == Qcow2Compression.Zlib ? "zlib" : "zstd");
        if (info.Version > 2)
        {
            yield return ("lazy-refcounts", info.LazyRefcounts);
        }

        if (info.BitmapCount > 0)
        {
            yield return ("bitmaps", SnapshotList.Describe(info.Bitmaps));
        }

        yield return ("refcount-bits", (long)info.RefcountBits);
        if (info.ExternalDataFile)
        {
            if (info.DataFile is { } data)
            {
                yield return ("data-file", data);
            }

            yield return ("data-file-raw", info.DataFileRaw);
        }

        if (info.Encryption is { } method)
        {
            yield return ("encrypt", LuksInfo.Describe(info.Luks).With("format", method.ToLowerInvariant()));
        }

        if (info.Version > 2)
        {
            yield return ("corrupt", info.Corrupt);
            yield return ("extended-l2", info.ExtendedL2);
        }

        if (info.Zoned is { } zoned)
        {
            yield return ("zoned", Zones(zoned).WithIf(
                info.DataFileRaw, "note", "the raw data file has no zones: a program that reads it alone sees no write pointers"));
        }
    }

    private static QDict Zones(ZonedImageInfo zoned) => new QDict()
        .With("layout", zoned.Layout.ToString())
        .With("model", "host-managed")
        .With("zone-size", zoned.Limits.ZoneSize)
        .With("zone-capacity", zoned.Limits.ZoneCapacity)
        .With("zones", (long)zoned.Limits.ZoneCount)
        .With("conventional-zones", (long)zoned.Limits.ConventionalZones)
        .With("max-open-zones", (long)zoned.Limits.MaxOpenZones)
        .With("max-active-zones", (long)zoned.Limits.MaxActiveZones)
        .With("max-append-bytes", (long)zoned.Limits.MaxAppendBytes)
        .With("table-offset", zoned.TableOffset)
        .WithIf(zoned.TableInForeignOrder, "table-in-foreign-order", true);

    private static QDict Describe(ImageNode node)
    {
        long allocated = node.AllocatedBytes;
        var info = node.Qcow2?.Info;
        var children = node.Children.Reverse()
            .Select(static c => (object?)new QDict().With("name", c.Name).With("info", Describe(c.Node))).ToList();
        var described = new QDict()
            .With("virtual-size", node.Device.Length)
            .With("filename", node.Filename)
            .With("format", node.Driver)
            .WithIf(allocated >= 0, "actual-size", allocated)
            .WithIf(info?.Encryption is not null || node.Luks is not null, "encrypted", true)
            .WithIf(info?.Snapshots.Count > 0, "snapshots", SnapshotList.Describe(info?.Snapshots ?? []))
            .WithIf(node.IsDescribed, "dirty-flag", node.Format?.Qcow2?.Info.Dirty ?? false)
            .WithIf(node.ClusterSize > 0, "cluster-size", (long)node.ClusterSize);
        if (node is { IsProtocol: true, Children.Count: 0, IsNull: false })
        {
            described.With("format-specific", new QDict().With("type", node.Driver).With("data", new QDict()));
        }

        if (node.Luks is { } luks)
        {
            described.With("format-specific", new QDict().With("type", node.Driver).With("data", LuksInfo.Describe(luks.Volume)));
        }

        if (info is null)
        {
            return described.With("children", children);
        }

        var data = new QDict();
        foreach (var (key, value) in Specific(info))
        {
            data[key] = value;
        }

        described.With("format-specific", new QDict().With("type", "qcow2").With("data", data));
        if (info.BackingFile is { } backing)
        {
            described.With("backing-filename", backing)
                .With("full-backing-filename", BackingName.TryResolve(backing, node.Storage.Name) ?? backing)
                .WithIf(info.BackingFormat is not null, "backing-filename-format", info.BackingFormat);
        }

        // last: it shares a bucket of the key order with another, and the newest comes first
        return described.With("children", children);
    }
}
