using Paddock.Block;

namespace Paddock.Rbd.Tests;

/// <summary>Managed allocations per request: none. Runs alone, since the whole process is measured.</summary>
[Collection(nameof(AllocationTests))]
[CollectionDefinition(nameof(AllocationTests), DisableParallelization = true)]
public class AllocationTests(CephCluster cluster)
{
    private const int Warm = 600, Measured = 2000, Length = 4096, Depth = 8;

    [Theory]
    [InlineData("read")]
    [InlineData("write")]
    [InlineData("flush")]
    public async Task Requests_allocate_nothing_in_steady_state(string kind)
    {
        await using var storage = await cluster.CreateAsync(1 << 20);
        byte[][] buffers = [.. Enumerable.Range(0, Depth).Select(static _ => new byte[Length])];
        await storage.WriteAsync(0, new byte[1 << 20], TestContext.Current.CancellationToken);
        Run(storage, kind, buffers, Warm);
        long before = GC.GetTotalAllocatedBytes(precise: true);
        Run(storage, kind, buffers, Measured);
        long allocated = GC.GetTotalAllocatedBytes(precise: true) - before;

        // runtime threads allocate a little occasionally
        Assert.InRange(allocated, 0, Measured * 8L);
    }

    // several requests in flight, and none of them awaited: an asynchronous method would allocate
    private static void Run(RbdStorage storage, string kind, byte[][] buffers, int count)
    {
        var pending = new ValueTask[Depth];
        for (int i = 0; i < count; i++)
        {
            int slot = i % Depth;
            Wait(pending[slot]);
#pragma warning disable CA2012 // each is consumed once, by Wait
            pending[slot] = kind switch
            {
                "read" => storage.Image.ReadAsync(slot * Length, buffers[slot]),
                "write" => storage.WriteAsync(slot * Length, buffers[slot]),
                _ => storage.Image.FlushAsync(),
            };
#pragma warning restore CA2012
        }

        foreach (var task in pending)
        {
            Wait(task);
        }
    }

    private static void Wait(ValueTask task)
    {
        var spin = new SpinWait();
        while (!task.IsCompleted)
        {
            spin.SpinOnce(sleep1Threshold: 30);
        }

        task.GetAwaiter().GetResult();
    }
}
