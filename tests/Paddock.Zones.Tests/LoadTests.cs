using Paddock.Block;

namespace Paddock.Zones.Tests;

/// <summary>Conditions from stored pointers, and a million zones at the cost of eight.</summary>
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
    public void A_condition_follows_from_the_stored_pointer(long inside, ZoneCondition condition)
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
    public void A_full_last_smaller_zone_is_stored_past_the_end_of_the_disk_and_found_full_again()
    {
        var zones = Disk.Of(2, length: Disk.Zone + 4096);
        zones.Put(1, ZoneCondition.Full);
        Assert.Equal(Disk.Zone + 4096, zones.PointerOf(1));
        var again = Disk.Of(2, length: Disk.Zone + 4096);
        again.Load([0, zones.StoredPointerOf(1)]);
        Assert.Equal(zones.Everything(), again.Everything());
    }

    [Fact]
    public void Read_only_and_offline_conditions_hold_whatever_the_pointers_say()
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
    public void A_load_forgets_what_was_open_or_busy()
    {
        var zones = Disk.Of(2, open: 1, active: 1);
        zones.BeginWrite(0, 512);
        zones.Load([0, Disk.Zone + 512]);
        Assert.False(zones.IsBusy(0));
        Assert.Equal((0, 1), (zones.OpenCount, zones.ActiveCount));
    }

    [Fact]
    public void Data_ends_at_the_pointer_or_where_a_full_zone_has_no_more_room()
    {
        var zones = Disk.Of(4, capacity: Capacity, conventional: 1);
        zones.Append(Disk.Zone);
        zones.Put(2, ZoneCondition.Full);
        Assert.Equal(
            [Disk.Zone, Disk.Zone + 512, (2 * Disk.Zone) + Capacity, 3 * Disk.Zone], Enumerable.Range(0, 4).Select(zones.DataEndOf));
    }

    [Fact]
    public void A_million_zones_take_writes_in_any_order_within_the_limits()
    {
        // were a write to look at every zone, this would not end; bench/run tells what one costs
        var large = Disk.Of(ZoneGeometry.MaxZones, open: 64, active: 0);
        large.Load([.. Enumerable.Range(0, large.Count).Select(zone => zone * Disk.Zone)]);
        for (int i = 0; i < 200_000; i++)
        {
            Assert.True(large.Append((long)(i * 2_654_435_761L % ZoneGeometry.MaxZones) * Disk.Zone).IsOk);
        }

        Assert.Equal(64, large.OpenCount);
    }

    [Fact]
    public void A_write_allocates_nothing()
    {
        var zones = Disk.Of(1024, open: 4);
        zones.Append(0);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            zones.Append(i * Disk.Zone);
            zones.Manage(ZoneAction.Reset, i * Disk.Zone, Disk.Zone);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }
}
