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

    private const string Caches = "cache-size", L2Cache = "l2-cache-size", RefcountCache = "refcount-cache-size",
        L2Entry = "l2-cache-entry-size", CleanInterval = "cache-clean-interval", Overlap = "overlap-check",
        Template = "overlap-check.template",
        Lazy = "lazy-refcounts", NoUnref = "discard-no-unref", PassRequest = "pass-discard-request";

    private const int MinEntry = 512, MinRefcountClusters = 4;

    private static readonly string[] Switches = [Lazy, PassRequest, "pass-discard-snapshot", "pass-discard-other", NoUnref];

    /// <summary>Takes what the list says, and leaves what it does not know.</summary>
    /// <exception cref="ToolException">An option has a value that it does not take.</exception>
    public static Qcow2Tuning Take(QDict options)
    {
        var flags = Switches.ToDictionary(static name => name, name => NodeOptions.Flag(options, name));
        var tuning = new Qcow2Tuning
        {
            CacheBytes = TakeSize(options, Caches),
            L2CacheBytes = TakeSize(options, L2Cache),
            RefcountCacheBytes = TakeSize(options, RefcountCache),
            L2EntryBytes = TakeSize(options, L2Entry),
            LazyRefcounts = flags[Lazy],
            PassesDiscards = flags[PassRequest] ?? true,
            KeepsReferences = flags[NoUnref] ?? false,
            CleanInterval = TakeNumber(options, CleanInterval),
        };
        return tuning with { OverlapChecks = TakeChecks(options) };
    }

    /// <summary>Adds the previous options of a node to the new ones; new templates and sizes replace all that they stand for.</summary>
    public static void Join(QDict options, QDict previous)
    {
        bool newTemplate = options.Contains(Overlap) || options.Contains(Template), newTotal = options.Contains(Caches);
        foreach (var (key, value) in previous.Clone().InOrder)
        {
            bool isOverridden = (newTemplate && (key == Overlap || key.StartsWith(Overlap + ".", StringComparison.Ordinal)))
                || (newTotal && key is L2Cache or RefcountCache);
            if (!isOverridden && !options.Contains(key))
            {
                options[key] = value;
            }
        }

        if (!newTotal && (options.Contains(L2Cache) || options.Contains(RefcountCache)))
        {
            options.Take(Caches);
        }
    }

    /// <summary>Checks the values that depend on the image, and resolves the sizes of the caches.</summary>
    /// <exception cref="ToolException">A value is beyond what the image allows.</exception>
    public static void Check(Qcow2Tuning tuning, Qcow2ImageInfo info)
    {
        long cluster = info.ClusterSize, entry = tuning.L2EntryBytes ?? cluster;
        long clusters = (info.VirtualSize / cluster) + (info.VirtualSize % cluster == 0 ? 0 : 1);
        long mostL2 = Math.Max(clusters, 1) * (info.ExtendedL2 ? 16 : 8), l2 = Math.Min(mostL2, tuning.L2CacheBytes ?? long.MaxValue);
        long refcounts = tuning.RefcountCacheBytes ?? 0;
        if (tuning.CacheBytes is { } total)
        {
            Refuse(tuning is { L2CacheBytes: not null, RefcountCacheBytes: not null },
                "cache-size, l2-cache-size and refcount-cache-size may not be set at the same time");
            Refuse(tuning.L2CacheBytes > total, "l2-cache-size may not exceed cache-size");
            Refuse(refcounts > total, "refcount-cache-size may not exceed cache-size");
            l2 = tuning.L2CacheBytes is null ? Math.Min(mostL2, total - refcounts) : l2;
            refcounts = tuning.RefcountCacheBytes is null ? Math.Min(total - l2, MinRefcountClusters * cluster) : refcounts;
        }

        Refuse(entry < MinEntry || entry > cluster || !long.IsPow2(entry),
            $"L2 cache entry size must be a power of two between {MinEntry} and the cluster size ({cluster})");
        Refuse(tuning.L2CacheBytes is not null && l2 / entry > int.MaxValue, "L2 cache size too big");
        Refuse(refcounts / cluster > int.MaxValue, "Refcount cache size too big");
        Refuse(tuning.CleanInterval > uint.MaxValue, "Cache clean interval too big");
        Refuse(tuning.LazyRefcounts == true && info.Version < 3,
            "Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level");
        Refuse(tuning.KeepsReferences && info.Version < 3, "discard-no-unref is only supported since qcow2 version 3");
    }

    private static void Refuse(bool holds, string message)
    {
        if (holds)
        {
            throw new ToolException(message);
        }
    }

    private static OverlapChecks? TakeChecks(QDict options)
    {
        string? plain = NodeOptions.Text(options.Take(Overlap)), template = NodeOptions.Text(options.Take(Template));
        Refuse(plain is not null && template is not null && plain != template,
            $"Conflicting values for qcow2 options '{Overlap}' ('{plain}') and '{Template}' ('{template}')");
        var checks = (plain ?? template) is { } named ? TemplateOf(named) : (OverlapChecks?)null;
        foreach (var (name, bit) in Checks)
        {
            if (NodeOptions.Flag(options, $"{Overlap}.{name}") is { } on)
            {
                var before = checks ?? OverlapChecks.Cached;
                checks = on ? before | bit : before & ~bit;
            }
        }

        return checks;
    }

    private static long? TakeSize(QDict options, string name)
        => options.Take(name) is { } value ? NodeOptions.Size(name, value) : null;

    /// <summary>Takes a number; a negative one counts from 2^64 down, as in QEMU.</summary>
    public static ulong? TakeNumber(QDict options, string name)
    {
        if (NodeOptions.Text(options.Take(name)) is not { } text)
        {
            return null;
        }

        bool isNegative = text.StartsWith('-');
        return SizeParser.TryParseInteger(isNegative ? text[1..] : text, out ulong number) == NumberFault.None
            ? isNegative ? 0 - number : number : throw new ToolException($"Parameter '{name}' expects a number");
    }

    /// <summary>Parses <c>on</c> or <c>off</c>.</summary>
    public static bool Flag(string name, string text) => text switch
    {
        "on" or "yes" or "true" or "y" => true,
        "off" or "no" or "false" or "n" => false,
        _ => throw new ToolException($"Parameter '{name}' expects 'on' or 'off'"),
    };

    private static OverlapChecks TemplateOf(string text) => text switch
    {
        "none" => OverlapChecks.None,
        "constant" => OverlapChecks.Constant,
        "cached" => OverlapChecks.Cached,
        "all" => OverlapChecks.All,
        _ => throw new ToolException(
            $"Unsupported value '{text}' for qcow2 option 'overlap-check'. Allowed are any of the following: none, constant, cached, all"),
    };
}

