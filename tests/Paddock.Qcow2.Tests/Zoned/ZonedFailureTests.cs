using Paddock.Block;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>Failures of the storage between the steps of a flush or a reset.</summary>
public class ZonedFailureTests
{
    private const int Zone = 1 << 20;

    [Theory]
    [InlineData("flush_to_disk")]
    [InlineData("zone_table_update")]
    public async Task Pointers_of_a_flush_that_failed_are_written_by_the_next(string at)
    {
        var storage = await Make();
        await using (var disk = await Open(storage))
        {
            await disk.Zones!.AppendAsync(0, new byte[4096]);
            storage.FailAt = at;
            await Assert.ThrowsAsync<BlockException>(async () => await disk.FlushAsync());
            Assert.Null(storage.FailAt);
            await disk.FlushAsync();
            Assert.Equal(4096, await StoredPointer(storage, disk, 0));
        }

        await using var again = await Open(storage);
        Assert.Equal(4096, (await Report(again))[0].WritePointer);
    }

    [Fact]
    public async Task Reset_after_failed_flush_writes_no_pointer_of_that_flush()
    {
        var storage = await Make();
        await using var disk = await Open(storage);
        await disk.Zones!.AppendAsync(Zone, new byte[512]);
        await disk.FlushAsync();
        await disk.Zones!.AppendAsync(0, new byte[4096]);
        storage.FailAt = "flush_to_disk";
        await Assert.ThrowsAsync<BlockException>(async () => await disk.FlushAsync());

        // The reset's sector holds zone 0 too: its data must be durable before, or its old pointer written.
        storage.FailAt = "flush_to_disk";
        await Assert.ThrowsAsync<BlockException>(async () => await disk.Zones!.ManageAsync(ZoneAction.Reset, Zone, Zone));
        Assert.Equal(0, await StoredPointer(storage, disk, 0));
        await disk.Zones!.ManageAsync(ZoneAction.Reset, Zone, Zone);
        Assert.Equal(Zone, await StoredPointer(storage, disk, 1));
    }

    [Fact]
    public async Task Reset_whose_table_write_failed_is_written_by_the_next_flush()
    {
        var storage = await Make();
        await using (var disk = await Open(storage))
        {
            await disk.Zones!.AppendAsync(Zone, new byte[512]);
            await disk.FlushAsync();
            (storage.FailAt, storage.FailTimes) = ("zone_table_update", 2);
            await Assert.ThrowsAsync<BlockException>(async () => await disk.Zones!.ManageAsync(ZoneAction.Reset, Zone, Zone));
            var held = (await Report(disk))[1].Condition;
            await disk.FlushAsync();
            Assert.Equal(held == ZoneCondition.Empty ? Zone : Zone + 512, await StoredPointer(storage, disk, 1));
        }
    }

    [Fact]
    public async Task Reset_is_retried_once_after_a_failed_write()
    {
        var storage = await Make();
        await using var disk = await Open(storage);
        await disk.Zones!.AppendAsync(Zone, new byte[512]);
        await disk.FlushAsync();
        storage.FailAt = "zone_table_update";
        await disk.Zones!.ManageAsync(ZoneAction.Reset, Zone, Zone);
        Assert.Equal((ZoneCondition.Empty, (long)Zone), ((await Report(disk))[1].Condition, await StoredPointer(storage, disk, 1)));
    }

    [Fact]
    public async Task Read_only_disk_leaves_its_pointers_unchanged()
    {
        var storage = await Make();
        await using var disk = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { ReadOnly = true });
        await Refused(() => disk.WriteAsync(0, new byte[512]));
        await Refused(async () => await disk.Zones!.AppendAsync(0, new byte[512]));
        await Refused(() => disk.WriteZeroesAsync(0, 512));
        foreach (var action in Enum.GetValues<ZoneAction>())
        {
            await Refused(() => disk.Zones!.ManageAsync(action, 0, Zone));
        }

        Assert.All(await Report(disk), z => Assert.Equal((ZoneCondition.Empty, z.Start), (z.Condition, z.WritePointer)));
    }

    [Theory]
    [InlineData(long.MaxValue, long.MaxValue)]
    [InlineData(0, long.MaxValue)]
    [InlineData(long.MinValue, long.MinValue)]
    [InlineData(0, long.MinValue)]
    public async Task Extreme_ranges_are_rejected_without_other_failures(long offset, long length)
    {
        await using var disk = await Open(await Make());
        var refused = await Assert.ThrowsAsync<ZoneException>(async () => await disk.Zones!.ManageAsync(ZoneAction.Reset, offset, length));
        Assert.Equal(ZoneError.OutOfRange, refused.Reason);
        await disk.Zones!.ManageAsync(ZoneAction.Reset, 0, disk.Length);
    }

    private static async Task Refused(Func<ValueTask> request)
        => Assert.Equal(BlockError.ReadOnly, (await Assert.ThrowsAsync<BlockException>(async () => await request())).Error);

    private static async Task<long> StoredPointer(KeptStorage storage, IBlockDevice disk, int zone)
    {
        var entry = new byte[8];
        await storage.ReadAsync(((IQcow2Device)disk).Info.Zoned!.TableOffset + (zone * 8), entry);
        return BitConverter.ToInt64(entry);
    }

    private static async Task<KeptStorage> Make()
    {
        var storage = new KeptStorage(new MemoryStorage());
        var zoned = new ZonedCreateOptions { ZoneSize = Zone };
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = 4L * Zone, Zoned = zoned });
        return storage;
    }

    private static async Task<IBlockDevice> Open(IStorage storage)
        => await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());

    private static async Task<ZoneDescriptor[]> Report(IBlockDevice disk)
    {
        var zones = new ZoneDescriptor[8];
        return zones[..await disk.Zones!.ReportAsync(0, zones)];
    }
}
