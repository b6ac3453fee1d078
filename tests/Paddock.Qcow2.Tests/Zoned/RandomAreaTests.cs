using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Zoned;
using Paddock.Testing;
using static Paddock.Qcow2.Tests.Zoned.AttributeBench;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>Random write areas of zones in an image: data, commits, and what is kept (docs/zrwa.md).</summary>
public class RandomAreaTests
{
    private const int Unit = 4096, Area = 4 * Unit, Count = 8;

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    [InlineData(65536)]
    public async Task Blocks_of_an_area_are_written_in_any_order_and_persist(int cluster)
    {
        var storage = await MakeAsync(cluster);
        await using (var disk = await OpenAsync(storage))
        {
            await AllocateAsync(disk, 1);
            await disk.WriteAsync(Zone + (3 * Unit), Filled(3));
            await disk.WriteAsync(Zone + Unit, Filled(1));
            await disk.WriteAsync(Zone + Unit, Filled(11));
            Assert.Equal("0 11 0 3 0", await UnitsAsync(disk, Zone, 5));
            Assert.Equal(Zone, (await ZoneAsync(disk, 1)).WritePointer);
        }

        await CheckCleanAsync(storage);
        await using (var disk = await OpenAsync(storage))
        {
            Assert.Equal(new ZoneDescriptor(Zone, Zone, Zone, Zone, ZoneCondition.Closed, ZoneType.SequentialWriteRequired)
            {
                HasRandomArea = true,
            }, await ZoneAsync(disk, 1));
            Assert.Equal("0 11 0 3 0", await UnitsAsync(disk, Zone, 5));
            await disk.WriteAsync(Zone + (5 * Unit), Filled(5));
            Assert.Equal(Zone + (2 * Unit), (await ZoneAsync(disk, 1)).WritePointer);
            Assert.Equal(ZoneError.NotAtWritePointer, await RefusalAsync(() => disk.WriteAsync(Zone + Unit, Filled(1))));
            await disk.Zones!.CommitAsync(Zone + (4 * Unit));
            Assert.Equal("0 11 0 3 0 5 0 0", await UnitsAsync(disk, Zone, 8));
            await disk.Zones.ManageAsync(ZoneAction.Finish, Zone, Zone);
            Assert.Equal("0 11 0 3 0 5 0 0", await UnitsAsync(disk, Zone, 8));
            Assert.False((await ZoneAsync(disk, 1)).HasRandomArea);
        }

        await CheckCleanAsync(storage);
        await using var last = await OpenAsync(storage);
        Assert.Equal("0 11 0 3 0 5 0 0", await UnitsAsync(last, Zone, 8));
        await last.Zones!.ManageAsync(ZoneAction.Reset, Zone, Zone);
        Assert.Equal((ZoneCondition.Empty, false), ((await ZoneAsync(last, 1)).Condition, (await ZoneAsync(last, 1)).HasRandomArea));
    }

    [Theory]
    [InlineData(512, false)]
    [InlineData(65536, false)]
    [InlineData(65536, true)]
    public async Task Area_shows_no_data_from_before_the_reset(int cluster, bool isWrittenToTheEnd)
    {
        var storage = await MakeAsync(cluster);
        await using var disk = await OpenAsync(storage);
        await disk.Zones!.AppendAsync(0, Filled(7, isWrittenToTheEnd ? (int)Zone : 3 * Unit));
        await disk.Zones.ManageAsync(ZoneAction.Reset, 0, Zone);
        await AllocateAsync(disk, 0);
        await disk.WriteAsync(Unit, Filled(1));
        Assert.Equal("0 1 0 0 0 0", await UnitsAsync(disk, 0, 6));
        await disk.WriteAsync(7 * Unit, Filled(2));
        Assert.Equal("0 1 0 0 0 0 0 2 0", await UnitsAsync(disk, 0, 9));
    }

