using Paddock.Block;

namespace Paddock.Zones.Tests;

/// <summary>Conditions loaded from stored pointers, and constant cost with a million zones.</summary>
public class LoadTests
{
    private const long Capacity = Disk.Zone / 2;

    [Theory]
    [InlineData(0, ZoneCondition.Empty)]
    [InlineData(512, ZoneCondition.Closed)]
    [InlineData(Capacity - 512, ZoneCondition.Closed)]
    [InlineData(Capacity, ZoneCondition.Full)]
    [InlineData(Capacity + 512, ZoneCondition.Full)]
    [InlineData(Disk.Zone, ZoneCondition.Full)]
    [InlineData(Disk.Zone + 512, ZoneCondition.Offline)]
    [InlineData(-512, ZoneCondition.Offline)]
    [InlineData(100, ZoneCondition.Offline)]
    [InlineData(long.MaxValue - Disk.Zone, ZoneCondition.Offline)]
    [InlineData(long.MinValue, ZoneCondition.Offline)]
    public void Condition_follows_from_the_stored_pointer(long inside, ZoneCondition condition)
    {
        var zones = Disk.Of(3, capacity: Capacity);
        zones.Load([0, Disk.Zone + inside, 2 * Disk.Zone]);
        Assert.Equal([ZoneCondition.Empty, condition, ZoneCondition.Empty], zones.Conditions());
        long pointer = condition switch
        {
            ZoneCondition.Closed => Disk.Zone + inside,
            ZoneCondition.Full => 2 * Disk.Zone,
            _ => Disk.Zone,
        };
        Assert.Equal(pointer, zones.PointerOf(1));
        Assert.Equal(condition == ZoneCondition.Closed ? 1 : 0, zones.ActiveCount);
    }

    [Fact]
    public void Full_smaller_last_zone_is_stored_past_the_end_of_the_disk_and_loads_as_full()
    {
        var zones = Disk.Of(2, length: Disk.Zone + 4096);
        zones.Put(1, ZoneCondition.Full);
        Assert.Equal(Disk.Zone + 4096, zones.PointerOf(1));
        var again = Disk.Of(2, length: Disk.Zone + 4096);
        again.Load([0, zones.StoredPointerOf(1)]);
        Assert.Equal(zones.Everything(), again.Everything());
    }

    [Fact]
    public void Read_only_and_offline_conditions_do_not_depend_on_the_pointers()
    {
        var zones = Disk.Of(3, conventional: 1);
        zones.Load([0, Disk.Zone + 512, 2 * Disk.Zone], [ZoneCondition.Offline, ZoneCondition.ReadOnly, default]);
        Assert.Equal([ZoneCondition.Offline, ZoneCondition.ReadOnly, ZoneCondition.Empty], zones.Conditions());
        Assert.Equal(0, zones.ActiveCount);
        Assert.Equal(Disk.Zone + 512, zones.DataEndOf(1));
        zones.SetLoaded(0, 0);
        zones.SetLoaded(1, Disk.Zone + 512);
        Assert.Equal([ZoneCondition.NotWritePointer, ZoneCondition.Closed, ZoneCondition.Empty], zones.Conditions());
    }

    [Fact]
    public void Load_clears_open_and_busy_zones()
    {
        var zones = Disk.Of(2, open: 1, active: 1);
        zones.BeginWrite(0, 512);
        zones.Load([0, Disk.Zone + 512]);
        Assert.False(zones.IsBusy(0));
        Assert.Equal((0, 1), (zones.OpenCount, zones.ActiveCount));
    }

    [Fact]
    public void Data_ends_at_the_write_pointer_or_at_the_capacity_of_a_full_zone()
    {
        var zones = Disk.Of(4, capacity: Capacity, conventional: 1);
        zones.Append(Disk.Zone);
        zones.Put(2, ZoneCondition.Full);
        Assert.Equal(
            [Disk.Zone, Disk.Zone + 512, (2 * Disk.Zone) + Capacity, 3 * Disk.Zone], Enumerable.Range(0, 4).Select(zones.DataEndOf));
    }

    [Fact]
    public void Million_zones_accept_writes_in_any_order_within_the_limits()
    {
        // a write that inspected every zone would never finish here; bench/run measures the cost of one
        var large = Disk.Of(ZoneGeometry.MaxZones, open: 64, active: 0);
        large.Load([.. Enumerable.Range(0, large.Count).Select(zone => zone * Disk.Zone)]);
        for (int i = 0; i < 200_000; i++)
        {
            Assert.True(large.Append((long)(i * 2_654_435_761L % ZoneGeometry.MaxZones) * Disk.Zone).IsOk);
        }

        Assert.Equal(64, large.OpenCount);
    }

    [Fact]
    public void Write_allocates_nothing()
    {
        var zones = Disk.Of(1024, open: 4);
        Allocations.AssertNone(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                zones.Append(i * Disk.Zone);
                zones.Manage(ZoneAction.Reset, i * Disk.Zone, Disk.Zone);
            }
        });
    }
}
