using System.Text;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Chains;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Posix;
using Paddock.Qcow2;
using Paddock.Rbd;

namespace Paddock.Compat.Img;

/// <summary><c>create</c>: a new image.</summary>
internal static class CreateCommand
{
    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(
            args, "format quiet object", new('o', "options", true), new('b', "backing", true), new('F', "backing-format", true),
            new('u', "backing-unsafe", false));
        string format = given["f"] ?? "raw";
        given.All("o").ToList().ForEach(FormatOptions.RequireList);
        if (given.All("o").Any(KeyValueOptions.AsksForHelp))
        {
            FormatOptions.RequireCreatable(format);
            FormatOptions.PrintCreate(ctx, format, given.Operands.Count > 0 ? given.Operands[0] : null);
            return 0;
        }

        if (given.Operands.Count == 0)
        {
            throw new UsageException("Expecting image file name");
        }

        if (given.Operands.Count > 2)
        {
            throw new UsageException($"Unexpected argument: {given.Operands[2]}");
        }

        string name = given.Operands[0];
        long? size = given.Operands.Count == 2 ? SizeParser.Argument("image size", given.Operands[1]) : null;
        try
        {
            FormatOptions.RequireCreatable(format);
            var options = new CreateOptions { Objects = given.All("object"), IsInRbd = RbdTarget.IsName(name) };
            given.All("o").ToList().ForEach(o => options.Add(o, format));
            if (format != "qcow2" && (given.Has("b") || given.Has("F")))
            {
                throw new ToolException($"Backing file {(given.Has("b") ? "" : "format ")}not supported for file format '{format}'");
            }

            options["backing_file"] = given["b"];
            options["backing_fmt"] = given["F"];
            await CreateAsync(ctx, format, name, options, size, given.Has("u"), given.Has("q"));
            return 0;
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            throw new ToolException($"{name}: {e.Message}");
        }
    }

    private static async ValueTask CreateAsync(
        ToolContext ctx, string format, string name, CreateOptions options, long? size, bool unsafely, bool quiet)
    {
        if (size is not null && options["size"] is not null)
        {
            throw new ToolException("The image size must be specified only once");
        }

        size ??= options["size"] is null ? null : options.Number("size");
        ZoneClone? clone = null;
        if (options["backing_file"] is { } backing)
        {
            (size, clone) = await CheckBackingAsync(ctx, name, backing, options, size, unsafely);
        }

        if (size is null)
        {
            throw new ToolException("Image creation needs a size parameter");
        }

        if (!quiet)
        {
            ctx.Line(Line(format, name, options, size.Value));
            await ctx.Out.FlushAsync();
        }

        await NewImage.MakeAsync(format, name, options, size.Value, ctx.Warn, clone);
    }

    private static async ValueTask<(long? Size, ZoneClone? Clone)> CheckBackingAsync(
        ToolContext ctx, string name, string backing, CreateOptions options, long? size, bool unsafely)
    {
        if (backing.Length == 0)
        {
            throw new ToolException("Expected backing file name, got empty string");
        }

        string resolved = BackingName.Resolve(backing, name);
        if (backing == name || FileIdentity.IsSameFile(resolved, name))
        {
            throw new ToolException("Error: Trying to create an image with the same filename as the backing file");
        }

        if (backing.Length == 0)
        {
            throw new ToolException("Expected backing file name, got empty string");
        }

        if (unsafely)
        {
            return options["backing_fmt"] is not null ? (size, null)
                : throw new ToolException("Backing file specified without backing format");
        }

        string detected;
        ZoneClone? clone;
        try
        {
            var settings = new OpenSettings { Format = options["backing_fmt"], ForInfo = true };
            await using var node = await new ImageOpener(ctx.Program, ctx.Error).OpenAgainAsync(resolved, settings);
            ConvertCommand.RequireOther(name, node);
            ConvertCommand.RequireOtherData(options, node);
            size ??= node.Device.Length;
            clone = await ZoneClone.OfAsync(node);
            detected = node.Driver;
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            throw new ToolException(e.Message + "\nCould not open backing image.");
        }

        if (options["backing_fmt"] is null)
        {
            throw new ToolException($"Backing file specified without backing format\nDetected format of {detected}.");
        }

        TakeZones(options, clone, backing);
        return (size, clone);
    }

    // what is not given comes from the backing file
    private static void TakeZones(CreateOptions options, ZoneClone? clone, string backing)
    {
        if (clone is null)
        {
            return;
        }

        if (options["zone_model"] == "non-zoned")
        {
            throw new ToolException($"the backing file '{backing}' has zones, and so has the image");
        }

        var limits = clone.Limits;
        options["zone_model"] = "host-managed";
        (string Name, long Value)[] values =
        [
            ("zone_size", limits.ZoneSize), ("zone_capacity", limits.ZoneCapacity), ("conventional_zones", limits.ConventionalZones),
            ("max_open_zones", limits.MaxOpenZones), ("max_active_zones", limits.MaxActiveZones),
            ("max_append_bytes", limits.MaxAppendBytes),
        ];
        foreach (var (name, value) in values)
        {
            options[name] ??= value.ToString(null, null);
        }

        if (clone.Layout == ZoneLayout.C && limits.ZoneSize % options.Number("cluster_size", 65536) == 0)
        {
            options["zone_layout"] ??= "c";
        }
    }

    private static string Line(string format, string name, CreateOptions options, long size)
    {
        var line = new StringBuilder($"Formatting '{name}', fmt={format}");
        if (format == "raw")
        {
            line.Append(null, $" size={size}");
            foreach (string key in new[] { "nocow", "preallocation", "extent_size_hint", "cluster_size" })
            {
                line.Append(options[key] is { } value ? $" {key}={value}" : "");
            }

            return line.ToString();
        }

        if (format == FormatProbe.Luks)
        {
            line.Append(null, $" size={size}");
            foreach (string key in EncryptionCreate.LuksLineOrder.Where(k => options[k] is not null))
            {
                line.Append(null, $" {key}={KeyValueOptions.Escape(options[key]!)}");
            }

            return line.ToString();
        }

        foreach (string key in CreateOptions.LineOrder)
        {
            string? value = key switch
            {
                "cluster_size" => options[key] ?? "65536",
                "extended_l2" or "lazy_refcounts" => options[key] ?? "off",
                "compression_type" => options[key] ?? "zlib",
                "refcount_bits" => options[key] ?? "16",
                "size" => size.ToString(null, null),
                "zone_capacity" when options.IsZoned => options[key] ?? options["zone_size"],
                "conventional_zones" or "max_append_bytes" or "max_active_zones" or "max_open_zones" when options.IsZoned
                    => options[key] ?? "0",
                _ => options[key],
            };
            if (value is not null)
            {
                line.Append(null, $" {key}={KeyValueOptions.Escape(value)}");
            }
        }

        return line.ToString();
    }
}
