using System.Numerics;
using Paddock.Block;
using Paddock.Crypto.Luks;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Compat.Img;

/// <summary><c>measure</c>: how large the file of a new image will be.</summary>
internal static class MeasureCommand
{
    private const int Sector = 512;

    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(
            args, ImgArguments.Input + " output force-share",
            new('O', "target-format", true), new('o', "options", true), new('l', "snapshot", true), new('\0', "size", true));
        given.All("o").ToList().ForEach(FormatOptions.RequireList);
        var snapshot = given.Snapshot(ctx.Program);
        long? size = given["size"] is { } s ? SizeParser.Argument("image size", s) : null;
        Refuse(given, size is not null);
        ImageNode? input = given.Operands.Count == 0
            ? null : await new ImageOpener(ctx.Program, ctx.Error).OpenAsync(
                given.Operands[0], given.Settings() with { LoadSnapshot = snapshot }, given.Has("image-opts"));
        await using var owned = input;
        string format = given["O"] ?? "raw";
        if (format is not ("raw" or "qcow2" or FormatProbe.Luks))
        {
            throw new ToolException($"Unknown file format '{format}'");
        }

        var options = Options(given, format, ctx.Program);
        long bytes = input?.Device.Length ?? size ?? 0;
        bool hasBitmaps = format == "qcow2" && options["compat"] is not ("0.10" or "v2") && input?.Qcow2 is { Info.Version: >= 3 };
        long bitmaps = hasBitmaps ? BitmapSize(input!.Qcow2!.Info.Bitmaps, bytes, options.Number("cluster_size", 65536)) : 0;
        var (required, full) = format == "raw" ? RawSize(bytes)
            : format == FormatProbe.Luks ? LuksSize(options, bytes) : await Qcow2SizeAsync(options, input, bytes);
        if (given.Json)
        {
            ctx.Line(JsonText.Pretty(
                new QDict().With("required", required).With("fully-allocated", full).WithIf(hasBitmaps, "bitmaps", bitmaps)));
            return 0;
        }

        ctx.Line($"required size: {required}");
        ctx.Line($"fully allocated size: {full}");
        if (hasBitmaps)
        {
            ctx.Line($"bitmaps size: {bitmaps}");
        }

