using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Images.Nodes;

/// <summary>Runtime options of the qcow2 driver (<c>driver=qcow2,lazy-refcounts=on,...</c>).</summary>
internal static class Qcow2Options
{
    private static readonly Dictionary<string, OverlapChecks> Checks = new()
    {
        ["main-header"] = OverlapChecks.MainHeader,
        ["active-l1"] = OverlapChecks.ActiveL1,
        ["active-l2"] = OverlapChecks.ActiveL2,
        ["refcount-table"] = OverlapChecks.RefcountTable,
        ["refcount-block"] = OverlapChecks.RefcountBlock,
        ["snapshot-table"] = OverlapChecks.SnapshotTable,
        ["inactive-l1"] = OverlapChecks.InactiveL1,
        ["inactive-l2"] = OverlapChecks.InactiveL2,
        ["bitmap-directory"] = OverlapChecks.BitmapDirectory,
    };

    /// <summary>Applies what the list says.</summary>
    /// <exception cref="ToolException">An option that there is not, or a value that it does not take.</exception>
    public static Qcow2OpenOptions Apply(QDict options, Qcow2OpenOptions open)
    {
        CheckCaches(options);
        if ((options["overlap-check"] ?? options["overlap-check.template"]) is { } template)
        {
            open = open with { OverlapChecks = Template(Text(template)) };
        }

        foreach (var (key, value) in options.InOrder.ToArray())
        {
            open = Apply(open, key, Text(value));
        }

        return open;
    }

    private static Qcow2OpenOptions Apply(Qcow2OpenOptions open, string key, string text)
    {
        const string Check = "overlap-check.";
        switch (key)
        {
            case "lazy-refcounts":
                return open with { LazyRefcounts = Flag(key, text) };
            case "overlap-check" or "overlap-check.template":
                return open;
            case "l2-cache-size":
                return open with { L2CacheBytes = Cache(key, text) };
            case "refcount-cache-size":
                return open with { RefcountCacheBytes = Cache(key, text) };
            case "pass-discard-request" or "pass-discard-snapshot":
                return Only(open, key, text, wanted: true);
            case "pass-discard-other" or "discard-no-unref":
                return Only(open, key, text, wanted: false);
            case "cache-clean-interval" or "l2-cache-entry-size":
                return OnlyNumber(open, key, text);
        }

        return key.StartsWith(Check, StringComparison.Ordinal) && Checks.TryGetValue(key[Check.Length..], out var bit)
            ? open with { OverlapChecks = Flag(key, text) ? open.OverlapChecks | bit : open.OverlapChecks & ~bit }
            : throw new ToolException($"Block format 'qcow2' does not support the option '{key}'");
    }

    private static string Text(object? value) => value is bool flag ? (flag ? "on" : "off") : Convert.ToString(value, null) ?? "";

    // an option that describes what the engine does: its other value is refused
    private static Qcow2OpenOptions Only(Qcow2OpenOptions open, string key, string text, bool wanted)
        => Flag(key, text) == wanted ? open
            : throw new ToolException($"{key}={text} is not supported: leave it out, or set it {(wanted ? "on" : "off")}");

    private static Qcow2OpenOptions OnlyNumber(Qcow2OpenOptions open, string key, string text)
    {
        ulong only = key == "cache-clean-interval" ? 0UL : 4096;
        ulong value = key == "l2-cache-entry-size" ? SizeParser.Option(key, text)
            : SizeParser.TryParseInteger(text, out ulong number) == NumberFault.None ? number
            : throw new ToolException($"Parameter '{key}' expects a number");
        return value == only ? open : throw new ToolException($"{key}={text} is not supported: leave it out, or set it to {only}");
    }

    private static void CheckCaches(QDict options)
    {
        if (options["cache-size"] is not { } all)
        {
            return;
        }

        long total = Cache("cache-size", Text(all));
        if (options["l2-cache-size"] is not null && options["refcount-cache-size"] is not null)
        {
            throw new ToolException("cache-size, l2-cache-size and refcount-cache-size may not be set at the same time");
        }

        foreach (string part in new[] { "l2-cache-size", "refcount-cache-size" })
        {
            if (options[part] is { } size && Cache(part, Text(size)) > total)
            {
                throw new ToolException($"{part} may not exceed cache-size");
            }
        }

        // the larger part is that of the L2 tables; what is named of the two is taken from the sum
        if (options["l2-cache-size"] is { } l2)
        {
            options["refcount-cache-size"] = (total - Cache("l2-cache-size", Text(l2))).ToString(null, null);
        }
        else if (options["refcount-cache-size"] is { } refcounts)
        {
            options["l2-cache-size"] = (total - Cache("refcount-cache-size", Text(refcounts))).ToString(null, null);
        }
        else
        {
            options["l2-cache-size"] = (total - (total / 8)).ToString(null, null);
            options["refcount-cache-size"] = (total / 8).ToString(null, null);
        }

        options.Take("cache-size");
    }

    /// <summary>Parses <c>on</c> or <c>off</c>.</summary>
    public static bool Flag(string name, string text) => text switch
    {
        "on" or "yes" or "true" or "y" => true,
        "off" or "no" or "false" or "n" => false,
        _ => throw new ToolException($"Parameter '{name}' expects 'on' or 'off'"),
    };

    private static long Cache(string name, string text) => (long)Math.Min(SizeParser.Option(name, text), long.MaxValue);

    private static OverlapChecks Template(string text) => text switch
    {
        "none" => OverlapChecks.None,
        "constant" => OverlapChecks.Constant,
        "cached" => OverlapChecks.Cached,
        "all" => OverlapChecks.All,
        _ => throw new ToolException(
            $"Unsupported value '{text}' for qcow2 option 'overlap-check'. Allowed are any of the following: none, constant, cached, all"),
    };
}
