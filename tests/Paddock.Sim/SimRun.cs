using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>One simulation: created from a seed, it performs its operations and throws if the engine violates a guarantee.</summary>
internal abstract class SimRun
{
    private readonly List<string> _trace = [];

    protected SimRun(int seed, SimOptions options)
    {
        Seed = seed;
        Options = options;
        Random = new Random(seed);
    }

    /// <summary>Source of all random choices in the run.</summary>
    public int Seed { get; }

    /// <summary>Latest operations, for failure reports.</summary>
    public IReadOnlyList<string> Operations => _trace;

    /// <summary>Number of power cuts checked.</summary>
    public long Cuts { get; protected set; }

    protected SimOptions Options { get; }

    protected Random Random { get; }

    /// <summary>Runs the whole simulation on this thread.</summary>
    public void Run() => SimContext.Run(Seed, async context =>
    {
        await RunAsync(context);
        return true;
    });

    /// <summary>Runs the simulation.</summary>
    protected abstract Task RunAsync(SimContext context);

    /// <summary>Records an operation for failure reports.</summary>
    protected void Trace(string line)
    {
        if (Options.Verbose)
        {
            _trace.Add(line);
        }
    }

    /// <summary>Returns one of several values.</summary>
    protected T Pick<T>(params ReadOnlySpan<T> values) => values[Random.Next(values.Length)];

    /// <summary>Whether an image is marked dirty: the next opening repairs it.</summary>
    protected static bool IsMarked(PagedStorage image)
    {
        var features = new byte[1];
        image.Read(79, features);
        return (features[0] & 1) != 0;
    }

    /// <summary>Source of a copy of some sectors: often one that shares clusters with the target.</summary>
    protected int PickSource(int target, int count, int sectors, int cluster)
    {
        int perCluster = Math.Max(1, cluster / SectorPattern.Sector);
        int source = Random.Next(sectors - count + 1);
        source = Random.Next(4) == 0 ? source : (source / perCluster * perCluster) + (target % perCluster);
        return source + count <= sectors ? source : Random.Next(sectors - count + 1);
    }

    /// <summary>Checks an image: no corruption, and no leak unless permitted.</summary>
    protected async Task CheckAsync(IStorage image, bool leaksAllowed, string when)
    {
        if (Options.NoCheck)
        {
            return;
        }

        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(image, Qcow2Repair.None, lines.Add);
        bool good = report.Corruptions == 0 && report.CheckErrors == 0 && (leaksAllowed || report.Leaks == 0);
        SimFailure.Unless(good, $"check {when}: {report.Corruptions} corruptions, {report.Leaks} leaks, {report.CheckErrors} errors: "
            + string.Join("; ", lines.Take(8)));
    }

    /// <summary>Cuts power at each moment of a run, or at a random part of them if there are many.</summary>
    /// <param name="disks">The disks of the run.</param>
    /// <param name="most">Number of moments above which some are left out.</param>
    /// <param name="repeats">Number of cuts at each moment.</param>
    /// <param name="check">Checks what a cut at a position left on the image's disk and on the data file's.</param>
    protected async Task CutAsync(CrashPair disks, int most, int repeats, Func<PagedStorage, PagedStorage?, int, Task> check)
    {
        var moments = disks.Moments;
        var cut = new PairCut(disks);
        foreach (var moment in moments)
        {
            if (moments.Count > most && Random.Next(moments.Count) >= most)
            {
                continue;
            }

            for (int i = 0; i < repeats; i++, Cuts++)
            {
                int cutSeed = Random.Next();
                try
                {
                    var (image, data) = cut.At(moment, cutSeed);
                    await check(image, data, moment.Position);
                }
                catch (Exception e)
                {
                    Dump(cut.At(moment, cutSeed).Image, $"cut{moment.Position}");
                    throw new SimFailure($"cut at {moment} of {moments.Count}, cut seed {cutSeed}: {e}");
                }
            }
        }
    }

    /// <summary>Keeps the failing image for inspection.</summary>
    protected void Dump(PagedStorage image, string name)
    {
        if (Options.DumpFolder is { } folder)
        {
            File.WriteAllBytes(Path.Combine(folder, $"{GetType().Name}-{Seed}-{name}.qcow2"), image.ToArray());
        }
    }
}
