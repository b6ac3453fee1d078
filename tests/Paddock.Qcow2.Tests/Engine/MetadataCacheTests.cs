using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Faults;
using Paddock.Qcow2.Engine;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Engine;

public class MetadataCacheTests
{
    private const int Slice = 512;

    // of the images: an L2 table has 16 slices of 4 KiB, each for 32 MiB of the disk
    private const int Cluster = 65536, Slices = 16, SliceCovers = 512 * Cluster;

    [Fact]
    public async Task Adjacent_dirty_slices_are_written_in_one_request()
    {
        var disk = new CrashStorage();
        var cache = Cache(disk);
        await FillAsync(cache, 7, 5, 6, 20, 4);
        await cache.WriteBackAsync();
        Assert.False(cache.HasDirty);
        Assert.Equal([(4 * Slice, 4 * Slice), (20 * Slice, Slice)], Writes(disk.Log));
        foreach (int slice in new[] { 4, 5, 6, 7, 20 })
        {
            Assert.Equal(slice, At(disk.Live, slice));
        }
    }

    [Fact]
    public async Task Clean_slice_splits_a_request_and_is_not_written_again()
    {
        var disk = new CrashStorage();
        var cache = Cache(disk);
        await FillAsync(cache, 0, 1, 2);
        await cache.WriteBackAsync();
        cache.Set64(0, 0, 10);
        cache.Set64(2 * Slice, 0, 12);
        await cache.WriteBackAsync();
        Assert.Equal([(0, 3 * Slice), (0, Slice), (2 * Slice, Slice)], Writes(disk.Log));
    }

    [Fact]
    public async Task Run_longer_than_a_request_is_divided()
    {
        const int perRequest = (256 << 10) / Slice;
        var disk = new CrashStorage();
        var cache = Cache(disk);
        await FillAsync(cache, [.. Enumerable.Range(0, perRequest + 3)]);
        await cache.WriteBackAsync();
        Assert.Equal([(0, perRequest * Slice), (perRequest * Slice, 3 * Slice)], Writes(disk.Log));
        Assert.All(Enumerable.Range(0, perRequest + 3), slice => Assert.Equal(slice, At(disk.Live, slice)));
    }

    [Fact]
    public async Task Fault_event_is_raised_once_for_each_request()
    {
        var disk = new CrashStorage();
        FaultRule[] rules =
        [
            new SetStateRule { Event = "l2_update", State = 1, NewState = 2 },
            new InjectErrorRule { Event = "l2_update", State = 2, Errno = 5, Error = BlockError.Io, Once = true },
        ];
        var cache = Cache(new FaultStorage(disk, rules));
        await FillAsync(cache, 1, 2, 9);
        await Assert.ThrowsAsync<BlockException>(async () => await cache.WriteBackAsync());
        Assert.Equal([(Slice, 2 * Slice)], Writes(disk.Log));
        await cache.WriteBackAsync();
        Assert.Equal([(Slice, 2 * Slice), (9 * Slice, Slice)], Writes(disk.Log));
    }

    [Fact]
    public async Task Slices_of_a_request_that_fails_halfway_stay_dirty_and_are_written_again()
    {
        var disk = new CrashStorage { FaultsMayTakeEffect = true, FaultsTearWrites = true, FailChange = 2 };
        var cache = Cache(disk);
        await FillAsync(cache, 1, 5, 6, 7, 8, 30);
        await Assert.ThrowsAsync<BlockException>(async () => await cache.WriteBackAsync());
        Assert.True(cache.HasDirty);
        Assert.Equal((6, 0), (At(disk.Live, 6), At(disk.Live, 7)));
        int before = disk.Log.Count;
        await cache.WriteBackAsync();
        Assert.False(cache.HasDirty);
        Assert.Equal([(5 * Slice, 4 * Slice), (30 * Slice, Slice)], Writes(disk.Log, before));
        Assert.Equal((7, 8, 30), (At(disk.Live, 7), At(disk.Live, 8), At(disk.Live, 30)));
    }

    [Fact]
    public async Task Slice_changed_after_a_failed_request_is_written_with_its_latest_value()
    {
        var disk = new CrashStorage { FaultsMayTakeEffect = true, FaultsTearWrites = true, FailChange = 1 };
        var cache = Cache(disk);
        await FillAsync(cache, 0, 1);
        await Assert.ThrowsAsync<BlockException>(async () => await cache.WriteBackAsync());
        cache.Set64(Slice, 0, 99);
        await cache.WriteBackAsync();
        Assert.Equal((0, 99), (At(disk.Live, 0), At(disk.Live, 1)));
    }

