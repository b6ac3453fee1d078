using Paddock.Block;
using Paddock.Images.Copying;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Images.Tests;

/// <summary>Copies to a target without zones.</summary>
public class DiskCopyTests
{
    private const int Cluster = 64 << 10;

    [Theory]
    [InlineData(false, 4096, 1, false)]
    [InlineData(false, 0, 3, true)]
    [InlineData(false, 65536, 8, true)]
    [InlineData(true, 4096, 2, false)]
    public async Task Old_bytes_of_a_target_that_is_not_new_are_overwritten_with_zeroes(
        bool isZero, int sparse, int parallel, bool outOfOrder)
    {
        byte[] bytes = Sparse(7);
        await using var source = await RawOfAsync(bytes);
        byte[] old = new byte[bytes.Length + 4096];
        if (!isZero)
        {
            Array.Fill(old, (byte)0xEE);
        }

        await using var target = await RawOfAsync(old);
        await DiskCopy.RunAsync(
            source, target, new CopyOptions { SparseBytes = sparse, TargetIsZero = isZero, Parallel = parallel, OutOfOrder = outOfOrder });
        byte[] found = await AllAsync(target);
        Assert.True(bytes.AsSpan().SequenceEqual(found.AsSpan(0, bytes.Length)));
        Assert.True(found.AsSpan(bytes.Length).SequenceEqual(old.AsSpan(bytes.Length)), "what lies behind the source stays");
    }

