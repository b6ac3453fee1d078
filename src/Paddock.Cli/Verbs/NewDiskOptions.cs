using System.CommandLine;
using Paddock.Block;
using Paddock.Cli.Native;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Cli.Verbs;

/// <summary>The options of a new disk: its zones and clusters. `paddock create`, `run` and `farm` share them.</summary>
internal sealed class NewDiskOptions
{
    private readonly Option<string?> _zoneSize = Text("--zone-size", "Zone size (default: not a zoned disk).");

    private readonly Option<string?> _zoneCapacity = Text("--zone-capacity", "Writable bytes per zone (default: zone size).");

    private readonly Option<uint?> _conventional = Count(
        "--conventional", "Number of conventional zones at the start of the disk (default: 0).");

    private readonly Option<uint?> _maxOpen = Count(
        "--max-open", "Maximum number of open zones; 0: no limit (default: --max-active).");

    private readonly Option<uint?> _maxActive = Count(
        "--max-active", "Maximum number of open and closed zones; 0: no limit (default: 0).");

    private readonly Option<string?> _maxAppend = Text("--max-append", "Maximum size of a zone append; 0: no limit (default: 0).");

    private readonly Option<string?> _areaSize = Text(
        "--zrwa-size", "Size of a zone's random write area, up to 16M (default: none).");

    private readonly Option<string?> _areaUnit = Text(
        "--zrwa-granularity", "Unit of commit of random write areas (default: 16k, or the size).");

    private readonly Option<uint?> _areaZones = Count(
        "--zrwa-zones", "Maximum number of these areas; 0: no limit (default: --max-active).");

    private readonly Option<string?> _layout =
        new Option<string?>("--layout") { Description = "On-disk layout of the zone metadata (default: a).", HelpName = "a|c" }
            .OneOf("a", "c");

    private readonly Option<string?> _clusterSize = Text(
        "--cluster-size", "Cluster size, 512 to 2M (default: 64k; --layout c: less; RBD: 1M).");

    private readonly Option<bool> _subclusters = new("--subclusters")
    {
        Description = "Allocates 1/32 of a cluster at a time (extended L2 entries).",
    };

    // the image library names the options of the format
    private static readonly (string Key, string Option)[] OptionNames =
    [
        ("zone_size", "--zone-size"), ("zone_capacity", "--zone-capacity"), ("conventional_zones", "--conventional"),
            ("max_open_zones", "--max-open"),
        ("max_active_zones", "--max-active"), ("max_append_bytes", "--max-append"), ("zone_layout=c", "--layout c"),
        ("cluster_size", "--cluster-size"), ("area_size", "--zrwa-size"), ("area_granularity", "--zrwa-granularity"),
        ("area_zones", "--zrwa-zones"),
    ];

