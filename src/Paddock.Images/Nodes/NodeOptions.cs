using System.Globalization;
using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>
/// Runtime options that any node takes. Each is checked, and either does what it names, describes what Paddock does anyway, or is refused:
/// none is taken and ignored.
/// </summary>
internal static class NodeOptions
{
    // 31 characters and a zero in QEMU
    private const int MaxNodeName = 31;

    /// <summary>Applies <c>read-only</c> and the cache options of an image, or of its file.</summary>
    public static OpenSettings ApplyCommon(QDict options, OpenSettings settings)
    {
        bool readOnly = Flag(options, "read-only") ?? settings.ReadOnly;
        if (readOnly && !settings.ReadOnly)
        {
            throw new ToolException("Block node is read-only");
        }

        settings = settings with
        {
            ReadOnly = readOnly,
            ForceShare = Flag(options, "force-share") ?? settings.ForceShare,
            AutoReadOnly = Flag(options, "auto-read-only") ?? settings.AutoReadOnly,
            Cache = CacheMode(options, settings.Cache),
        };
        CheckAio(settings.Aio, settings.Cache);
        return settings;
    }

    // each option replaces one property of the mode that -t names
    private static string? CacheMode(QDict options, string? mode)
    {
        bool? direct = Flag(options, "cache.direct"), noFlush = Flag(options, "cache.no-flush");
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
    /// <returns>What becomes of discards and of writes that are all zeroes.</returns>
    public static SpacePolicy TakeGeneric(QDict options, OpenSettings settings)
    {
        bool? unmap = Text(options.Take("discard")) switch
        {
            null => settings.Unmap,
            "unmap" or "on" => true,
            "ignore" or "off" => false,
            _ => throw new ToolException("Invalid discard option"),
        };
        var zeroes = Text(options.Take("detect-zeroes")) switch
        {
            null => settings.DetectZeroes,
            "off" => ZeroDetection.Off,
            "on" => ZeroDetection.On,
            "unmap" => ZeroDetection.Unmap,
            var other => throw new ToolException($"invalid parameter value: {other}"),
        };
        return zeroes == ZeroDetection.Unmap && unmap != true
            ? throw new ToolException("setting detect-zeroes to unmap is not allowed without setting discard operation to unmap")
            : new SpacePolicy(unmap ?? true, zeroes);
    }

    /// <summary>Takes the name of a node.</summary>
    /// <exception cref="ToolException">It is not a name of letters, digits and <c>-._</c> that begins with a letter.</exception>
    public static string? TakeName(QDict options)
    {
        string? name = Text(options.Take("node-name"));
        return name is null || (name.Length is > 0 and <= MaxNodeName && char.IsAsciiLetter(name[0])
            && name.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_'))
            ? name : throw new ToolException(name.Length > MaxNodeName ? "Node name too long" : $"Invalid node-name: '{name}'");
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

    /// <summary>Takes a switch; null if it is not in the list.</summary>
    public static bool? Flag(QDict options, string name)
        => Text(options.Take(name)) is { } text ? Qcow2Options.Flag(name, text) : null;

    /// <summary>A value as stored in an option list; null for null.</summary>
    public static string? Text(object? value) => value switch
    {
        null => null,
        bool flag => flag ? "on" : "off",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture),
    };

    /// <summary>A value as a number of bytes.</summary>
    public static long Size(string name, object? value) => (long)Math.Min(SizeParser.Option(name, Text(value) ?? ""), long.MaxValue);
}
