using System.Collections.Concurrent;
using Paddock.Block;
using Paddock.Cli.Native.Bench;

namespace Paddock.Cli.Tests;

/// <summary>The requests of a load.</summary>
public class BenchStreamTests
{
    [Fact]
    public async Task Requests_to_a_file_never_take_a_thread_of_the_pool()
    {
        // a loop that moved to the pool when its request ended there would keep the requests of other loops waiting for their end
        var device = new YieldingDevice(new RawDevice(await SizedAsync(1 << 20)));
        var plan = new BenchPlan { Target = "x", Depth = 8, Size = 8 * 20 * 4096, Time = TimeSpan.FromHours(1) };
        var offsets = new BenchOffsets(plan, [(0, 1 << 20)], 0);
        var stream = new BenchStream(device, plan, offsets);
        await stream.RunAsync(new BenchBudget(plan, null, CancellationToken.None), isRemote: false);
        Assert.Equal(160, stream.Latencies.Count);
        Assert.Equal(160, device.FromPool.Count);
        Assert.DoesNotContain(true, device.FromPool);
    }

    private static async Task<MemoryStorage> SizedAsync(long length)
    {
        var storage = new MemoryStorage();
        await storage.SetLengthAsync(length);
        return storage;
    }

    /// <summary>Ends every request on a thread of the pool.</summary>
    private sealed class YieldingDevice(IBlockDevice inner) : DelegatingDevice(inner)
    {
        public ConcurrentQueue<bool> FromPool { get; } = new();

        public override async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            FromPool.Enqueue(Thread.CurrentThread.IsThreadPoolThread);
            await Task.Yield();
            await base.ReadAsync(offset, buffer, cancellationToken);
        }
    }
}