/// <summary>The runtime options of a qcow2 node.</summary>
internal sealed record Qcow2Tuning
{
    /// <summary>Bytes of both caches together; null: not set.</summary>
    public long? CacheBytes { get; init; }

    /// <summary>Bytes of cached L2 tables; null: not set.</summary>
    public long? L2CacheBytes { get; init; }

    /// <summary>Bytes of cached refcount blocks; null: not set.</summary>
    public long? RefcountCacheBytes { get; init; }

    /// <summary>Bytes of an entry of the L2 cache, which are checked only; null: not set.</summary>
    public long? L2EntryBytes { get; init; }

    /// <summary>Seconds after which QEMU frees unused cache entries; checked only, as the caches here are bounded; null: not set.</summary>
    public ulong? CleanInterval { get; init; }

    /// <summary>Overrides the image's lazy_refcounts; null: not set.</summary>
    public bool? LazyRefcounts { get; init; }

    /// <summary>Whether clusters freed by discards become holes.</summary>
    public bool PassesDiscards { get; init; }

    /// <summary>Whether discarded clusters stay allocated and read as zeroes.</summary>
    public bool KeepsReferences { get; init; }

    /// <summary>Which structures writes are checked against; null: not set.</summary>
    public OverlapChecks? OverlapChecks { get; init; }

    /// <summary>Applies the options to those of the engine.</summary>
    public Qcow2OpenOptions Apply(Qcow2OpenOptions open)
    {
        long? both = CacheBytes;
        return open with
        {
            LazyRefcounts = LazyRefcounts ?? open.LazyRefcounts,
            OverlapChecks = OverlapChecks ?? open.OverlapChecks,
            PassDiscards = PassesDiscards && open.PassDiscards,
            L2CacheBytes = L2CacheBytes ?? (both is null ? open.L2CacheBytes : both.Value - (RefcountCacheBytes ?? both.Value / 8)),
            RefcountCacheBytes = RefcountCacheBytes ?? (both is null ? open.RefcountCacheBytes
                : both.Value - (L2CacheBytes ?? both.Value - (both.Value / 8))),
        };
    }
}
