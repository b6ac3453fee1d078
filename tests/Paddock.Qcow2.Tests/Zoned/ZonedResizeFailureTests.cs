using Paddock.Block;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>A change of size of which one step fails: the disk in memory and the one on the storage stay the same.</summary>
public class ZonedResizeFailureTests
{
    // 64 entries of the zone table fill a cluster: one zone more moves it
    private const int Cluster = 512, Zone = 64 << 10, Zones = 64;

    [Theory]
    [InlineData(Zones, Zones + 1)]
    [InlineData(Zones, Zones + 70)]
    [InlineData(Zones - 4, Zones)]
    [InlineData(Zones + 70, Zones)]
    [InlineData(Zones, 2)]
    public async Task Data_flushed_after_any_failed_step_is_there_after_reopening(int before, int after)
    {
        var failures = new List<long>();
        bool failed = true;
        for (int step = 0; failed; step++)
        {
            var storage = await Make(before);
            await using (var disk = await Open(storage))
            {
                await disk.Zones!.AppendAsync(0, new byte[512]);
                storage.FailIn = step;
                failed = await Record.ExceptionAsync(() => disk.ResizeAsync((long)after * Zone, Preallocation.Falloc).AsTask()) is not null;
                storage.FailIn = -1;
                failures.Add(disk.Length / Zone);
                await Use(disk);
            }

            await CheckAsync(storage);
            await using var again = await Open(storage);
            int zones = (int)(again.Length / Zone);
            Assert.Equal(failures[^1], zones);
            Assert.Equal([512, ((zones - 1) * Zone) + 512L], new[] { 0, zones - 1 }.Select(zone => Report(again)[zone].WritePointer));
        }

        // some failed before the header was written, some after
        Assert.Equal([before, after], failures.Distinct());
        Assert.True(failures.Count(zones => zones == after) > 1);
    }

    [Fact]
    public async Task Growth_is_usable_without_reserved_space()
    {
        var storage = await Make(4);
        await using var disk = await Open(storage);
        for (int step = 0; disk.Length == 4 * Zone; step++)
        {
            storage.FailIn = step;
            await Assert.ThrowsAsync<BlockException>(() => disk.ResizeAsync(6 * Zone, Preallocation.Falloc).AsTask());
        }

        Assert.Equal(6 * Zone, disk.Length);
        await disk.ReadAsync(5 * Zone, new byte[512]);
        await disk.GetStatusAsync(4 * Zone, 2 * Zone);
        Assert.Equal(6, Report(disk).Length);
    }

    [Fact]
    public async Task Rejected_size_leaks_no_clusters()
    {
        const int large = 16 << 20;
        var storage = await Make(Zones, large);
        await using (var disk = await Open(storage))
        {
            // an L1 table of 32 MiB maps 128 GiB in clusters of 512 bytes
            for (int i = 0; i < 3; i++)
            {
                var refused = await Assert.ThrowsAsync<BlockException>(() => disk.ResizeAsync((128L << 30) + large).AsTask());
                Assert.Equal(BlockError.TooLarge, refused.Error);
            }

            Assert.Equal((long)Zones * large, disk.Length);
        }

        await CheckAsync(storage, leaks: 0);
    }

    [Theory]
    [InlineData("l1_grow_alloc_table", Zones + 100)]
    [InlineData("flush_to_os", Zones + 1)]
    public async Task Growth_that_fails_before_the_header_frees_the_new_table(string at, int zones)
    {
        var storage = await Make(Zones);
        await using (var disk = await Open(storage))
        {
            for (int i = 0; i < 3; i++)
            {
                storage.FailAt = at;
                await Assert.ThrowsAsync<BlockException>(() => disk.ResizeAsync((long)zones * Zone).AsTask());
                Assert.Null(storage.FailAt);
            }

            await Use(disk);
        }

        await CheckAsync(storage, leaks: 0);
    }

    private static async Task Use(IBlockDevice disk)
    {
        await disk.Zones!.AppendAsync(disk.Length - Zone, new byte[512]);
        await disk.FlushAsync();
    }

    private static async Task CheckAsync(IStorage storage, int? leaks = null)
    {
        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, lines.Add);
        Assert.True(report.Corruptions == 0 && report.CheckErrors == 0
            && report.Leaks <= (leaks ?? int.MaxValue), string.Join("\n", lines));
    }

    private static async Task<KeptStorage> Make(int zones, int size = Zone)
    {
        var storage = new KeptStorage(new MemoryStorage());
        var zoned = new ZonedCreateOptions { ZoneSize = (uint)size };
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = (long)zones * size, ClusterSize = Cluster, Zoned = zoned });
        return storage;
    }

    private static async Task<IBlockDevice> Open(IStorage storage)
        => await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());

    private static ZoneDescriptor[] Report(IBlockDevice disk)
    {
        var zones = new ZoneDescriptor[disk.Length / Zone];
        return zones[..disk.Zones!.ReportAsync(0, zones).AsTask().Result];
    }
}
