using System.Globalization;
using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>
/// Runtime options that any node takes. Each is checked, and either does what it names, describes what Paddock does anyway, or is refused:
/// none is taken and ignored.
/// </summary>
internal static class NodeOptions
{
    /// <summary>Applies <c>read-only</c> and the cache options of an image, or of its file.</summary>
    public static OpenSettings ApplyCommon(QDict options, OpenSettings settings)
    {
        bool readOnly = Flag(options, "read-only") ?? settings.ReadOnly;
        if (readOnly && !settings.ReadOnly)
        {
            throw new ToolException("Block node is read-only");
        }

        settings = settings with { Cache = CacheMode(options, settings.Cache) };
        CheckAio(settings.Aio, settings.Cache);
        return settings;
    }

    // each option replaces one property of the mode that -t names; the file's own options count before those of the image over it
    private static string? CacheMode(QDict options, string? mode)
    {
        bool? direct = Flag(options, "cache.direct"), noFlush = Flag(options, "cache.no-flush");
        direct = Flag(options, "file.cache.direct") ?? direct;
        noFlush = Flag(options, "file.cache.no-flush") ?? noFlush;
        bool? writeback = Flag(options, "cache.writeback");
        if ((direct ?? noFlush ?? writeback) is null)
        {
            return mode;
        }

        bool isDirect = direct ?? ImageOpener.IsDirect(mode);
        bool isWriteback = writeback ?? !ImageOpener.IsWriteThrough(mode);
        return (noFlush ?? ImageOpener.IsUnsafe(mode)) ? isDirect ? ImageOpener.DirectUnsafe : "unsafe" : (isDirect, isWriteback) switch
        {
            (true, true) => "none",
            (true, false) => "directsync",
            (false, true) => "writeback",
            (false, false) => "writethrough",
        };
    }

    /// <summary>Takes the options that every node has out of the list.</summary>
    public static void TakeGeneric(QDict options, OpenSettings settings)
    {
        options.Take("node-name");
        Flag(options, "read-only");
        if (Flag(options, "auto-read-only") == true && !settings.ReadOnly)
        {
            throw new ToolException("auto-read-only=on is not supported for writing: use read-only=on, or leave it out");
        }

        foreach (string cache in new[] { "cache.direct", "cache.no-flush", "cache.writeback" })
        {
            Flag(options, cache);
        }

        switch (Text(options.Take("discard")))
        {
            case null or "unmap" or "on":
                break;
            case "ignore" or "off":
                throw new ToolException("discard=ignore is not supported: discards free space");
            default:
                throw new ToolException("Invalid discard option");
        }

        string? detect = Text(options.Take("detect-zeroes"));
        if (detect is not (null or "off"))
        {
            throw new ToolException(
                detect is "on" or "unmap" ? $"detect-zeroes={detect} is not supported here: 'nbd --detect-zeroes={detect}' has it"
                : $"invalid parameter value: {detect}");
        }
    }

    /// <summary>Takes the options of a file.</summary>
    public static void TakeFile(QDict options, OpenSettings settings)
    {
        TakeGeneric(options, settings);
        switch (Text(options.Take("locking")))
        {
            case null or "on" or "auto":
                break;
            case "off":
                throw new ToolException("locking=off is not supported: -U opens an image that another program writes to");
            case var other:
                throw new ToolException($"invalid parameter value: {other}");
        }

        CheckAio(Text(options.Take("aio")), settings.Cache);
    }

    /// <summary>Checks a mode of asynchronous I/O: any of them is the same to Paddock, which has one of its own.</summary>
    public static void CheckAio(string? mode, string? cache)
    {
        if (mode is not (null or "threads" or "native" or "io_uring"))
        {
            throw new ToolException($"invalid parameter value: {mode}");
        }

        if (mode == "native" && !ImageOpener.IsDirect(cache))
        {
            throw new ToolException("aio=native was specified, but it requires cache.direct=on, which was not specified.");
        }
    }

    private static bool? Flag(QDict options, string name)
        => Text(options.Take(name)) is { } text ? Qcow2Options.Flag(name, text) : null;

    private static string? Text(object? value) => value switch
    {
        null => null,
        bool flag => flag ? "on" : "off",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture),
    };
}
