using System.Text;
using Paddock.Block;
using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Tools;

/// <summary><c>create</c>: a new image.</summary>
internal static class CreateCommand
{
    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(
            args, new('o', "options", true), new('b', "backing", true), new('F', "backing-format", true), new('u', "backing-unsafe", false));
        string format = given["f"] ?? "raw";
        if (given.All("o").Any(KeyValueOptions.AsksForHelp))
        {
            RequireFormat(format, "");
            CreateOptions.Help(ctx, format == "raw");
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
            RequireFormat(format, "");
            var options = new CreateOptions();
            given.All("o").ToList().ForEach(o => options.Add(o, format == "raw"));
            if (format == "raw" && (given.Has("b") || given.Has("F")))
            {
                throw new ToolException("Backing file not supported for file format 'raw'");
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

    /// <summary>Makes the file; nothing is left behind when it is refused.</summary>
    internal static async ValueTask MakeFileAsync(string format, string name, CreateOptions options, long size)
    {
        var qcow2 = format == "qcow2" ? options.ToQcow2(size) : null;
        var preallocation = options.Preallocation();
        if (await NbdNode.TryOpenAsync(name, new QDict(), null, new OpenSettings { ReadOnly = false }) is { } remote)
        {
            await using var there = remote.Storage;
            await (qcow2 is null ? there.SetLengthAsync(WholeSectors(size)) : Qcow2Image.CreateAsync(there, qcow2));
            return;
        }

        if (NvmeName.Is(name))
        {
            throw new ToolException("a remote drive is there already: say convert -n");
        }

        string path = ImageOpener.PathOf(name);
        bool isNew = !FileNames.Exists(path);
        var storage = ImageOpener.OpenFile(path, readOnly: false, create: true);
        try
        {
            await (qcow2 is null ? MakeRawAsync(storage, WholeSectors(size), preallocation) : Qcow2Image.CreateAsync(storage, qcow2));
            await storage.DisposeAsync();
        }
        catch (BlockException)
        {
            await storage.DisposeAsync();
            if (isNew)
            {
                FileNames.Delete(path);
            }

            throw;
        }
    }

    private static long WholeSectors(long size) => size > long.MaxValue - 511 ? size : (size + 511) & -512;

    private static async ValueTask MakeRawAsync(IStorage storage, long size, Preallocation preallocation)
    {
        const int FirstBlock = 4096, Sector = 512;
        await storage.SetLengthAsync(size, preallocation);
        if (preallocation == Preallocation.Off && size > 0)
        {
            // the first block is there, so that alignment for direct I/O can be probed by reading it
            await storage.WriteAsync(0, new byte[size >= FirstBlock ? FirstBlock : Math.Min(size, Sector)]);
        }
    }

    private static void RequireFormat(string format, string prefix)
    {
        if (format is not ("raw" or "qcow2"))
        {
            throw new ToolException($"{prefix}Unknown file format '{format}'");
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
        if (options["backing_file"] is { } backing)
        {
            size = await CheckBackingAsync(ctx, name, backing, options, size, unsafely);
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

        if (options["backing_fmt"] is not null && options["backing_file"] is null)
        {
            throw new ToolException("Backing format cannot be used without backing file");
        }

        await MakeFileAsync(format, name, options, size.Value);
    }

    private static async ValueTask<long?> CheckBackingAsync(
        ToolContext ctx, string name, string backing, CreateOptions options, long? size, bool unsafely)
    {
        if (backing == name)
        {
            throw new ToolException("Error: Trying to create an image with the same filename as the backing file");
        }

        if (unsafely)
        {
            return size;
        }

        string detected;
        try
        {
            var settings = new OpenSettings { Format = options["backing_fmt"], NoBacking = true };
            await using var node = await new ImageOpener(ctx).OpenNodeAsync(BackingName.Resolve(backing, name), settings, 0);
            size ??= node.Device.Length;
            detected = node.Driver;
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            throw new ToolException(e.Message + "\nCould not open backing image.");
        }

        return options["backing_fmt"] is null
            ? throw new ToolException($"Backing file specified without backing format\nDetected format of {detected}.")
            : size;
    }

    private static string Line(string format, string name, CreateOptions options, long size)
    {
        var line = new StringBuilder($"Formatting '{name}', fmt={format}");
        if (format == "raw")
        {
            line.Append(null, $" size={size}");
            return options["preallocation"] is { } mode ? line.Append(null, $" preallocation={mode}").ToString() : line.ToString();
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
