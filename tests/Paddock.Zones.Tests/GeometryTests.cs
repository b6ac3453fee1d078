using Paddock.Block;

namespace Paddock.Zones.Tests;

/// <summary>Layout of zones on disks of sizes that the code of the proposal could not handle.</summary>
public class GeometryTests
{
    private const long GiB = 1L << 30;

    [Theory]
    [InlineData(512, 512)]
    [InlineData(1536, 1024)] // not a power of two
    [InlineData(Disk.Zone, Disk.Zone)]
    [InlineData(3 * Disk.Zone, Disk.Zone)]
    [InlineData(2 * GiB, 2 * GiB)]
    [InlineData((4 * GiB) - 512, 3 * GiB)]
    [InlineData(2048 * GiB, 2047 * GiB)]
    public void Offsets_lengths_and_capacities_are_correct_beyond_4_GiB(long size, long capacity)
    {
        const int Count = 4099;
        long lastLength = size > 512 ? size / 1024 * 512 : 512;
        var zones = Disk.Of(Count, size: size, capacity: capacity, length: ((Count - 1) * size) + lastLength);
        foreach (int zone in new[] { 0, 1, 2, 3, 2048, Count - 2, Count - 1 })
        {
            bool last = zone == Count - 1;
            Assert.Equal(zone * size, zones.StartOf(zone));
            Assert.Equal(last ? lastLength : size, zones.LengthOf(zone));
            Assert.Equal(last ? Math.Min(capacity, lastLength) : capacity, zones.CapacityOf(zone));
            Assert.Equal(zone, zones.ZoneOf(zone * size));
            Assert.Equal(zone, zones.ZoneOf((zone * size) + zones.LengthOf(zone) - 1));
            Assert.True(zones.Geometry.IsZoneStart(zone * size));
            Assert.False(zones.Geometry.IsZoneStart((zone * size) + 1));
            Assert.True(zones.Append(zone * size).IsOk);
            bool filled = zones.CapacityOf(zone) == 512;
            Assert.Equal(filled ? (zone * size) + zones.LengthOf(zone) : (zone * size) + 512, zones.PointerOf(zone));
            Assert.True(zones.Manage(ZoneAction.Reset, zone * size, zones.LengthOf(zone)).IsOk);
            Assert.Equal(zone * size, zones.PointerOf(zone));
        }

        Assert.All(zones.Conditions(), c => Assert.Equal(ZoneCondition.Empty, c));
    }

    [Fact]
    public void Smaller_last_zone_is_as_long_as_the_rest_of_the_disk_and_accepts_no_more()
    {
        var zones = Disk.Of(2, capacity: Disk.Zone - 8192, length: Disk.Zone + 4096, conventional: 0);
        Assert.Equal((4096, 4096), (zones.LengthOf(1), zones.CapacityOf(1)));
        var longer = Disk.Of(2, capacity: Disk.Zone - 8192, length: (2 * Disk.Zone) - 4096);
        Assert.Equal((Disk.Zone - 4096, Disk.Zone - 8192), (longer.LengthOf(1), longer.CapacityOf(1)));
    }

    [Fact]
    public void Capacity_of_a_conventional_zone_is_its_length()
    {
        var zones = Disk.Of(3, capacity: Disk.Zone / 2, conventional: 3, length: (2 * Disk.Zone) + 512);
        Assert.Equal([Disk.Zone, Disk.Zone, 512L], Enumerable.Range(0, 3).Select(zones.CapacityOf));
    }

    [Fact]
    public void Inconsistent_geometry_throws()
    {
        Assert.Throws<ArgumentException>(() => Disk.Of(2, size: 1000));
        Assert.Throws<ArgumentException>(() => Disk.Of(2, capacity: Disk.Zone + 512));
        Assert.Throws<ArgumentException>(() => Disk.Of(2, capacity: 0));
        Assert.Throws<ArgumentException>(() => Disk.Of(2, conventional: 3));
        Assert.Throws<ArgumentException>(() => Disk.Of(2, length: 3 * Disk.Zone));
        Assert.Throws<ArgumentException>(() => Disk.Of(ZoneGeometry.MaxZones + 1, size: 512));
    }

    [Fact]
    public void Report_starts_at_the_zone_of_the_offset_and_ends_with_the_disk()
    {
        var zones = Disk.Of(4, conventional: 1, length: (3 * Disk.Zone) + 4096);
        zones.Append(3 * Disk.Zone);
        var found = new ZoneDescriptor[10];
        Assert.Equal(4, zones.Report(0, found));
        Assert.Equal(new ZoneDescriptor(0, Disk.Zone, Disk.Zone, 0, ZoneCondition.NotWritePointer, ZoneType.Conventional), found[0]);
        Assert.Equal(2, zones.Report((2 * Disk.Zone) + 7, found));
        var last = new ZoneDescriptor(
            3 * Disk.Zone, 4096, 4096, (3 * Disk.Zone) + 512, ZoneCondition.ImplicitlyOpen, ZoneType.SequentialWriteRequired);
        Assert.Equal(last, found[1]);
        Assert.Equal(1, zones.Report(0, found.AsSpan(0, 1)));
        Assert.Equal(0, zones.Report((3 * Disk.Zone) + 4096, found));
        Assert.Equal(0, zones.Report(-1, found));
    }

    [Fact]
    public void Empty_disk_has_no_zones_and_rejects_every_request()
    {
        var zones = Disk.Of(0);
        Assert.Equal(ZoneError.OutOfRange, zones.Write(0).Error);
        Assert.Equal(ZoneError.OutOfRange, zones.Append(0).Error);
        Assert.Equal(ZoneError.OutOfRange, zones.Manage(ZoneAction.Reset, 0, 0).Error);
        Assert.Equal(0, zones.Report(0, new ZoneDescriptor[1]));
    }
}