    /// <summary>Adds these options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (var option in All)
        {
            command.Add(option);
        }
    }

    private Option[] All =>
        [_zoneSize, _zoneCapacity, _conventional, _maxOpen, _maxActive, _maxAppend, _areaSize, _areaUnit, _areaZones, _layout, _clusterSize,
            _subclusters];

    /// <summary>Whether the size of clusters is on the command line.</summary>
    public bool HasClusterSize(ParseResult parsed) => parsed.GetResult(_clusterSize) is { Implicit: false };

    /// <summary>The first of these options on the command line; null if none is given.</summary>
    public string? FirstGiven(ParseResult parsed)
        => Array.Find(All, o => parsed.GetResult(o) is { Implicit: false })?.Name;

    /// <summary>The properties of the new disk.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="name">Name of the size on the command line, for messages.</param>
    /// <param name="size">The size.</param>
    /// <param name="note">Receives a line if the cluster size is not the usual one.</param>
    /// <exception cref="ToolException">An option is invalid; the message names it.</exception>
    public Qcow2CreateOptions Read(ParseResult parsed, string name, string size, TextWriter note)
    {
        var zoned = Zoned(parsed);
        long cluster = parsed.GetValue(_clusterSize) is { } given
            ? SizeText.Parse("--cluster-size", given) : DefaultCluster(zoned, note);
        return new Qcow2CreateOptions
        {
            Size = SizeOf(name, size),
            ClusterSize = (int)Math.Min(cluster, int.MaxValue),
            ExtendedL2 = parsed.GetValue(_subclusters),
            Zoned = zoned,
        };
    }

    /// <summary>Creates a temporary disk.</summary>
    /// <exception cref="ToolException">An option is invalid; the message names it.</exception>
    public static async Task CreateAsync(string path, Qcow2CreateOptions options, CancellationToken cancellationToken)
    {
        try
        {
            await CreateVerb.CreateAsync(path, options, force: false, cancellationToken);
        }
        catch (BlockException e) when (e.Error == BlockError.InvalidArgument)
        {
            throw Named(e);
        }
    }

    /// <summary>An error of the image library, with the names of these options.</summary>
    public static ToolException Named(BlockException failure)
        => new(
            OptionNames.Aggregate(failure.Message, (text, name) => text.Replace(name.Key, name.Option, StringComparison.Ordinal)),
            NativeExit.Usage);

    private static long SizeOf(string name, string text)
        => SizeText.Parse(name, text) is > 0 and var size ? size
            : throw new ToolException($"{name} '{text}': expected at least one sector, 512 bytes", NativeExit.Usage);

    // layout c requires a zone size that is a multiple of the cluster size
    private static long DefaultCluster(ZonedCreateOptions? zoned, TextWriter note)
    {
        const long Usual = 65536, Smallest = 512;
        if (zoned is not { Layout: ZoneLayout.C } || zoned.ZoneSize % Usual == 0 || zoned.ZoneSize < Smallest)
        {
            return Usual;
        }

        long cluster = Math.Max(Smallest, zoned.ZoneSize & -zoned.ZoneSize);
        note.WriteLine($"cluster size {SizeText.Human(cluster)}: layout c requires a zone size that is a multiple of it");
        return cluster;
    }

    private ZonedCreateOptions? Zoned(ParseResult parsed)
    {
        if (parsed.GetValue(_zoneSize) is not { } zoneSize)
        {
            Option[] zoneOptions =
                [_zoneCapacity, _conventional, _maxOpen, _maxActive, _maxAppend, _areaSize, _areaUnit, _areaZones, _layout];
            return zoneOptions.FirstOrDefault(o => parsed.GetResult(o) is not null) is { } stray
                ? throw new ToolException($"{stray.Name} requires --zone-size: without it the disk has no zones", NativeExit.Usage)
                : null;
        }

        uint active = parsed.GetValue(_maxActive) ?? 0;
        uint open = parsed.GetValue(_maxOpen) ?? 0;
        return new ZonedCreateOptions
        {
            ZoneSize = SizeText.Parse("--zone-size", zoneSize),
            ZoneCapacity = parsed.GetValue(_zoneCapacity) is { } capacity ? SizeText.Parse("--zone-capacity", capacity) : null,
            ConventionalZones = parsed.GetValue(_conventional) ?? 0,
            // an open zone is active, so the active limit bounds both (spec section 2)
            MaxOpenZones = open == 0 ? active : open,
            MaxActiveZones = active,
            MaxAppendBytes = SizeOr(parsed, _maxAppend, "--max-append", 0),
            RandomArea = Area(parsed),
            Layout = parsed.GetValue(_layout) == "c" ? ZoneLayout.C : ZoneLayout.A,
        };
    }

    private RandomAreaLimits Area(ParseResult parsed)
    {
        const long usualUnit = 16384;
        if (parsed.GetValue(_areaSize) is not { } text)
        {
            Option[] areaOptions = [_areaUnit, _areaZones];
            return areaOptions.FirstOrDefault(o => parsed.GetResult(o) is not null) is { } stray
                ? throw new ToolException(
                    $"{stray.Name} requires --zrwa-size: without it zones have no random write areas", NativeExit.Usage)
                : default;
        }

        long size = SizeText.Parse("--zrwa-size", text);
        return new RandomAreaLimits(
            size, SizeOr(parsed, _areaUnit, "--zrwa-granularity", Math.Min(usualUnit, size)), parsed.GetValue(_areaZones) ?? 0);
    }

    private static long SizeOr(ParseResult parsed, Option<string?> option, string what, long otherwise)
        => parsed.GetValue(option) is { } text ? SizeText.Parse(what, text) : otherwise;

    private static Option<string?> Text(string name, string description) => new(name) { Description = description, HelpName = "SIZE" };

    private static Option<uint?> Count(string name, string description)
        => new(name) { Description = description, HelpName = "N", CustomParser = Numbers.Count };
}
