using System.CommandLine;
using Paddock.Block;
using Paddock.Cli.Native;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock create`.</summary>
internal static class CreateCommand
{
    private static readonly Argument<string> File = new("FILE") { Description = "New image file." };

    private static readonly Argument<string> Size =
        new("SIZE") { Description = "Size of the disk, in bytes or with a suffix k, M, G, T, P or E (GiB works too)." };

    private static readonly Option<string?> ZoneSize = Text("--zone-size", "Zone size (default: not a zoned disk).");

    private static readonly Option<string?> ZoneCapacity = Text("--zone-capacity", "Writable bytes per zone (default: zone size).");

    private static readonly Option<uint?> Conventional = Count(
        "--conventional", "Number of conventional zones at the start of the disk (default: 0).");

    private static readonly Option<uint?> MaxOpen = Count(
        "--max-open", "Maximum number of open zones; 0: no limit (default: --max-active).");

    private static readonly Option<uint?> MaxActive = Count(
        "--max-active", "Maximum number of active (open or closed) zones; 0: no limit (default: 0).");

    private static readonly Option<string?> MaxAppend = Text("--max-append", "Maximum size of a zone append; 0: no limit (default: 0).");

    private static readonly Option<string?> Layout =
        new Option<string?>("--layout") { Description = "On-disk layout of the zone metadata (default: a).", HelpName = "a|c" }
            .OneOf("a", "c");

    private static readonly Option<string?> ClusterSize = Text(
        "--cluster-size", "Cluster size, 512 to 2M (default: 64k, or less if --layout c requires it).");

    private static readonly Option<bool> Subclusters = new("--subclusters")
    {
        Description = "Allocates and copies 1/32 of a cluster at a time (extended L2 entries).",
    };

    private static readonly Option<bool> Force = new("--force") { Description = "Overwrites an existing file." };

    private static readonly Option<bool> Json = JsonOption.Create();

    // the image library names the options of the format
    private static readonly (string Key, string Option)[] OptionNames =
    [
        ("zone_size", "--zone-size"), ("zone_capacity", "--zone-capacity"), ("conventional_zones", "--conventional"),
            ("max_open_zones", "--max-open"),
        ("max_active_zones", "--max-active"), ("max_append_bytes", "--max-append"), ("zone_layout=c", "--layout c"),
        ("cluster_size", "--cluster-size"),
    ];

    public static Command Build(NativeConsole console)
    {
        var command = new Command("create", "Creates a qcow2 image, zoned with --zone-size.")
        {
            File, Size, ZoneSize, ZoneCapacity, Conventional, MaxOpen, MaxActive, MaxAppend, Layout, ClusterSize, Subclusters, Force,
            Json,
        };
        command.SetAction((parsed, cancellationToken) => RunAsync(parsed, console, cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, NativeConsole console, CancellationToken cancellationToken)
    {
        var zoned = Zoned(parsed);
        bool json = parsed.GetValue(Json);
        long cluster = parsed.GetValue(ClusterSize) is { } given
            ? SizeText.Parse("--cluster-size", given) : DefaultCluster(zoned, json, console);
        var options = new Qcow2CreateOptions
        {
            Size = SizeOf(parsed.GetRequiredValue(Size)),
            ClusterSize = (int)Math.Min(cluster, int.MaxValue),
            ExtendedL2 = parsed.GetValue(Subclusters),
            Zoned = zoned,
        };
        try
        {
            Qcow2Image.CheckCreateOptions(options);
        }
        catch (BlockException e) when (e.Error == BlockError.InvalidArgument)
        {
            throw new ToolException(
                OptionNames.Aggregate(e.Message, (text, name) => text.Replace(name.Key, name.Option, StringComparison.Ordinal)),
                NativeExit.Usage);
        }

        await CreateVerb.RunAsync(parsed.GetRequiredValue(File), options, parsed.GetValue(Force), json, console, cancellationToken);
        return NativeExit.Success;
    }

    private static long SizeOf(string text)
        => SizeText.Parse("SIZE", text) is > 0 and var size ? size
            : throw new ToolException($"SIZE '{text}': expected at least one sector, 512 bytes", NativeExit.Usage);

    // layout c requires a zone size that is a multiple of the cluster size
    private static long DefaultCluster(ZonedCreateOptions? zoned, bool json, NativeConsole console)
    {
        const long Usual = 65536, Smallest = 512;
        if (zoned is not { Layout: ZoneLayout.C } || zoned.ZoneSize % Usual == 0 || zoned.ZoneSize < Smallest)
        {
            return Usual;
        }

        long cluster = Math.Max(Smallest, zoned.ZoneSize & -zoned.ZoneSize);
        (json ? console.Error : console.Out).WriteLine(
            $"cluster size {SizeText.Human(cluster)}: layout c requires a zone size that is a multiple of it");
        return cluster;
    }

    private static ZonedCreateOptions? Zoned(ParseResult parsed)
    {
        if (parsed.GetValue(ZoneSize) is not { } zoneSize)
        {
            Option[] zoneOptions = [ZoneCapacity, Conventional, MaxOpen, MaxActive, MaxAppend, Layout];
            return zoneOptions.FirstOrDefault(o => parsed.GetResult(o) is not null) is { } stray
                ? throw new ToolException($"{stray.Name} requires --zone-size: without it the disk has no zones", NativeExit.Usage)
                : null;
        }

        uint active = parsed.GetValue(MaxActive) ?? 0;
        uint open = parsed.GetValue(MaxOpen) ?? 0;
        return new ZonedCreateOptions
        {
            ZoneSize = SizeText.Parse("--zone-size", zoneSize),
            ZoneCapacity = parsed.GetValue(ZoneCapacity) is { } capacity ? SizeText.Parse("--zone-capacity", capacity) : null,
            ConventionalZones = parsed.GetValue(Conventional) ?? 0,
            // an open zone is active, so the active limit bounds both (spec section 2)
            MaxOpenZones = open == 0 ? active : open,
            MaxActiveZones = active,
            MaxAppendBytes = SizeOr(parsed, MaxAppend, "--max-append", 0),
            Layout = parsed.GetValue(Layout) == "c" ? ZoneLayout.C : ZoneLayout.A,
        };
    }

    private static long SizeOr(ParseResult parsed, Option<string?> option, string what, long otherwise)
        => parsed.GetValue(option) is { } text ? SizeText.Parse(what, text) : otherwise;

    private static Option<string?> Text(string name, string description) => new(name) { Description = description, HelpName = "SIZE" };

    private static Option<uint?> Count(string name, string description)
        => new(name) { Description = description, HelpName = "N", CustomParser = Numbers.Count };
}