    [Fact]
    public async Task Area_over_a_backing_image_shows_nothing_of_it()
    {
        var below = MemoryDisk.Of(Count * Zone);
        for (long at = 0; at < below.Length; at += Zone)
        {
            await below.WriteAsync(at, Filled(9, (int)Zone));
        }

        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, Options(65536) with { BackingFile = "below", BackingFormat = "raw" });
        await using var disk = await Qcow2Image.OpenAsync(
            storage, new Qcow2OpenOptions { Gate = new OneDevice(below) });
        await AllocateAsync(disk, 2);
        await disk.WriteAsync((2 * Zone) + (5 * Unit), Filled(1));
        Assert.Equal("0 0 0 0 0 1 0 0", await UnitsAsync(disk, 2 * Zone, 8));
    }

    [Fact]
    public async Task Zeroes_are_written_in_an_area_like_data()
    {
        await using var disk = await OpenAsync(await MakeAsync());
        await AllocateAsync(disk, 0);
        await disk.WriteAsync(0, Filled(1, Area));
        await disk.WriteZeroesAsync(Unit, 2 * Unit);
        Assert.Equal("1 0 0 1", await UnitsAsync(disk, 0, 4));
        await disk.WriteZeroesAsync(4 * Unit, Unit);
        Assert.Equal(Unit, (await ZoneAsync(disk, 0)).WritePointer);
    }

    [Fact]
    public async Task Status_of_an_area_is_that_of_its_data()
    {
        await using var disk = await OpenAsync(await MakeAsync(Unit));
        await AllocateAsync(disk, 0);
        await disk.WriteAsync(Unit, Filled(1));
        Assert.True((await disk.GetStatusAsync(0, Unit)).Flags.HasFlag(BlockStatusFlags.Zero));
        var data = await disk.GetStatusAsync(Unit, 4 * Unit);
        Assert.Equal((Unit, true), (data.Length, data.Flags.HasFlag(BlockStatusFlags.Data)));
        Assert.True((await disk.GetStatusAsync(Area, Unit)).Flags.HasFlag(BlockStatusFlags.Zero));
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(3u)]
    public async Task Limit_of_areas_holds_after_the_image_is_opened_again(uint limit)
    {
        var storage = await MakeAsync(limit: limit);
        for (uint zone = 0; zone < limit; zone++)
        {
            await using var disk = await OpenAsync(storage);
            await AllocateAsync(disk, (int)zone);
        }

        await using var last = await OpenAsync(storage);
        Assert.Equal(limit, (uint)((IQcow2Device)last).Info.Zoned!.RandomAreas);
        Assert.Equal(ZoneError.TooManyRandomAreas, await RefusalAsync(() => AllocateAsync(last, 7)));
        await last.Zones!.ManageAsync(ZoneAction.Reset, 0, Zone);
        await AllocateAsync(last, 7);
    }

    [Theory]
    [InlineData(ZoneCondition.ReadOnly)]
    [InlineData(ZoneCondition.Offline)]
    public async Task Retired_zone_loses_its_area_and_restored_one_has_none(ZoneCondition condition)
    {
        var storage = await MakeAsync();
        await using (var disk = await OpenAsync(storage))
        {
            await AllocateAsync(disk, 1);
            await disk.WriteAsync(Zone, Filled(1, Area));
            await disk.Zones!.CommitAsync(Zone + Unit);
            await disk.Zones.Attributes!.SetConditionAsync(1, condition);
            Assert.False((await ZoneAsync(disk, 1)).HasRandomArea);
        }

        await CheckCleanAsync(storage);
        await using (var disk = await OpenAsync(storage))
        {
            Assert.False((await ZoneAsync(disk, 1)).HasRandomArea);
            await disk.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.Empty);
            Assert.Equal((ZoneCondition.Closed, Zone + Unit, false), await StateAsync(disk, 1));
            Assert.Equal("1 0 0 0", await UnitsAsync(disk, Zone, 4));
        }

        await using var last = await OpenAsync(storage);
        Assert.Equal((ZoneCondition.Closed, Zone + Unit, false), await StateAsync(last, 1));
    }

    [Fact]
    public async Task Extension_and_area_of_a_zone_come_and_go_together()
    {
        var storage = await MakeAsync();
        await using (var disk = await OpenAsync(storage))
        {
            await disk.Zones!.Attributes!.WriteExtensionAsync(2, Extension(5), randomArea: true);
            await disk.WriteAsync((2 * Zone) + (4 * Unit), Filled(1));
        }

        await CheckCleanAsync(storage);
        await using (var disk = await OpenAsync(storage))
        {
            Assert.Equal((ZoneCondition.Closed, (2 * Zone) + Unit, true), await StateAsync(disk, 2));
            Assert.Equal(5, await ExtensionAsync(disk, 2));
            await disk.Zones!.ManageAsync(ZoneAction.Reset, 2 * Zone, Zone);
            Assert.Equal((ZoneCondition.Empty, 2 * Zone, false), await StateAsync(disk, 2));
            Assert.Equal(-1, await ExtensionAsync(disk, 2));
        }

        await using var last = await OpenAsync(storage);
        Assert.Equal((ZoneCondition.Empty, 2 * Zone, false), await StateAsync(last, 2));
    }

    [Fact]
    public async Task Snapshot_has_write_pointers_and_no_areas()
    {
        var storage = await MakeAsync();
        await using (var disk = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions()))
        {
            await AllocateAsync(disk, 1);
            await disk.WriteAsync(Zone, Filled(1, 5 * Unit));
            await disk.Snapshots.CreateAsync("s", DateTimeOffset.UnixEpoch);
            await disk.WriteAsync(Zone + (2 * Unit), Filled(2));
            await disk.Snapshots.ApplyAsync(disk.Snapshots.List[0]);
            Assert.Equal((ZoneCondition.Closed, Zone + Unit, false), await StateAsync(disk, 1));
            Assert.Equal("1 0 0 0 0", await UnitsAsync(disk, Zone, 5));
        }

        await CheckCleanAsync(storage);
        await using var last = await OpenAsync(storage);
        Assert.Equal((ZoneCondition.Closed, Zone + Unit, false), await StateAsync(last, 1));
    }

    [Fact]
    public async Task Smaller_last_zone_has_an_area_that_grows_with_it()
    {
        var storage = await MakeAsync(size: (2 * Zone) + (2 * Unit));
        await using var disk = await OpenAsync(storage);
        await disk.Zones!.ManageAsync(ZoneAction.OpenWithRandomArea, 2 * Zone, 2 * Unit);
        await disk.WriteAsync((2 * Zone) + Unit, Filled(1));
        await disk.ResizeAsync(3 * Zone);
        Assert.Equal("0 1 0 0 0", await UnitsAsync(disk, 2 * Zone, 5));
        await disk.WriteAsync((2 * Zone) + (7 * Unit), Filled(2));
        Assert.Equal("0 1 0 0 0 0 0 2 0", await UnitsAsync(disk, 2 * Zone, 9));
    }

    [Fact]
    public async Task Image_without_areas_is_as_before()
    {
        var storage = await AttributeBench.MakeAsync();
        await using (var disk = await OpenAsync(storage))
        {
            Assert.Equal(default, disk.Zones!.Limits.RandomArea);
            Assert.Equal(ZoneError.InvalidZoneOperation, await RefusalAsync(() => AllocateAsync(disk, 0)));
            Assert.Equal(ZoneError.InvalidZoneOperation, await RefusalAsync(() => disk.Zones.CommitAsync(Unit)));
            await disk.Zones.Attributes!.WriteExtensionAsync(0, Extension(1));
        }

        var header = new byte[4096];
        await storage.ReadAsync(0, header);
        var paddock = HeaderExtension.ParseAll(header.AsSpan(Qcow2Header.SizeV3)).Single(e => e.Type == HeaderExtension.Paddock);
        Assert.Equal(PaddockExtension.Size, paddock.Data.Length);
    }

    [Theory]
    [InlineData(0, 512u)] // off
    [InlineData(1, 0u)]
    [InlineData(Area, 0u)]
    [InlineData(Area, 511u)]
    [InlineData(Area, 3u * Unit)]
    [InlineData((16 << 20) + Unit, (uint)Unit)]
    [InlineData(-1, (uint)Unit)]
    public async Task Impossible_areas_in_a_header_are_ignored_with_a_warning(int size, uint unit)
    {
        var storage = await MakeAsync();
        await using (var disk = await OpenAsync(storage))
        {
            await AllocateAsync(disk, 1);
            await disk.WriteAsync(Zone, Filled(1));
        }

        var header = new byte[4096];
        await storage.ReadAsync(0, header);
        int at = header.AsSpan().IndexOf("PDCK"u8) + HeaderExtension.HeadSize + 32;
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(at), size);
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(at + 4), unit);
        await storage.WriteAsync(0, header);
        await using var again = await OpenAsync(storage);
        Assert.Equal(size == 0 ? 0 : 1, ((IQcow2Device)again).Warnings.Count);
        Assert.Equal((ZoneCondition.Empty, Zone, false), await StateAsync(again, 1));
        Assert.Equal("0 0", await UnitsAsync(again, Zone, 2));
        await again.Zones!.AppendAsync(Zone, Filled(2));
        Assert.Equal("2 0", await UnitsAsync(again, Zone, 2));
        await again.FlushAsync();
        await CheckCleanAsync(storage);
    }

    [Theory]
    [InlineData(9, 3)] // no such state
    [InlineData(9, 0xFF)]
    [InlineData(0, 1)] // checksum
    [InlineData(7, 1)] // zone
    public async Task Broken_slot_of_an_area_is_ignored_with_a_warning_and_repaired(int at, byte flip)
    {
        var storage = await MakeAsync(512);
        await using (var disk = await OpenAsync(storage))
        {
            await AllocateAsync(disk, 0);
            await disk.WriteAsync(0, Filled(1, 5 * Unit));
        }

        var bytes = new byte[storage.Length];
        await storage.ReadAsync(0, bytes);
        bytes[bytes.AsSpan().IndexOf("PDKZEXTN"u8) + ZoneExtensionSlot.SizeFor(64) + at] ^= flip;
        await storage.WriteAsync(0, bytes);
        await using (var disk = await OpenAsync(storage.Clone()))
        {
            Assert.Single(((IQcow2Device)disk).Warnings);
            Assert.Equal((ZoneCondition.Closed, Unit, false), await StateAsync(disk, 0));
            Assert.Equal("1 0 0", await UnitsAsync(disk, 0, 3));
            await disk.WriteAsync(Unit, Filled(2));
        }

        Assert.True((await Qcow2Image.CheckAsync(storage, Qcow2Repair.None)).Corruptions > 0);
        Assert.Equal(0, (await Qcow2Image.CheckAsync(storage, Qcow2Repair.All)).Corruptions);
        await CheckCleanAsync(storage);
        await using var again = await OpenAsync(storage);
        Assert.Equal((0, (ZoneCondition.Closed, Unit, false)), (((IQcow2Device)again).Warnings.Count, await StateAsync(again, 0)));
    }

    [Fact]
    public async Task Zone_that_is_getting_an_area_reads_as_zeroes()
    {
        var below = MemoryDisk.Of(Count * Zone);
        await below.WriteAsync(0, Filled(9, (int)Zone));
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, Options(65536) with { BackingFile = "below", BackingFormat = "raw" });
        var paused = new PausedStorage(storage);
        await using var disk = await Qcow2Image.OpenAsync(paused, new Qcow2OpenOptions { Gate = new OneDevice(below) });
        paused.Pauses = true;
        var allocation = AllocateAsync(disk, 0);
        await paused.Reached.Task.WaitAsync(TestContext.Current.CancellationToken);
        string meanwhile = await UnitsAsync(disk, 0, 4);
        var status = await disk.GetStatusAsync(0, Unit);
        paused.Resumes.SetResult();
        await allocation;
        Assert.Equal("0 0 0 0", meanwhile);
        Assert.True((status.Flags & BlockStatusFlags.Zero) != 0);
        Assert.Equal("0 0 0 0", await UnitsAsync(disk, 0, 4));
    }

    [Fact]
    public async Task Failed_allocation_leaves_the_zone_empty()
    {
        int seed = TestSeed.Next();
        for (int fail = 1; fail < 12; fail++)
        {
            var disk = new CrashStorage(await MakeAsync(512)) { FlushFailureLoses = false, FaultsMayTakeEffect = seed % 2 == 0 };
            await using var device = await OpenAsync(disk);
            disk.FailChange = disk.Changes + fail;
            try
            {
                await AllocateAsync(device, 3);
                Assert.True((await ZoneAsync(device, 3)).HasRandomArea, $"change {fail}");
                disk.FailChange = 0;
                continue;
            }
            catch (BlockException)
            {
                // as meant
            }

            Assert.Equal((ZoneCondition.Empty, 3 * Zone, false), await StateAsync(device, 3));
            await device.Zones!.AppendAsync(3 * Zone, Filled(1, 3 * Unit), WriteFlags.Fua);
            await using var after = await OpenAsync(disk.Live.Clone());
            Assert.Equal((ZoneCondition.Closed, (3 * Zone) + (3 * Unit), false), await StateAsync(after, 3));
        }
    }

    [Theory]
    [InlineData("area_granularity is 100", Area, 100, 0u)]
    [InlineData("area_granularity is 0", Area, 0, 0u)]
    [InlineData("area_size is 0", 0, Unit, 0u)]
    [InlineData("area_size is 6144", 6144, Unit, 0u)]
    [InlineData("area_size is 16781312", (16 << 20) + Unit, Unit, 0u)]
    [InlineData("more than zone_capacity", (int)Zone + Unit, Unit, 0u)]
    [InlineData("zone_capacity is 65536; it must be a multiple of area_granularity, 12288", 12288, 12288, 0u)]
    [InlineData("area_zones is 5, more than max_active_zones, 4", Area, Unit, 5u)]
    public void Impossible_areas_of_a_new_image_are_rejected(string message, int size, int unit, uint zones)
    {
        var options = Options(65536) with
        {
            Zoned = new ZonedCreateOptions { ZoneSize = Zone, MaxActiveZones = 4, RandomArea = new(size, unit, zones) },
        };
        var refused = Assert.Throws<BlockException>(() => Qcow2Image.CheckCreateOptions(options));
        Assert.Contains(message, refused.Message, StringComparison.Ordinal);
    }

    private static Qcow2CreateOptions Options(int cluster, uint limit = 0, long size = Count * Zone) => new()
    {
        Size = size, ClusterSize = cluster, Zoned = new ZonedCreateOptions { ZoneSize = Zone, RandomArea = new(Area, Unit, limit) },
    };

    private static async Task<PagedStorage> MakeAsync(int cluster = 65536, uint limit = 0, long size = Count * Zone)
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, Options(cluster, limit, size));
        return storage;
    }

    private static ValueTask AllocateAsync(IBlockDevice disk, int zone)
        => disk.Zones!.ManageAsync(ZoneAction.OpenWithRandomArea, zone * Zone, Zone);

    private static byte[] Filled(byte value, int length = Unit) => Extension(value, length);

    private static async Task<ZoneDescriptor> ZoneAsync(IBlockDevice disk, int zone)
    {
        var zones = new ZoneDescriptor[1];
        await disk.Zones!.ReportAsync(zone * Zone, zones);
        return zones[0];
    }

    private static async Task<(ZoneCondition Condition, long Pointer, bool HasArea)> StateAsync(IBlockDevice disk, int zone)
    {
        var found = await ZoneAsync(disk, zone);
        return (found.Condition, found.WritePointer, found.HasRandomArea);
    }

    // the value of each unit, which has one
    private static async Task<string> UnitsAsync(IBlockDevice disk, long offset, int count)
    {
        var bytes = new byte[count * Unit];
        await disk.ReadAsync(offset, bytes);
        return string.Join(' ', Enumerable.Range(0, count).Select(i =>
        {
            var unit = bytes.AsSpan(i * Unit, Unit);
            Assert.False(unit.ContainsAnyExcept(unit[0]));
            return unit[0];
        }));
    }

    private sealed class OneDevice(IBlockDevice device) : IImageGate
    {
        public ValueTask<IBlockDevice?> OpenBackingAsync(string name, string? format, IStorage overlay, CancellationToken cancellationToken)
            => new(device);
    }

    /// <summary>Holds the first change of the storage until it is told to go on.</summary>
    private sealed class PausedStorage(IStorage storage) : DelegatingStorage(storage)
    {
        public bool Pauses { get; set; }

        public TaskCompletionSource Reached { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource Resumes { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        {
            await PauseAsync();
            await Inner.WriteAsync(offset, data, cancellationToken);
        }

        public override async ValueTask<bool> ReserveAsync(
            long offset, long length, bool grows, CancellationToken cancellationToken = default)
        {
            await PauseAsync();
            return await Inner.ReserveAsync(offset, length, grows, cancellationToken);
        }

        private async ValueTask PauseAsync()
        {
            if (Pauses)
            {
                Pauses = false;
                Reached.SetResult();
                await Resumes.Task;
            }
        }
    }
}
