using System.Diagnostics;
using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Block.Concurrency;

namespace Paddock.Cli.Native.Bench;

/// <summary>One connection's load: a number of requests in flight, each of which starts the next.</summary>
internal sealed class BenchStream(IBlockDevice device, BenchPlan plan, BenchOffsets offsets)
{
    private readonly Lock _lock = new();
    private readonly AsyncMutex _turn = new();
    private int _running;

    /// <summary>Of the last run.</summary>
    public LatencyHistogram Latencies { get; private set; } = new();

    /// <summary>Runs the load until the budget is used up.</summary>
    /// <param name="budget">How much there is to do; runs go on where the last one ended.</param>
    /// <param name="isRemote">The device waits without a thread: one thread starts all requests. Else each request has a thread.</param>
    public Task RunAsync(BenchBudget budget, bool isRemote)
    {
        Latencies = new LatencyHistogram();
        var loops = new Task[plan.Depth];
        for (int i = 0; i < loops.Length; i++)
        {
            loops[i] = isRemote ? LoopAsync(budget)
                : Task.Factory.StartNew(
                    () => Loop(budget), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }

        return Task.WhenAll(loops);
    }

    private async Task LoopAsync(BenchBudget budget)
    {
        byte[] buffer = NewBuffer();
        while (true)
        {
            long due = budget.Pace is { } pace ? await pace.NextAsync() : 0;
            if (!budget.TryTake())
            {
                budget.Pace?.Stop();
                return;
            }

            long begun = due != 0 ? due : Stopwatch.GetTimestamp();
            await RequestAsync(buffer);
            Count(begun);
        }
    }

    // Requests to files complete on the calling thread, as a rule. A loop that went on where an exceptional one completed would keep a
    // thread of the pool to itself, and as many loops as the pool has threads would leave the others waiting for the whole run: each loop
    // waits on the thread that it has.
    private void Loop(BenchBudget budget)
    {
        byte[] buffer = NewBuffer();
        while (true)
        {
            long due = budget.Pace is { } pace ? Wait(pace.NextAsync()) : 0;
            if (!budget.TryTake())
            {
                budget.Pace?.Stop();
                return;
            }

            long begun = due != 0 ? due : Stopwatch.GetTimestamp();
            var request = RequestAsync(buffer);
            if (request.IsCompleted)
            {
                request.GetAwaiter().GetResult();
            }
            else
            {
                request.AsTask().GetAwaiter().GetResult();
            }

            Count(begun);
        }
    }

    private static long Wait(ValueTask<long> due)
        => due.IsCompleted ? due.GetAwaiter().GetResult() : due.AsTask().GetAwaiter().GetResult();

    private byte[] NewBuffer()
    {
        var buffer = GC.AllocateUninitializedArray<byte>(plan.BlockSize, pinned: true);
        new Random(plan.Seed).NextBytes(buffer);
        return buffer;
    }

    private void Count(long begun)
    {
        long took = Stopwatch.GetTimestamp() - begun;
        lock (_lock)
        {
            Latencies.Add(took * (1_000_000_000 / Stopwatch.Frequency));
        }
    }

    private ValueTask RequestAsync(byte[] buffer)
    {
        if (plan.Operation is BenchOperation.Write or BenchOperation.Append && device.Zones is not null)
        {
            return InTurnAsync(buffer);
        }

        long offset;
        lock (_lock)
        {
            offset = offsets.Next().Offset;
        }

        return plan.Writes ? device.WriteAsync(offset, buffer) : device.ReadAsync(offset, buffer);
    }

    // writes to a zone must leave in the order of their offsets
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask InTurnAsync(byte[] buffer)
    {
        ValueTask write = default;
        ValueTask<long> append = default;
        await _turn.AcquireAsync();
        try
        {
            var (offset, startsAgain) = offsets.Next();
            long size = device.Zones!.Limits.ZoneSize, start = offset / size * size;
            if (startsAgain)
            {
                await EmptyAsync(start);
            }

            Interlocked.Increment(ref _running);
            if (plan.Operation == BenchOperation.Append)
            {
                append = device.Zones!.AppendAsync(start, buffer);
            }
            else
            {
                write = device.WriteAsync(offset, buffer);
            }
        }
        finally
        {
            _turn.Release();
        }

        try
        {
            await write;
            await append;
        }
        finally
        {
            Interlocked.Decrement(ref _running);
        }
    }

    private async ValueTask EmptyAsync(long start)
    {
        while (Volatile.Read(ref _running) > 0)
        {
            await Task.Yield();
        }

        await device.Zones!.ManageAsync(ZoneAction.Reset, start, Math.Min(device.Zones!.Limits.ZoneSize, device.Length - start));
    }
}
