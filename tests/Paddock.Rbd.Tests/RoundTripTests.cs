using Paddock.Block;
using Paddock.Cli.Native;
using Paddock.Qcow2;

namespace Paddock.Rbd.Tests;

/// <summary>Round trips of a flush, with the settings that images in RBD are created with.</summary>
public class RoundTripTests
{
    private const long ZoneSize = 64 << 20;
    private const int Append = 32768;

    [Fact]
    public async Task Flush_of_a_zoned_image_takes_two_round_trips()
    {
        var storage = await CreateAsync();
        await using var image = await OpenAsync(storage);
        for (int i = 0; i < 200; i++)
        {
            // three zones in turn, over many clusters of each; tables are read once
            Assert.InRange(await FlushAppendAsync(image, storage, i % 3), 2, i < 3 ? 4 : 2);
            Assert.Equal((2, 2, 0), (storage.Flushes, storage.Writes, storage.Resizes));
        }
    }

    [Fact]
    public async Task Flush_of_small_appends_to_one_zone_takes_one_round_trip()
    {
        var storage = await CreateAsync(durableBlock: 4 << 20);
        await using var image = await OpenAsync(storage);
        var small = new byte[4096];
        int trips = 0;
        for (int i = 0; i < 132; i++)
        {
            storage.Clear();
            await image.Zones!.AppendAsync(0, small, cancellationToken: TestContext.Current.CancellationToken);
            await image.FlushAsync(TestContext.Current.CancellationToken);
            Assert.Equal(0, storage.Resizes);

            // the first cluster's tables and the feature bit are written once
            Assert.InRange(storage.Trips, 1, i == 0 ? 8 : 2);
            trips += i < 4 ? 0 : storage.Trips;
        }

        // what was gathered goes to its clusters after each 32 KiB, at the end of 128 KiB at the latest
        Assert.InRange(trips, 128, 128 + 16);
    }

    [Fact]
    public async Task Flush_after_appends_to_many_zones_takes_two_round_trips_together()
    {
        var storage = await CreateAsync();
        await using var image = await OpenAsync(storage);
        for (int zone = 0; zone < 16; zone++)
        {
            await FlushAppendAsync(image, storage, zone);
        }

        storage.Clear();
        for (int zone = 0; zone < 16; zone++)
        {
            await AppendAsync(image, zone);
        }

        await image.FlushAsync(TestContext.Current.CancellationToken);
        Assert.Equal((2, 0), (storage.Flushes, storage.Reads));
    }

    [Fact]
    public async Task Tables_of_a_new_image_are_completed_without_changes_of_its_size()
    {
        var options = new Qcow2CreateOptions { Size = 100L << 30, Zoned = new ZonedCreateOptions { ZoneSize = 256 << 20 } };
        options = RbdSettings.Apply(options, hasClusterSize: false);
        var memory = new MemoryStorage();
        await memory.SetLengthAsync(RbdSettings.Room(options), cancellationToken: TestContext.Current.CancellationToken);
        var storage = new RoundTripStorage(memory);
        var filled = new NewImageStorage(storage);
        await Qcow2Image.CreateAsync(filled, options, TestContext.Current.CancellationToken);
        await filled.FinishAsync(TestContext.Current.CancellationToken);
        Assert.Equal(1, storage.Resizes);
        Assert.True(filled.Length > options.Size);
        Assert.Equal(filled.Length, storage.Length);
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal((0L, 0L, 0L), (report.Corruptions, report.Leaks, report.CheckErrors));
    }

    [Fact]
    public async Task Flush_without_changes_takes_none()
    {
        var storage = await CreateAsync();
        await using var image = await OpenAsync(storage);
        await FlushAppendAsync(image, storage, 0);
        storage.Clear();
        await image.FlushAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, storage.Trips);
    }

    [Fact]
    public async Task Zone_that_was_reset_keeps_its_clusters_and_takes_two_round_trips_again()
    {
        var storage = await CreateAsync();
        await using var image = await OpenAsync(storage);
        for (int i = 0; i < 4 * (1 << 20) / Append; i++)
        {
            await FlushAppendAsync(image, storage, 0);
        }

        await image.Zones!.ManageAsync(ZoneAction.Reset, 0, ZoneSize, TestContext.Current.CancellationToken);
        await image.FlushAsync(TestContext.Current.CancellationToken);
        for (int i = 0; i < 8 * (1 << 20) / Append; i++)
        {
            await FlushAppendAsync(image, storage, 0);
            Assert.Equal((2, 2), (storage.Flushes, storage.Writes));
        }
    }

    [Fact]
    public async Task Data_of_a_zone_that_was_reset_leave_the_storage()
    {
        var storage = await CreateAsync();
        await using (var image = await OpenAsync(storage))
        {
            byte[] data = new byte[3 << 20];
            Array.Fill(data, (byte)0xA5);
            await image.Zones!.AppendAsync(ZoneSize, data, cancellationToken: TestContext.Current.CancellationToken);
            await image.FlushAsync(TestContext.Current.CancellationToken);
            Assert.True(await HoldsAsync(storage, 0xA5));
            await image.Zones!.ManageAsync(ZoneAction.Reset, 0, image.Length, TestContext.Current.CancellationToken);
            await image.FlushAsync(TestContext.Current.CancellationToken);
            Assert.False(await HoldsAsync(storage, 0xA5));
        }
    }

    private static async Task<bool> HoldsAsync(RoundTripStorage storage, byte value)
    {
        byte[] part = new byte[1 << 20];
        for (long at = 0; at < storage.Length; at += part.Length)
        {
            await storage.ReadAsync(at, part, TestContext.Current.CancellationToken);
            if (part.AsSpan().IndexOf([value, value, value, value]) >= 0)
            {
                return true;
            }
        }

        return false;
    }

    private static async Task<RoundTripStorage> CreateAsync(long durableBlock = 0)
    {
        var storage = new RoundTripStorage(new MemoryStorage()) { DurableBlock = durableBlock };
        var options = new Qcow2CreateOptions { Size = 1 << 30, Zoned = new ZonedCreateOptions { ZoneSize = ZoneSize } };
        await Qcow2Image.CreateAsync(
            storage, RbdSettings.Apply(options, hasClusterSize: false), TestContext.Current.CancellationToken);
        return storage;
    }

    private static async Task<IQcow2Device> OpenAsync(IStorage storage)
        => await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions(), TestContext.Current.CancellationToken);

    private static async Task<int> FlushAppendAsync(IQcow2Device image, RoundTripStorage storage, int zone)
    {
        storage.Clear();
        await AppendAsync(image, zone);
        await image.FlushAsync(TestContext.Current.CancellationToken);
        return storage.Trips;
    }

    private static async Task AppendAsync(IQcow2Device image, int zone)
        => await image.Zones!.AppendAsync(zone * ZoneSize, new byte[Append], cancellationToken: TestContext.Current.CancellationToken);
}
