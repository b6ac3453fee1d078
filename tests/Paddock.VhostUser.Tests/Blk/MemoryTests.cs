using Paddock.Qcow2;
using Paddock.Serving;
using Paddock.Testing;
using Paddock.VhostUser.Blk;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>Memory shared with other listeners, and requests above their share of it.</summary>
public class MemoryTests
{
    private const byte Ok = 0, IoError = 1, Invalid = 3;
    private const int Mebibyte = 1 << 20;

    private static readonly int[] Halves = [16, 100_000];

    [Fact]
    public async Task Request_waits_for_memory_released_by_others()
    {
        var pool = new SlabPool(16 * Mebibyte);
        var rig = new BlkRig(BlkRig.Plain(), options: new VirtioBlkOptions { Buffers = pool, Patience = TimeSpan.FromMinutes(10) });
        var others = pool.Rent(16 * Mebibyte);
        byte[] data = new byte[200 * 1024];
        data.AsSpan().Fill(3);
        var ticket = rig.Submit((uint)RequestType.Out, 0, data, 1, Halves);
        var runs = Task.Run(() => rig.Wait(ticket), TestContext.Current.CancellationToken);
        Assert.True(SpinWait.SpinUntil(() => rig.Device.Budget.Held > 0, TimeSpan.FromSeconds(30)));
        Assert.False(runs.IsCompleted);
        others.Release();
        Assert.Equal(Ok, (await runs).Status);
        Assert.Equal(data, rig.Run(RequestType.In, 0, default, data.Length, Halves).Data);
        Assert.Equal((0, 0), (pool.Lent, rig.Device.Budget.Held));
    }

    [Theory]
    [InlineData((int)RequestType.In)]
    [InlineData((int)RequestType.Out)]
    [InlineData((int)RequestType.Discard)]
    [InlineData((int)RequestType.WriteZeroes)]
    public void Request_without_memory_fails_at_its_limit_and_the_next_is_served(int type)
    {
        var pool = new SlabPool(16 * Mebibyte);
        var rig = new BlkRig(BlkRig.Plain(), options: new VirtioBlkOptions { Buffers = pool, Patience = TimeSpan.FromMilliseconds(20) });
        bool isRange = type is (int)RequestType.Discard or (int)RequestType.WriteZeroes;
        byte[] output = isRange ? new byte[BlkRange.Size] : type == (int)RequestType.Out ? new byte[200 * 1024] : [];
        int input = type == (int)RequestType.In ? 200 * 1024 : 0;
        var others = pool.Rent(16 * Mebibyte);
        Assert.Equal(IoError, rig.Run((RequestType)type, 0, output, input, Halves).Status);

        // a single segment needs no buffer
        Assert.Equal(Ok, rig.Run(RequestType.In, 0, default, 4096).Status);
        Assert.Equal(0, rig.Device.Budget.Held);
        others.Release();
        Assert.Equal(Ok, rig.Run((RequestType)type, 0, output, input, Halves).Status);
        Assert.Equal((0, 0), (pool.Lent, rig.Device.Budget.Held));
    }

    [Fact]
    public async Task Disks_that_share_memory_stay_within_its_limit()
    {
        const long limit = 16 * Mebibyte;
        var pool = new SlabPool(limit);
        await using var zoned = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = 8 * Mebibyte }, 64 * Mebibyte);
        var rigs = new[] { zoned, BlkRig.Plain(8 * Mebibyte) }.Select(d => new BlkRig(d, options: Shared(), memory: 64 * Mebibyte))
            .ToArray();
        var runs = rigs.Select((rig, i) => Task.Run(
            () =>
            {
                // above the longest gathered request, and equal to it
                var tickets = new[] { 5, 4, 4, 1, 5 }.Select((size, n) => rig.Submit(
                    (uint)(i == 0 ? RequestType.ZoneReport : RequestType.In), 0, default, (size * Mebibyte) + 1, [100_000, 100_000]))
                    .ToArray();
                return tickets.Select(rig.Wait).ToArray();
            }, TestContext.Current.CancellationToken)).ToArray();
        while (!Task.WhenAll(runs).IsCompleted)
        {
            Assert.InRange(pool.Lent, 0, limit);
        }

        Assert.All((await Task.WhenAll(runs)).SelectMany(a => a), a => Assert.Equal(Ok, a.Status));
        Assert.Equal(0, pool.Lent);

        VirtioBlkOptions Shared() => new() { Buffers = pool };
    }

    [Theory]
    [InlineData(long.MaxValue, 17 * Mebibyte)]
    [InlineData(16 * Mebibyte, 5 * Mebibyte)]
    public async Task Long_write_in_pieces_reaches_its_zone_in_order_before_later_writes(long memory, int size)
    {
        const int zone = 32 * Mebibyte;
        await using var disk = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = zone, ZoneCapacity = 20 * Mebibyte }, 3 * zone);

        // the request holds its zone from the start, as on a real disk
        var yielding = new TestDevice(disk)
        {
            Around = async (_, run) =>
            {
                var running = run();
                await Task.Yield();
                await running;
            },
        };
        var rig = new BlkRig(yielding, options: new VirtioBlkOptions { Buffers = new SlabPool(memory) }, memory: 96 * Mebibyte);
        byte[] data = new byte[size], tail = new byte[4096];
        new Random(11).NextBytes(data);
        tail.AsSpan().Fill(9);
        int[] cuts = [16, .. Enumerable.Repeat((512 << 10) + 3, 40)];
        BlkRig.Ticket[] tickets =
        [
            rig.Submit((uint)RequestType.Out, 0, data, 1, cuts), rig.Submit((uint)RequestType.Out, (ulong)size / 512, tail, 1),
            rig.Submit((uint)RequestType.Out, zone / 512, tail, 1),
            rig.Submit((uint)RequestType.Out, ((ulong)size + 4096) / 512, tail, 1, [16, 77]),
        ];
        Assert.All(tickets.Select(rig.Wait).ToArray(), a => Assert.Equal(Ok, a.Status));
        byte[] back = new byte[size + 8192];
        await disk.ReadAsync(0, back, TestContext.Current.CancellationToken);
        Assert.True(back.AsSpan(0, size).SequenceEqual(data));
        Assert.Equal(-1, back.AsSpan(size).IndexOfAnyExcept((byte)9));

        // a write beyond the zone capacity is rejected before any of it is written
        Assert.Equal(
            Invalid, rig.Wait(rig.Submit((uint)RequestType.Out, ((ulong)size + 8192) / 512, new byte[17 * Mebibyte], 1, cuts)).Status);
        Assert.Equal(Ok, rig.Run(RequestType.Out, ((ulong)size + 8192) / 512, tail).Status);
        Assert.Equal(0, rig.Device.Buffers.Lent);
    }

    [Fact]
    public async Task Longest_append_fits_the_available_memory()
    {
        await using var disk = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = 32 * Mebibyte }, 96 * Mebibyte);
        var rig = new BlkRig(disk, options: new VirtioBlkOptions { Buffers = new SlabPool(16 * Mebibyte) }, memory: 32 * Mebibyte);
        byte[] config = new byte[4];
        rig.Device.ReadConfig(84, config);
        Assert.Equal(4 * Mebibyte / 512, BitConverter.ToInt32(config));
        Assert.Equal(Ok, rig.Run(RequestType.ZoneAppend, 0, new byte[4 * Mebibyte], 8, Halves).Status);
        Assert.Equal(Invalid, rig.Run(RequestType.ZoneAppend, 0, new byte[(4 * Mebibyte) + 4096], 8, Halves).Status);
    }
}
