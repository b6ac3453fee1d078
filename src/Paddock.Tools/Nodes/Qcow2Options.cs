using Paddock.Qcow2;

namespace Paddock.Tools;

/// <summary>Runtime options of the qcow2 driver (<c>driver=qcow2,lazy-refcounts=on,...</c>).</summary>
public static class Qcow2Options
{
    private static readonly string[] Ignored =
    [
        "pass-discard-request", "pass-discard-snapshot", "pass-discard-other", "discard-no-unref", "cache-clean-interval",
        "l2-cache-entry-size", "node-name", "discard", "detect-zeroes", "read-only", "cache.direct", "cache.no-flush", "cache.writeback",
    ];

    /// <summary>Applies what the list says.</summary>
    /// <exception cref="ToolException">An option that there is not, or a value that it does not take.</exception>
    public static Qcow2OpenOptions Apply(QDict options, Qcow2OpenOptions open)
    {
        foreach (var (key, value) in options.InOrder.ToArray())
        {
            string text = value is bool b ? (b ? "on" : "off") : Convert.ToString(value, null) ?? "";
            open = key switch
            {
                "lazy-refcounts" => open with { LazyRefcounts = Flag(key, text) },
                "overlap-check" or "overlap-check.template" => open with { OverlapChecks = Template(text) },
                "l2-cache-size" or "cache-size" => open with { L2CacheBytes = Cache(key, text) },
                "refcount-cache-size" => open with { RefcountCacheBytes = Cache(key, text) },
                _ when Ignored.Contains(key) || key.StartsWith("overlap-check.", StringComparison.Ordinal) => open,
                _ => throw new ToolException($"Block format 'qcow2' does not support the option '{key}'"),
            };
        }

        return open;
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
