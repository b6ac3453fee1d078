using Paddock.Block;
using Paddock.Compat.Img;
using Paddock.Testing;

namespace Paddock.Compat.Tests;

public class BenchTests
{
    [Theory]
    [InlineData("bench -f raw -c 100 @r")]
    [InlineData("bench -f raw -c 100 -d 8 -s 8k -S 64k -o 1M -q @r")]
    [InlineData("bench -f raw -w -c 128 --flush-interval 64 @r")]
    [InlineData("bench -f raw -w -c 128 --flush-interval 70 --no-drain --pattern 7 -t unsafe @r")]
    [InlineData("bench -f raw -c 1 -o 5M @r")]
    [InlineData("bench -f raw -c 5 -s 8k -S 12k @tiny")]
    [InlineData("bench -f raw -c 5 @empty")]
    [InlineData("bench -c 0 @r")]
    [InlineData("bench -c -1 @r")]
    [InlineData("bench -c 1k @r")]
    [InlineData("bench -c -1k @r")]
    [InlineData("bench -d 0 @r")]
    [InlineData("bench -s 0 @r")]
    [InlineData("bench -s 3G @r")]
    [InlineData("bench -S 3G @r")]
    [InlineData("bench -o 1z @r")]
    [InlineData("bench -o -1 @r")]
    [InlineData("bench -w --pattern 300 @r")]
    [InlineData("bench --flush-interval 10 @r")]
    [InlineData("bench -w --flush-interval 10 @r")]
    [InlineData("bench -w --flush-interval=-1 @r")]
    [InlineData("bench -i foo @r")]
    [InlineData("bench -t foo @r")]
    [InlineData("bench -f foo @r")]
    [InlineData("bench -n -f raw @r")]
    [InlineData("bench -f raw -w -U -c 1 @r")]
    [InlineData("bench -f raw --image-opts @r")]
    [InlineData("bench")]
    [InlineData("bench @r @tiny")]
    [InlineData("bench -z @r")]
    [InlineData("bench -c")]
    [InlineData("bench @missing")]
    public async Task Bench_says_what_the_peer_says(string line)
    {
        using var peer = new ImgPeer();
        await File.WriteAllBytesAsync(peer.Path("r"), new byte[4 << 20], TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(peer.Path("tiny"), new byte[8192], TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(peer.Path("empty"), [], TestContext.Current.CancellationToken);
        await peer.SameAsync(line);
    }

    [Fact]
    public async Task Bench_writes_its_pattern_at_every_step()
    {
        using var peer = new ImgPeer();
        await peer.OursAsync("create -q -f raw @ours 1M");
        await peer.OursAsync("create -q -f raw @theirs 1M");
        Assert.Equal(0, (await peer.OursAsync("bench -f raw -w --pattern 0x5a -c 7 -s 512 -S 4096 -o 1024 @ours")).Code);
        await peer.TheirsAsync("bench -f raw -w --pattern 0x5a -c 7 -s 512 -S 4096 -o 1024 @theirs");
        Assert.Equal(await BytesAsync(peer, "theirs"), await BytesAsync(peer, "ours"));
    }

    [Fact]
    public async Task Requests_that_complete_at_once_allocate_nothing()
    {
        await using var device = new RawDevice(new MemoryStorage());
        await device.ResizeAsync(1 << 20, Preallocation.Off, TestContext.Current.CancellationToken);
        await AllocatedAsync(device, 1000);
        long few = await AllocatedAsync(device, 10), many = await AllocatedAsync(device, 100_010);

        // the smallest object takes 24 bytes: below one byte per request, no request allocates. Other allocations of the runtime, for a
        // lock's first contention or a timer, do not grow with the requests
        Assert.True(many - few < 100_000, $"100,000 more requests took {many - few} bytes more");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Requests_that_take_time_run_side_by_side_up_to_the_depth(bool drains)
    {
        int underWay = 0, most = 0, underWayAtFlush = 0;
        await using var device = new TestDevice(1 << 20)
        {
            Around = async (request, run) =>
            {
                if (request.Call == DeviceCall.Flush)
                {
                    underWayAtFlush += Volatile.Read(ref underWay);
                    await Task.Yield();
                    return;
                }

                most = Math.Max(most, Interlocked.Increment(ref underWay));
                await Task.Delay(2);
                Interlocked.Decrement(ref underWay);
            },
        };
        var plan = new RequestPlan
        {
            Count = 64, Depth = 8, Offset = 0, Size = 512, Step = 512, IsWrite = true, FlushInterval = 16, DrainsOnFlush = drains,
        };
        using var loop = new RequestLoop(device, plan);
        await loop.RunAsync();
        Assert.Equal((64, 4), (device.Count(DeviceCall.Write), device.Count(DeviceCall.Flush)));
        Assert.InRange(most, 2, 8);
        Assert.Equal(0, drains ? underWayAtFlush : 0);
    }

    private static async Task<long> AllocatedAsync(IBlockDevice device, int count)
    {
        using var loop = new RequestLoop(
            device, new RequestPlan { Count = count, Depth = 4, Offset = 0, Size = 512, Step = 4096, IsWrite = true, FlushInterval = 16 });
        long before = GC.GetAllocatedBytesForCurrentThread();
        await loop.RunAsync();
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    private static Task<byte[]> BytesAsync(ImgPeer peer, string name)
        => File.ReadAllBytesAsync(peer.Path(name), TestContext.Current.CancellationToken);
}