    [Fact]
    public async Task Holes_are_not_read_not_even_for_compression()
    {
        await using var source = Source(await RawOfAsync([]), 1L << 40);
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = 1L << 40 });
        await using var target = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());
        var options = new CopyOptions { TargetIsZero = true, CompressedUnit = Cluster, WriteCompressed = target.WriteCompressedAsync };
        await DiskCopy.RunAsync(source, target, options);
        Assert.Equal(0, source.Count(DeviceCall.Read));
        await DiskCopy.RunAsync(source, target, new CopyOptions { TargetIsZero = true });
        Assert.Equal(0, source.Count(DeviceCall.Read));
    }

    [Fact]
    public async Task Compressed_clusters_hold_what_the_source_holds_where_data_ends_within_a_cluster()
    {
        byte[] bytes = Sparse(3)[..((9 * Cluster) + 1536)];
        Array.Fill(bytes, (byte)5, Cluster + 512, 512);
        await using var source = await RawOfAsync(bytes);
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = bytes.Length });
        await using var target = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());
        await DiskCopy.RunAsync(
            source, target,
            new CopyOptions { TargetIsZero = true, CompressedUnit = Cluster, WriteCompressed = target.WriteCompressedAsync });
        byte[] found = await AllAsync(target);
        Assert.True(bytes.AsSpan().SequenceEqual(found));
    }

    [Fact]
    public async Task A_failure_of_an_unexpected_kind_ends_the_copy()
    {
        await using var source = Source(await RawOfAsync(Sparse(5)), 32 << 20);
        await using var target = Source(await RawOfAsync([]), 32 << 20);

        // the target throws an exception that no device should throw
        var copy = DiskCopy.RunAsync(source, target, new CopyOptions()).AsTask();
        await Assert.ThrowsAsync<InvalidOperationException>(
            () => copy.WaitAsync(TimeSpan.FromMinutes(2), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Sectors_that_cannot_be_read_become_zeroes_one_by_one()
    {
        byte[] bytes = new byte[4 << 20];
        new Random(4).NextBytes(bytes);
        long[] bad = [512 * 5, 512 * 5000, 512 * 5001];
        await using var source = Source(await RawOfAsync(bytes), bytes.Length, bad);
        await using var target = await RawOfAsync(new byte[bytes.Length]);
        var lost = new List<long>();
        await Assert.ThrowsAsync<CopyException>(async () => await DiskCopy.RunAsync(source, target, new CopyOptions()));
        await DiskCopy.RunAsync(source, target, new CopyOptions { Parallel = 1, Unreadable = (at, _) => lost.Add(at) });
        Assert.Equal(bad, lost);
        lost.ForEach(at => bytes.AsSpan((int)at, 512).Clear());
        byte[] found = await AllAsync(target);
        Assert.True(bytes.AsSpan().SequenceEqual(found));
    }

    [Fact]
    public async Task The_rate_limit_spreads_a_copy_over_time()
    {
        byte[] bytes = new byte[8 << 20];
        Array.Fill(bytes, (byte)1);
        await using var source = await RawOfAsync(bytes);
        await using var target = await RawOfAsync(new byte[bytes.Length]);
        var clock = new LeapingClock();
        await DiskCopy.RunAsync(source, target, new CopyOptions { BytesPerSecond = 1 << 20, Time = clock });

        // the last of four chunks of 2 MiB starts after the first three have used their six seconds
        Assert.Equal(6, clock.Passed.TotalSeconds, 3);
    }

    [Fact]
    public async Task The_rate_limit_waits_longer_than_a_timer_can()
    {
        var clock = new LeapingClock();
        var limit = new RateLimit(1, clock);
        await limit.PassAsync(100_000_000, TestContext.Current.CancellationToken);
        await limit.PassAsync(1, TestContext.Current.CancellationToken);
        Assert.Equal(100_000_000, clock.Passed.TotalSeconds, 3);
    }

    [Fact]
    public async Task What_the_sources_own_layer_does_not_hold_is_left_to_the_targets_backing_image()
    {
        await using var source = new TestDevice(
            await RawOfAsync(new byte[3 * Cluster]), backing: await RawOfAsync(Sparse(9)[..(2 * Cluster)]))
        {
            Status = (_, length) => new BlockStatus(length, BlockStatusFlags.None),
        };
        byte[] old = new byte[3 * Cluster];
        Array.Fill(old, (byte)0xEE);
        await using var target = await RawOfAsync(old);
        await DiskCopy.RunAsync(source, target, new CopyOptions { TopLayerOnly = true });
        byte[] found = await AllAsync(target);
        Assert.DoesNotContain(found[..(2 * Cluster)], b => b != 0xEE);
        Assert.DoesNotContain(found[(2 * Cluster)..], b => b != 0);
    }

    [Fact]
    public async Task A_failed_write_is_what_is_reported_also_when_the_target_cannot_be_closed_after_it()
    {
        await using var disk = await RawOfAsync(new byte[512]);
        await using var storage = new MemoryStorage();
        var unclosable = new TestDevice(disk) { Failures = { [DeviceCall.Dispose] = new BlockException(BlockError.Io, "cannot close") } };
        var node = new ImageNode { Driver = "raw", Filename = "x", Storage = storage, Device = unclosable };
        var failure = await Assert.ThrowsAsync<ToolException>(
            () => node.UseAsync(() => throw new ToolException("error while writing")).AsTask());
        Assert.Equal("error while writing", failure.Message);
        var closing = await Assert.ThrowsAsync<BlockException>(() => node.UseAsync(() => default).AsTask());
        Assert.Equal("cannot close", closing.Message);
    }

    [Fact]
    public async Task Compressed_write_that_fails_reports_where_it_began()
    {
        await using var source = await RawOfAsync([.. Enumerable.Repeat((byte)1, 4 << 20)]);
        await using var target = await RawOfAsync(new byte[4 << 20]);
        var options = new CopyOptions
        {
            CompressedUnit = 65536,
            WriteCompressed = (offset, _, _) => offset < 2 << 20 ? default : throw new BlockException(BlockError.NoSpace, "full"),
        };
        var failure = await Assert.ThrowsAsync<CopyException>(() => DiskCopy.RunAsync(source, target, options).AsTask());
        Assert.Equal((2 << 20, "full"), (failure.Offset, failure.Failure.Message));
    }

    private static byte[] Sparse(int seed)
    {
        var random = new Random(seed);
        byte[] bytes = new byte[10 << 20];
        for (int at = 0; at < bytes.Length;)
        {
            int length = Math.Min(bytes.Length - at, 512 * random.Next(1, 500));
            if (random.Next(2) == 0)
            {
                random.NextBytes(bytes.AsSpan(at, length));
            }

            at += length;
        }

        return bytes;
    }

    private static async Task<RawDevice> RawOfAsync(byte[] bytes)
    {
        var storage = new MemoryStorage();
        await storage.WriteAsync(0, bytes);
        return new RawDevice(storage);
    }

    private static async Task<byte[]> AllAsync(IBlockDevice disk)
    {
        byte[] bytes = new byte[disk.Length];
        await disk.ReadAsync(0, bytes);
        return bytes;
    }

    // a read-only disk with a hole behind its data, and bad sectors
    private static TestDevice Source(RawDevice data, long length, params long[] bad)
    {
        long stored = data.Length;
        return new TestDevice(data, readOnly: true, length: () => length)
        {
            Around = (request, run) => request.Call is DeviceCall.Write or DeviceCall.WriteZeroes ? throw new InvalidOperationException()
                : request.Call == DeviceCall.Read && bad.Any(b => b >= request.Offset && b < request.Offset + request.Length)
                    ? throw new BlockException(BlockError.Io, "bad sector") : run(),
            Status = (offset, count) => offset < stored
                ? data.GetStatusAsync(offset, Math.Min(count, stored - offset)).AsTask().Result
                : new BlockStatus(count, BlockStatusFlags.Allocated | BlockStatusFlags.Zero),
        };
    }

    /// <summary>Clock on which every wait ends at once, after advancing the time by its duration.</summary>
    private sealed class LeapingClock : TimeProvider
    {
        private readonly Lock _lock = new();
        private long _ticks;

        public TimeSpan Passed => new(_ticks);

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Volatile.Read(ref _ticks);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            lock (_lock)
            {
                _ticks += dueTime.Ticks;
            }

            return TimeProvider.System.CreateTimer(callback, state, TimeSpan.Zero, Timeout.InfiniteTimeSpan);
        }
    }
}