    [Fact]
    public async Task Write_back_in_steady_state_allocates_nothing()
    {
        // the disk is in memory and completes at once, so that everything runs on this thread
        var storage = new MemoryStorage();
        var cache = Cache(storage);
        await FillAsync(cache, [.. Enumerable.Range(0, 64)]);
        await cache.WriteBackAsync();
        long least = long.MaxValue;
        for (int round = 0; round < 20; round++)
        {
            for (int slice = 0; slice < 64; slice++)
            {
                cache.Set64(slice * Slice, 1, (ulong)round);
            }

            long before = GC.GetAllocatedBytesForCurrentThread();
            var writing = cache.WriteBackAsync();
            Assert.True(writing.IsCompletedSuccessfully);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
    }

    [Fact]
    public async Task Flush_that_fails_inside_any_request_is_made_good_by_the_next()
    {
        for (int failAt = 1, changes = failAt; failAt <= changes; failAt++)
        {
            var disk = new CrashStorage { FaultsMayTakeEffect = true, FaultsTearWrites = true };
            await CreateAsync(disk);
            await using (var image = await Qcow2Image.OpenAsync(new KeptStorage(disk), new Qcow2OpenOptions()))
            {
                await WriteAllAsync(image, 1);
                int before = disk.Changes;
                disk.FailChange = before + failAt;
                await Assert.ThrowsAsync<BlockException>(async () => await image.FlushAsync());
                await image.FlushAsync();
                changes = Math.Max(changes, disk.Changes - before - failAt);
            }

            await AssertSoundAsync(disk.Reboot(failAt), $"change {failAt} of the flush failed");
        }
    }

    [Fact]
    public async Task Power_cut_inside_requests_of_tables_keeps_what_was_flushed()
    {
        int seed = TestSeed.Next();
        var disk = new CrashStorage();
        await CreateAsync(disk);
        await using (var image = await Qcow2Image.OpenAsync(new KeptStorage(disk), new Qcow2OpenOptions()))
        {
            await WriteAllAsync(image, 1);
            await image.FlushAsync();
            int durable = disk.Log.Count;
            await WriteAllAsync(image, 2);
            await image.FlushAsync();
            Assert.Contains(Enumerable.Range(durable, disk.Log.Count - durable), i => IsWholeTable(disk.Log[i]));
            var cut = new PowerCut(disk.Log);
            for (int position = durable; position <= disk.Log.Count; position++)
            {
                await AssertSoundAsync(cut.At(position, seed + position), $"seed {seed}, cut at {position}");
            }
        }
    }

    private static MetadataCache Cache(IStorage storage) => new(storage, Slice, 1 << 20, "l2_load", "l2_update");

    private static async Task FillAsync(MetadataCache cache, params int[] slices)
    {
        foreach (int slice in slices)
        {
            await cache.CreateAsync(slice * Slice, static () => default);
            cache.Set64(slice * Slice, 0, (ulong)slice);
        }
    }

    private static int At(PagedStorage storage, int slice)
    {
        var bytes = new byte[8];
        storage.Read(slice * Slice, bytes);
        return (int)BinaryPrimitives.ReadInt64BigEndian(bytes);
    }

    private static List<(int Offset, int Length)> Writes(StorageLog log, int from = 0)
        => [.. Enumerable.Range(from, log.Count - from).Select(i => log[i]).Where(static entry => entry.Step == StorageStep.Write)
            .Select(static entry => ((int)entry.Offset, (int)entry.Length))];

    private static async Task CreateAsync(CrashStorage disk)
        => await Qcow2Image.CreateAsync(disk, new Qcow2CreateOptions { Size = (long)Slices * SliceCovers });

    /// <summary>A cluster of each version under each slice of the first L2 table: all its slices become dirty.</summary>
    private static async Task WriteAllAsync(IBlockDevice image, byte version)
    {
        for (int i = 0; i < Slices; i++)
        {
            await image.WriteAsync(((long)i * SliceCovers) + (version * Cluster), Enumerable.Repeat(version, Cluster).ToArray());
        }
    }

    /// <summary>True for a write of all slices of an L2 table: an entry in each, and nothing before the first.</summary>
    private static bool IsWholeTable(StorageLogEntry entry)
        => entry.Step == StorageStep.Write && entry.Length == Cluster && entry.Data!.AsSpan(0, 8).IndexOfAnyExcept((byte)0) < 0
            && Enumerable.Range(0, Slices).All(i => entry.Data![i * Cluster / Slices + 8] == 0x80);

    private static async Task AssertSoundAsync(PagedStorage rebooted, string when)
    {
        List<string> lines = [];
        var report = await Qcow2Image.CheckAsync(rebooted, Qcow2Repair.None, lines.Add);
        Assert.True(report is { Corruptions: 0, CheckErrors: 0 }, $"{when}: {string.Join('\n', lines)}");
        await using var image = await Qcow2Image.OpenAsync(rebooted, new Qcow2OpenOptions { ReadOnly = true });
        var bytes = new byte[Cluster];
        for (int i = 0; i < Slices; i++)
        {
            await image.ReadAsync(((long)i * SliceCovers) + Cluster, bytes);
            Assert.True(bytes.AsSpan().IndexOfAnyExcept((byte)1) < 0, $"{when}: slice {i}");
        }
    }
}
