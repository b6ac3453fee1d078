using System.Diagnostics;
using Paddock.Sim.Ceph;

namespace Paddock.Sim;

/// <summary>Runs simulations on all processors until the run count, cut count or time limit is reached, and reports the result.</summary>
internal sealed class Driver(SimOptions options)
{
    private const int MaxReported = 10, MaxFlawRuns = 200;

    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly SortedDictionary<string, (long Runs, long Cuts)> _kinds = new(StringComparer.Ordinal);
    private long _next = -1;
    private long _passed;
    private long _failed;
    private long _cuts;
    private long _rawCuts;
    private long _handovers;
    private long _reportedAt;

    /// <summary>Exit code; 0 if every run passed.</summary>
    public int Run()
    {
        Console.WriteLine($"seed {options.Seed}, {options.Workers} workers");
        if (options.Ci)
        {
            RunSimulations(options with { Runs = 160, Kind = "exact", Qemu = 8 });
            RunSimulations(options with { Minutes = 0.8, Kind = "all" });
            RunSimulations(options with { Runs = 400, Kind = "trouble" });
            RunSimulations(options with { Runs = 100, Kind = "handovers" });
            CheckFlaws(options);
            Fuzz(options, 20_000);
        }
        else if (options.Fuzz > 0)
        {
            Fuzz(options, options.Fuzz);
        }
        else
        {
            RunSimulations(options);
        }

        foreach (var (kind, (runs, cuts)) in _kinds)
        {
            bool isHandover = kind.EndsWith("handover", StringComparison.Ordinal);
            Console.WriteLine($"  {kind}: {runs} runs, {cuts} {(isHandover ? "hand-overs" : "power cuts")}");
        }

        Console.WriteLine(
            $"{_cuts} power cuts on images and {_rawCuts} on raw storage, {_handovers} hand-overs, {_clock.Elapsed.TotalSeconds:F1} s");
        Console.WriteLine($"{_passed} passed, {_failed} failed");
        return _failed == 0 ? 0 : 1;
    }

    private void Fuzz(SimOptions run, long images)
    {
        var (passed, failed) = new FuzzDriver(run).Run(images);
        _passed += passed;
        _failed += failed;
    }

    /// <summary>Hand-overs without one of their rules must be noticed, or the simulation of hand-overs is worth nothing.</summary>
    private void CheckFlaws(SimOptions run)
    {
        foreach (var flaw in Enum.GetValues<HandoverFlaw>().Where(static flaw => flaw != HandoverFlaw.None))
        {
            bool isNoticed = false;
            for (int i = 0; i < MaxFlawRuns && !isNoticed; i++)
            {
                isNoticed = !Passes(new HandoverRun(run.Seed + i, run with { Flaw = flaw }, zoned: i % 2 == 0));
            }

            _ = isNoticed ? _passed++ : _failed++;
            Console.WriteLine($"  hand-overs with the flaw {flaw} {(isNoticed ? "fail, as they must" : "FAILED to be noticed")}");
        }
    }

    private static bool Passes(SimRun simulation)
    {
        try
        {
            simulation.Run();
            return true;
        }
        catch (SimFailure)
        {
            return false;
        }
    }

    private void RunSimulations(SimOptions run)
    {
        var kinds = SimKinds.Select(run.Kind);
        long runs = run.Runs > 0 ? run.Runs : run.Cuts > 0 || run.Minutes > 0 ? long.MaxValue : 100;
        Interlocked.Exchange(ref _next, -1);
        var workers = Enumerable.Range(0, run.Workers).Select(_ => new Thread(() => Work(run, kinds, runs), 16 << 20)).ToArray();
        foreach (var worker in workers)
        {
            worker.Start();
        }

        foreach (var worker in workers)
        {
            worker.Join();
        }
    }

    private void Work(SimOptions run, IReadOnlyList<SimKind> kinds, long runs)
    {
        while (!Done(run))
        {
            long index = Interlocked.Increment(ref _next);
            if (index >= runs)
            {
                return;
            }

            var kind = kinds[(int)(index % kinds.Count)];
            One(run, kind, unchecked((int)(run.Seed + index)));
            Progress();
        }
    }

    private bool Done(SimOptions run)
        => (run.Cuts > 0 && Interlocked.Read(ref _cuts) + Interlocked.Read(ref _handovers) >= run.Cuts)
            || (run.Minutes > 0 && _clock.Elapsed.TotalMinutes >= run.Minutes)
            || Interlocked.Read(ref _failed) >= MaxReported;

    private void One(SimOptions run, SimKind kind, int seed)
    {
        var simulation = kind.Make(seed, run);
        try
        {
            simulation.Run();
            Interlocked.Increment(ref _passed);
        }
        catch (Exception e)
        {
            Interlocked.Increment(ref _failed);
            lock (_clock)
            {
                Console.WriteLine($"FAILED: {kind.Name}, seed {seed}: {(e is SimFailure ? e.Message : e.ToString())}");
                foreach (string line in simulation.Operations)
                {
                    Console.WriteLine($"  {line}");
                }

                Console.WriteLine(
                    $"  replay: dotnet run --project tests/Paddock.Sim -- --kind {kind.Name} --seed {seed} --ops {run.Ops} --runs 1 "
                        + "--verbose");
            }
        }
        finally
        {
            // a cut of raw storage tests the simulator, not an image
            Interlocked.Add(
                ref kind.Group == "raw" ? ref _rawCuts : ref kind.Group == SimKinds.Handovers ? ref _handovers : ref _cuts,
                simulation.Cuts);
            lock (_kinds)
            {
                var (runs, cuts) = _kinds.GetValueOrDefault(kind.Name);
                _kinds[kind.Name] = (runs + 1, cuts + simulation.Cuts);
            }
        }
    }

    private void Progress()
    {
        long now = _clock.ElapsedMilliseconds;
        long last = Interlocked.Read(ref _reportedAt);
        if (now - last > 30_000 && Interlocked.CompareExchange(ref _reportedAt, now, last) == last)
        {
            lock (_kinds)
            {
                string each = string.Join(", ", _kinds.Select(static kind => $"{kind.Key} {kind.Value.Cuts}"));
                Console.WriteLine(
                    $"{now / 1000} s: {_passed} runs passed, {_failed} failed, {_cuts} cuts, {_handovers} hand-overs ({each})");
            }
        }
    }
}
