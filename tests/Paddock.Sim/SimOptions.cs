using System.Globalization;
using Paddock.Sim.Ceph;

namespace Paddock.Sim;

/// <summary>Command-line options.</summary>
internal sealed record SimOptions
{
    public int Seed { get; init; } = 1;

    /// <summary>Operations per run.</summary>
    public int Ops { get; init; } = 60;

    /// <summary>Number of runs; 0: run until the cut or time limit is reached.</summary>
    public long Runs { get; init; }

    /// <summary>Target number of power cuts, or of hand-overs; 0: none.</summary>
    public long Cuts { get; init; }

    /// <summary>Time limit in minutes; 0: none.</summary>
    public double Minutes { get; init; }

    /// <summary>Simulations to run, separated by commas: a kind's name, exact, zoned, plain, trouble, handovers or all.</summary>
    public string Kind { get; init; } = "all";

    /// <summary>Number of hostile images; 0: none.</summary>
    public long Fuzz { get; init; }

    public int Workers { get; init; } = Environment.ProcessorCount;

    public bool Ci { get; init; }

    /// <summary>Only images with extended L2 entries.</summary>
    public bool Extended { get; init; }

    public bool Verbose { get; init; }

    public bool NoCheck { get; init; }

    /// <summary>Checks one mirror image in this many with qemu-img; 0: never.</summary>
    public int Qemu { get; init; }

    /// <summary>Rule of hand-overs that is broken on purpose.</summary>
    public HandoverFlaw Flaw { get; init; }

    /// <summary>Folder for failing images.</summary>
    public string? DumpFolder { get; init; }

    public const string Usage = """
        usage: Paddock.Sim [--kind all|exact|plain|zoned|trouble|handovers|KIND[,KIND...]] [--seed N] [--ops N] [--runs N] [--cuts N]
                           [--minutes N] [--fuzz N] [--workers N] [--qemu N] [--dump FOLDER] [--no-check] [--extended] [--verbose]
                           [--flaw nofence|oldepoch|slowclock|nocheck|noflush] [--ci]
        kinds: cut, resizecut, zonecut (power cuts on plain images, while they are resized, and on zoned ones),
               datacut, resizedatacut, zonedatacut (the same with an external data file on a disk of its own),
               lukscut, zonelukscut (the same on encrypted images), mixcut, zonemixcut (encrypted, with a data file),
               keycut (while LUKS key slots are stored and erased),
               snapcut, bitmapcut (images with internal snapshots, and with persistent bitmaps),
               areacut (zones with random write areas, also with requests that fail),
               zonesnapcut (zoned images with snapshots, half of them with a bitmap),
               and without cuts, all five called exact:
               mirror (plain images against an array of bytes), model (zones against the plain model),
               errors (requests that fail at named events), threads (parallel clients),
               zonesnapfault (snapshots of zoned images while requests fail);
               full, zonefull (a file system that fills up) and flushfail, zoneflushfail (a flush that fails), with
               power cuts, all four called trouble;
               handover, zonehandover (several servers hand one image in a Ceph cluster over to each other, as planned and
               because they are killed, stopped, slow or cut off), both called handovers;
               raw (power cuts on raw storage: tests the simulator alone)
        --extended: only images with extended L2 entries.
        --flaw: break a rule of hand-overs, which must then fail. --cuts counts hand-overs too.
        --qemu N: also ask qemu-img about one mirror image in N. --ci: a short run of everything, and hostile images.
        """;

    /// <summary>Parses the command line.</summary>
    /// <exception cref="FormatException">The command line is invalid.</exception>
    public static SimOptions Parse(string[] args)
    {
        var options = new SimOptions();
        var rest = new Queue<string>(args);
        while (rest.TryDequeue(out string? word))
        {
            options = word switch
            {
                "--ci" => options with { Ci = true },
                "--extended" => options with { Extended = true },
                "--verbose" => options with { Verbose = true },
                "--no-check" => options with { NoCheck = true },
                _ => WithValue(
                    options, word, rest.TryDequeue(out string? value) ? value : throw new FormatException($"{word} needs a value")),
            };
        }

        return options;
    }

    private static SimOptions WithValue(SimOptions options, string word, string value) => word switch
    {
        "--seed" => options with { Seed = Number<int>(value) },
        "--ops" => options with { Ops = Number<int>(value) },
        "--runs" => options with { Runs = Number<long>(value) },
        "--cuts" => options with { Cuts = Number<long>(value) },
        "--minutes" => options with { Minutes = Number<double>(value) },
        "--fuzz" => options with { Fuzz = Number<long>(value) },
        "--workers" => options with { Workers = Number<int>(value) },
        "--qemu" => options with { Qemu = Number<int>(value) },
        "--kind" => options with { Kind = value },
        "--flaw" => options with
        {
            Flaw = Enum.TryParse(value, ignoreCase: true, out HandoverFlaw flaw) ? flaw
                : throw new FormatException($"no flaw is called {value}"),
        },
        "--dump" => options with { DumpFolder = value },
        _ => throw new FormatException($"unknown option {word}"),
    };

    private static T Number<T>(string text)
        where T : IParsable<T>
        => T.Parse(text.Replace("_", "", StringComparison.Ordinal), CultureInfo.InvariantCulture);
}
