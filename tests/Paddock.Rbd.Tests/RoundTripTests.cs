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
    public async Task Zone_that_was_reset_takes_a_third_round_trip_for_each_new_cluster()
    {
        var storage = await CreateAsync();
        await using var image = await OpenAsync(storage);
        await FlushAppendAsync(image, storage, 0);
        await image.Zones!.ManageAsync(ZoneAction.Reset, 0, ZoneSize, TestContext.Current.CancellationToken);
        await image.FlushAsync(TestContext.Current.CancellationToken);
        int three = 0;
        for (int i = 0; i < 4 * (1 << 20) / Append; i++)
        {
            await FlushAppendAsync(image, storage, 0);
            Assert.InRange(storage.Flushes, 2, 3);
            three += storage.Flushes - 2;
        }

        Assert.InRange(three, 1, 5);
    }

    private static async Task<RoundTripStorage> CreateAsync()
    {
        var storage = new RoundTripStorage(new MemoryStorage());
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
