using System.Diagnostics;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>Runs hostile images on all processors and monitors time and memory.</summary>
internal sealed class FuzzDriver(SimOptions options)
{
    private const int MaxReported = 10;
    private const long MaxGrowth = 256 << 20;

    /// <summary>Processor time of the process during one image; on a busy machine, wall time says nothing.</summary>
    private static readonly TimeSpan HangTime = TimeSpan.FromSeconds(60);

    /// <summary>Wall time of one image: a wait that nothing ends takes no processor time.</summary>
    private static readonly TimeSpan StallTime = TimeSpan.FromMinutes(10);

    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly long[] _startedAt = new long[options.Workers];
    private readonly TimeSpan[] _usedAt = new TimeSpan[options.Workers];
    private readonly int[] _seeds = new int[options.Workers];
    private List<PagedStorage> _corpus = [];
    private long _next = -1;
    private long _done;
    private long _failed;
    private long _mostAllocated;

    /// <summary>Runs the hostile images.</summary>
    /// <returns>Number of passed and failed images.</returns>
    public (long Passed, long Failed) Run(long count)
    {
        _corpus = HostileCorpus.MakeAsync(Console.WriteLine).GetAwaiter().GetResult();
        long before = Environment.WorkingSet;
        long peak = before;
        var workers = Enumerable.Range(0, options.Workers).Select(i => new Thread(() => Work(i, count), 16 << 20)).ToArray();
        Array.ForEach(workers, worker => worker.Start());
        long reported = 0;
        foreach (var worker in workers)
        {
            while (!worker.Join(200))
            {
                peak = Math.Max(peak, Environment.WorkingSet);
                Watch();
                if (_clock.ElapsedMilliseconds - reported > 30_000)
                {
                    reported = _clock.ElapsedMilliseconds;
                    Console.WriteLine(
                        $"{reported / 1000} s: {_done} hostile images, {_failed} failed, {(peak - before) >> 20} MiB of growth");
                }
            }
        }

        long growth = peak - before;
        Console.WriteLine($"{_done} hostile images from {_corpus.Count} sound ones, {_clock.Elapsed.TotalSeconds:F1} s; "
            + $"at most {_mostAllocated >> 10} KiB allocated for one; the process grew by {growth >> 20} MiB");
        if (growth > MaxGrowth)
        {
            Console.WriteLine($"FAILED: the process grew by more than {MaxGrowth >> 20} MiB");
            _failed++;
        }

        return (_done - _failed, _failed);
    }

    private void Work(int worker, long count)
    {
        while (Interlocked.Read(ref _failed) < MaxReported)
        {
            long index = Interlocked.Increment(ref _next);
            if (index >= count)
            {
                break;
            }

            One(worker, unchecked((int)(options.Seed + index)));
        }

        Volatile.Write(ref _startedAt[worker], 0);
    }

    private void One(int worker, int seed)
    {
        _seeds[worker] = seed;
        _usedAt[worker] = Environment.CpuUsage.TotalTime;
        Volatile.Write(ref _startedAt[worker], _clock.ElapsedMilliseconds + 1);
        var run = new FuzzRun(seed, options, _corpus);
        try
        {
            run.Run();
        }
        catch (Exception e)
        {
            Interlocked.Increment(ref _failed);
            lock (_clock)
            {
                Console.WriteLine($"FAILED: fuzz, seed {seed}: {(e is SimFailure ? e.Message : e.ToString())}");
                foreach (string line in run.Operations)
                {
                    Console.WriteLine($"  {line}");
                }

                Console.WriteLine($"  replay: dotnet run --project tests/Paddock.Sim -- --fuzz 1 --seed {seed} --verbose");
            }
        }

        Interlocked.Increment(ref _done);
        long most = Interlocked.Read(ref _mostAllocated);
        while (run.Allocated > most && Interlocked.CompareExchange(ref _mostAllocated, run.Allocated, most) != most)
        {
            most = Interlocked.Read(ref _mostAllocated);
        }
    }

    private void Watch()
    {
        for (int worker = 0; worker < _startedAt.Length; worker++)
        {
            long started = Volatile.Read(ref _startedAt[worker]);
            bool isBusy = Environment.CpuUsage.TotalTime - _usedAt[worker] > HangTime * options.Workers;
            if (started > 0 && (isBusy || _clock.ElapsedMilliseconds - started > StallTime.TotalMilliseconds))
            {
                Console.WriteLine($"FAILED: fuzz, seed {_seeds[worker]}: hangs");
                Console.WriteLine($"  replay: dotnet run --project tests/Paddock.Sim -- --fuzz 1 --seed {_seeds[worker]} --verbose");
                Environment.Exit(1);
            }
        }
    }
}