        return 0;
    }

    private static void Refuse(ImgArguments given, bool hasSize)
    {
        if (given.Operands.Count > 1)
        {
            throw new ToolException("At most one filename argument is allowed.");
        }

        if (given.Operands.Count == 0 && (given.Has("image-opts") || given.Has("f") || given.Has("l")))
        {
            throw new ToolException("--image-opts, -f, and -l require a filename argument.");
        }

        if (!hasSize && given.Operands.Count == 0)
        {
            throw new ToolException("Either --size N or one filename must be specified.");
        }

        if (hasSize && given.Operands.Count == 1)
        {
            throw new ToolException("--size N cannot be used together with a filename.");
        }
    }

    private static CreateOptions Options(ImgArguments given, string format, string program)
    {
        var options = new CreateOptions { Objects = given.All("object") };
        try
        {
            given.All("o").ToList().ForEach(o => options.Add(o, format));
            return options;
        }
        catch (ToolException e)
        {
            throw new ToolException($"{e.Message}\n{program}: Invalid options for file format '{format}'");
        }
    }

    private static (long Required, long Full) RawSize(long bytes)
    {
        long whole = (long)Math.Min(RoundUp((ulong)bytes, Sector), long.MaxValue & -Sector);
        return (whole, whole);
    }

    // what holds nothing is encrypted too
    private static (long Required, long Full) LuksSize(CreateOptions options, long bytes)
    {
        long all = LuksFormat.HeaderBytes(EncryptionCreate.ForLuks(options)) + bytes;
        return (all, all);
    }

    private static async ValueTask<(long Required, long Full)> Qcow2SizeAsync(CreateOptions options, ImageNode? input, long bytes)
    {
        long cluster = Check(options);
        ulong disk = RoundUp((ulong)bytes, (ulong)cluster);
        ulong tables = DivideUp(disk / (ulong)cluster, EntriesPerTable(options, cluster));
        if (tables * 8 > 32 << 20)
        {
            throw new ToolException("The image size is too large (try using a larger cluster size)");
        }

        // a backing file may hold any part of the chain's data, or none: all of it is counted
        bool isReserved = options["preallocation"] is "falloc" or "full";
        long length = (long)disk;
        long data = isReserved || (input is not null && options["backing_file"] is not null) ? length
            : input is null ? 0 : await DataAsync(input, cluster);
        long full = FullSize(length, cluster, options) + LuksClusters(options, cluster);
        return (full - length + data, full);
    }

    // the peer's measure has words of its own for some of create's errors
    private static long Check(CreateOptions options)
    {
        long cluster = options.Number("cluster_size", 65536), bits = options.Number("refcount_bits", 16);
        if (cluster is < 512 or > 2 << 20 || !BitOperations.IsPow2(cluster))
        {
            throw new ToolException("Cluster size must be a power of two between 512 and 2048k");
        }

        if (options["extended_l2"] == "on" && cluster < 16384)
        {
            throw new ToolException("Extended L2 entries are only supported with cluster sizes of at least 16384 bytes");
        }

        if (PreallocationName.Parse(options["preallocation"]) is null)
        {
            throw new ToolException($"invalid parameter value: {options["preallocation"]}");
        }

        if (options["compat"] is not (null or "0.10" or "v2" or "1.1" or "v3"))
        {
            throw new ToolException($"Invalid compatibility level: '{options["compat"]}'");
        }

        if (bits is < 1 or > 64 || !BitOperations.IsPow2(bits))
        {
            throw new ToolException("Refcount width must be a power of two and may not exceed 64 bits");
        }

        if (bits != 16 && options["compat"] is "0.10" or "v2")
        {
            throw new ToolException(
                "Different refcount widths than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)");
        }

        return cluster;
    }

    private static ulong EntriesPerTable(CreateOptions options, long cluster)
        => (ulong)cluster / (options["extended_l2"] == "on" ? 16UL : 8);

    private static long LuksClusters(CreateOptions options, long cluster)
        => EncryptionCreate.ForQcow2(options, out _) is { } luks ? (long)RoundUp((ulong)LuksFormat.HeaderBytes(luks), (ulong)cluster) : 0;

    // bytes of the clusters that hold data, each counted once
    private static async ValueTask<long> DataAsync(ImageNode input, long cluster)
    {
        long length = input.Device.Length, data = 0;
        for (long at = 0; at < length;)
        {
            var run = await ChainStatus.QueryAsync(input, at, length - at);
            long end = at + run.Length;
            if (run is { IsZero: false, IsData: true, IsPresent: true })
            {
                end = (long)RoundUp((ulong)end, (ulong)cluster);
                data += end - (at & -cluster);
            }

            at = end;
        }

        return data;
    }

    // header, L1, all L2 tables, the zone table, all data, and the refcounts of these and of themselves
    private static long FullSize(long length, long cluster, CreateOptions options)
    {
        long l2 = (long)DivideUp((ulong)(length / cluster), EntriesPerTable(options, cluster));
        long l1 = (long)DivideUp((ulong)l2, (ulong)cluster / 8);
        long zoneSize = options.IsZoned ? options.Number("zone_size") : 0;
        long zones = zoneSize <= 0 ? 0 : (long)DivideUp((ulong)length, (ulong)zoneSize);
        long clusters = 1 + l2 + l1 + (long)DivideUp((ulong)zones * 8, (ulong)cluster) + (length / cluster);
        long perBlock = cluster * 8 / options.Number("refcount_bits", 16);
        long table = 0, blocks = 0;
        for (long before = -1; before != blocks + table;)
        {
            before = blocks + table;
            blocks = (long)DivideUp((ulong)(clusters + before), (ulong)perBlock);
            table = (long)DivideUp((ulong)blocks, (ulong)cluster / 8);
        }

        return (clusters + blocks + table) * cluster;
    }

    // each bitmap's bits and table in whole clusters, and the directory of all
    private static long BitmapSize(IReadOnlyList<Qcow2BitmapInfo> bitmaps, long length, long cluster)
    {
        const int directoryEntry = 24;
        ulong clusters = 0, directory = 0, size = (ulong)cluster;
        foreach (var bitmap in bitmaps)
        {
            ulong data = DivideUp(DivideUp(DivideUp((ulong)length, (ulong)bitmap.Granularity), 8), size);
            clusters += data + DivideUp(data * 8, size);
            directory += RoundUp((ulong)(directoryEntry + ByteText.ToBytes(bitmap.Name).Length), 8);
        }

        return (long)((clusters + DivideUp(directory, size)) * size);
    }

    private static ulong DivideUp(ulong value, ulong unit) => (value / unit) + (value % unit == 0 ? 0UL : 1);

    private static ulong RoundUp(ulong value, ulong unit) => DivideUp(value, unit) * unit;
}
