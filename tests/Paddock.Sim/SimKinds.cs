using Paddock.Sim.Ceph;

namespace Paddock.Sim;

/// <summary>Kind of simulation.</summary>
/// <param name="Name">Name on the command line.</param>
/// <param name="Group">
/// plain or zoned (power cuts), trouble (full storage, failing flushes), exact (no cuts), handovers (between servers, in a cluster), raw
/// (the simulator itself).
/// </param>
/// <param name="Make">Creates a simulation from a seed.</param>
internal sealed record SimKind(string Name, string Group, Func<int, SimOptions, SimRun> Make);

/// <summary>All kinds of simulation.</summary>
internal static class SimKinds
{
    /// <summary>Group of the kinds in which servers hand an image over.</summary>
    public const string Handovers = "handovers";

    private static readonly SimKind[] All =
    [
        new("cut", "plain", (seed, options) => new PlainCutRun(seed, options, raw: false)),
        new("resizecut", "plain", (seed, options) => new ResizeCutRun(seed, options)),
        new("datacut", "plain", (seed, options) => new PlainCutRun(seed, options, raw: false, dataFile: true)),
        new("resizedatacut", "plain", (seed, options) => new ResizeCutRun(seed, options, dataFile: true)),
        new("zonedatacut", "zoned", (seed, options) => new ZonedCutRun(seed, options, dataFile: true)),
        new("lukscut", "plain", (seed, options) => new PlainCutRun(seed, options, raw: false, encrypted: true)),
        new("zonelukscut", "zoned", (seed, options) => new ZonedCutRun(seed, options, encrypted: true)),
        new("keycut", "plain", (seed, options) => new KeyCutRun(seed, options)),
        new("mixcut", "plain", (seed, options) => new PlainCutRun(seed, options, raw: false, dataFile: true, encrypted: true)),
        new("zonemixcut", "zoned", (seed, options) => new ZonedCutRun(seed, options, dataFile: true, encrypted: true)),
        new("snapcut", "plain", (seed, options) => new SnapshotCutRun(seed, options)),
        new("zonesnapcut", "zoned", (seed, options) => new ZoneSnapshotCutRun(seed, options)),
        new("bitmapcut", "plain", (seed, options) => new BitmapCutRun(seed, options)),
        new("zonecut", "zoned", (seed, options) => new ZonedCutRun(seed, options)),
        new("zonecopycut", "zoned", (seed, options) => new ZoneCopyCutRun(seed, options)),
        new("zonecopylukscut", "zoned", (seed, options) => new ZoneCopyCutRun(seed, options, encrypted: true)),
        new("areacut", "zoned", (seed, options) => new AreaCutRun(seed, options)),
        new("mirror", "exact", (seed, options) => new MirrorRun(seed, options)),
        new("zonesnapfault", "exact", (seed, options) => new ZoneSnapshotFaultRun(seed, options)),
        new("model", "exact", (seed, options) => new ModelRun(seed, options)),
        new("errors", "exact", (seed, options) => new ErrorsRun(seed, options)),
        new("threads", "exact", (seed, options) => new ThreadsRun(seed, options)),
        new("full", "trouble", (seed, options) => new TroubleRun(seed, options, Trouble.Full)),
        new("zonefull", "trouble", (seed, options) => new ZonedTroubleRun(seed, options, Trouble.Full)),
        new("flushfail", "trouble", (seed, options) => new TroubleRun(seed, options, Trouble.FlushFails)),
        new("zoneflushfail", "trouble", (seed, options) => new ZonedTroubleRun(seed, options, Trouble.FlushFails)),
        new("handover", Handovers, (seed, options) => new HandoverRun(seed, options, zoned: false)),
        new("zonehandover", Handovers, (seed, options) => new HandoverRun(seed, options, zoned: true)),
        new("raw", "raw", (seed, options) => new PlainCutRun(seed, options, raw: true)),
    ];

    /// <summary>Returns the kinds selected by a command-line argument: names of kinds and groups, separated by commas.</summary>
    public static IReadOnlyList<SimKind> Select(string words) => [.. words.Split(',').SelectMany(SelectOne).Distinct()];

    private static SimKind[] SelectOne(string word)
    {
        var kinds = All.Where(kind => word == kind.Name || word == kind.Group || word == "all").ToArray();
        return kinds.Length > 0 ? kinds : throw new FormatException($"no kind of simulation is called {word}");
    }
}
