using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Crash;

/// <summary>A flush fails: nothing that it should have made durable counts as durable.</summary>
public class FailedFlushTests
{
    private const int Cluster = 4096;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Flush_after_a_failed_one_writes_no_L2_entry_before_its_data_are_durable()
    {
        var disk = new CrashStorage { FlushFailureLoses = false };
        await Qcow2Image.CreateAsync(disk, new Qcow2CreateOptions { Size = 1 << 20, ClusterSize = Cluster }, Token);
        await using var image = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions(), Token);
        await image.WriteAsync(0, Enumerable.Repeat((byte)0x11, Cluster).ToArray(), cancellationToken: Token);
        await image.FlushAsync(Token);
        await image.WriteZeroesAsync(0, Cluster, cancellationToken: Token);
        await image.FlushAsync(Token);
        await image.WriteAsync(1024, Enumerable.Repeat((byte)0x22, 512).ToArray(), cancellationToken: Token);
        int durable = disk.Log.Count;
        disk.FailFlush = disk.FlushesAsked + 1;
        await Assert.ThrowsAsync<BlockException>(() => image.FlushAsync(Token).AsTask());
        await image.FlushAsync(Token);
        var cut = new PowerCut(disk.Log);
        for (int position = durable; position <= disk.Log.Count; position++)
        {
            for (int seed = 0; seed < 100; seed++)
            {
                await using var after = await Qcow2Image.OpenAsync(cut.At(position, seed), new Qcow2OpenOptions { ReadOnly = true }, Token);
                var bytes = new byte[Cluster];
                await after.ReadAsync(0, bytes, Token);
                bytes.AsSpan(1024, 512).Clear();
                Assert.False(bytes.AsSpan().ContainsAnyExcept((byte)0), $"cut at {position}, seed {seed}");
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Flush_that_lost_data_rejects_all_but_reads_until_the_image_is_reopened(bool zoned)
    {
        var disk = new CrashStorage();
        await Qcow2Image.CreateAsync(disk, Options(zoned), Token);
        var image = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions(), Token);
        await image.WriteAsync(0, Filled(1), cancellationToken: Token);
        await image.FlushAsync(Token);
        await image.WriteAsync(Cluster, Filled(2), cancellationToken: Token);
        disk.FailFlush = disk.FlushesAsked + 1;
        await FailsAsync(() => image.FlushAsync(Token));
        await FailsAsync(() => image.FlushAsync(Token));
        await FailsAsync(() => image.WriteAsync(2 * Cluster, Filled(3), cancellationToken: Token));
        await FailsAsync(() => image.WriteAsync(2 * Cluster, Filled(3), WriteFlags.Fua, Token));
        await FailsAsync(() => image.WriteZeroesAsync(2 * Cluster, Cluster, cancellationToken: Token));
        var read = new byte[Cluster];
        await image.ReadAsync(Cluster, read, Token);
        Assert.Equal(Filled(2), read);
        await FailsAsync(image.DisposeAsync);
        for (int seed = 0; seed < 50; seed++)
        {
            await using var after = await Qcow2Image.OpenAsync(disk.Reboot(seed), new Qcow2OpenOptions(), Token);
            await after.ReadAsync(0, read, Token);
            Assert.Equal(Filled(1), read);
            Assert.Equal(zoned ? Cluster : 0, zoned ? await PointerAsync(after) : 0);
            await after.WriteAsync(Cluster, Filled(4), WriteFlags.Fua, Token);
        }
    }

    private static byte[] Filled(byte value) => Enumerable.Repeat(value, Cluster).ToArray();

    private static Qcow2CreateOptions Options(bool zoned)
        => new() { Size = 1 << 20, ClusterSize = Cluster, Zoned = zoned ? new ZonedCreateOptions { ZoneSize = 256 << 10 } : null };

    private static async Task<long> PointerAsync(IBlockDevice device)
    {
        var zone = new ZoneDescriptor[1];
        await device.Zones!.ReportAsync(0, zone, Token);
        return zone[0].WritePointer;
    }

    private static async Task FailsAsync(Func<ValueTask> request)
        => Assert.Equal(BlockError.Io, (await Assert.ThrowsAsync<BlockException>(async () => await request())).Error);
}
