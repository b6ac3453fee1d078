using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>One simulation: made from a seed, it works through its operations and throws where the engine breaks a promise.</summary>
internal abstract class SimRun
{
    private readonly List<string> _trace = [];

    protected SimRun(int seed, SimOptions options)
    {
        Seed = seed;
        Options = options;
        Random = new Random(seed);
    }

    /// <summary>Everything random in the run comes from it.</summary>
    public int Seed { get; }

    /// <summary>The last operations, for the report of a failure.</summary>
    public IReadOnlyList<string> Operations => _trace;

    /// <summary>Power cuts that were tried.</summary>
    public long Cuts { get; protected set; }

    protected SimOptions Options { get; }

    protected Random Random { get; }

    /// <summary>Runs it whole on this thread.</summary>
    public void Run() => SimContext.Run(Seed, async context =>
    {
        await RunAsync(context);
        return true;
    });

    /// <summary>The simulation.</summary>
    protected abstract Task RunAsync(SimContext context);

    /// <summary>Notes an operation for the report of a failure.</summary>
    protected void Trace(string line)
    {
        if (Options.Verbose)
        {
            _trace.Add(line);
        }
    }

    /// <summary>A value out of some.</summary>
    protected T Pick<T>(params ReadOnlySpan<T> values) => values[Random.Next(values.Length)];

    /// <summary>Checks an image: no corruption, and no leak where none may be.</summary>
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

    /// <summary>The failing image can be looked at afterwards.</summary>
    protected void Dump(PagedStorage image, string name)
    {
        if (Options.DumpFolder is { } folder)
        {
            File.WriteAllBytes(Path.Combine(folder, $"{GetType().Name}-{Seed}-{name}.qcow2"), image.ToArray());
        }
    }
}
