using Paddock.Block;

namespace Paddock.Zones.Tests;

/// <summary>Random write areas: who gets one, where writes go, what a commit moves, and every way in which an area ends.</summary>
public class RandomAreaTests
{
    private const long Unit = 4096, Area = 4 * Unit, Size = 16 * Unit;

    [Theory]
    [InlineData(ZoneCondition.Empty, ZoneError.None)]
    [InlineData(ZoneCondition.ImplicitlyOpen, ZoneError.InvalidZoneOperation)]
    [InlineData(ZoneCondition.ExplicitlyOpen, ZoneError.InvalidZoneOperation)]
    [InlineData(ZoneCondition.Closed, ZoneError.InvalidZoneOperation)]
    [InlineData(ZoneCondition.Full, ZoneError.Full)]
    [InlineData(ZoneCondition.ReadOnly, ZoneError.ReadOnly)]
    [InlineData(ZoneCondition.Offline, ZoneError.Offline)]
    public void Only_an_empty_zone_gets_an_area(ZoneCondition from, ZoneError expected)
    {
        var zones = Zones();
        zones.Put(1, from);
        Assert.Equal(expected, Allocate(zones, 1).Error);
        Assert.Equal(expected == ZoneError.None, zones.HasRandomArea(1));
        Assert.Equal(expected == ZoneError.None ? ZoneCondition.ExplicitlyOpen : from, zones.ConditionOf(1));
        Assert.Equal(expected == ZoneError.None ? 1 : 0, zones.RandomAreaCount);
    }

    [Fact]
    public void Conventional_zone_gets_no_area()
        => Assert.Equal(ZoneError.Conventional, Allocate(Disk.Of(4, size: Size, conventional: 1, area: new(Area, Unit, 0)), 0).Error);

    [Fact]
    public void Disk_without_areas_rejects_them()
    {
        var zones = Disk.Of(4, size: Size);
        Assert.Equal(ZoneError.InvalidZoneOperation, Allocate(zones, 0).Error);
        Assert.Equal(ZoneError.InvalidZoneOperation, zones.Commit(Unit).Error);
        Assert.Equal(ZoneError.InvalidZoneOperation, zones.Extend(0, randomArea: true).Error);
    }

    [Theory]
    [InlineData(1u, 1)]
    [InlineData(3u, 3)]
    [InlineData(0u, 8)]
    public void Areas_are_limited(uint limit, int expected)
    {
        var zones = Zones(limit);
        Assert.Equal(expected, Enumerable.Range(0, 8).Count(zone => Allocate(zones, zone).IsOk));
        Assert.Equal(expected, zones.RandomAreaCount);
        if (expected == 8)
        {
            return;
        }

        Assert.Equal(ZoneError.TooManyRandomAreas, Allocate(zones, 7).Error);
        Assert.Equal(ZoneCondition.Empty, zones.ConditionOf(7));
        Assert.Equal(ZoneError.TooManyRandomAreas, zones.Extend(7, randomArea: true).Error);
        Assert.True(zones.Manage(ZoneAction.Reset, 0, Size).IsOk);
        Assert.True(Allocate(zones, 7).IsOk);
    }

    [Fact]
    public void Range_gets_its_areas_whole_or_none()
    {
        var zones = Zones(limit: 2);
        Assert.Equal((ZoneError.TooManyRandomAreas, 2), Refused(zones.Manage(ZoneAction.OpenWithRandomArea, 0, 3 * Size)));
        Assert.Equal(0, zones.RandomAreaCount + zones.OpenCount);
        Assert.True(zones.Manage(ZoneAction.OpenWithRandomArea, 0, 2 * Size).IsOk);
        Assert.Equal(2, zones.RandomAreaCount);
    }

    [Fact]
    public void Open_and_active_resources_come_before_areas()
    {
        var zones = Disk.Of(8, open: 1, active: 2, size: Size, area: new(Area, Unit, 1));
        Assert.True(Allocate(zones, 0).IsOk);
        Assert.Equal(ZoneError.TooManyOpen, Allocate(zones, 1).Error);
        Assert.True(zones.Manage(ZoneAction.Close, 0, Size).IsOk);
        Assert.True(zones.Manage(ZoneAction.Open, Size, Size).IsOk);
        Assert.Equal(ZoneError.TooManyActive, Allocate(zones, 2).Error);
    }

    [Fact]
    public void Zone_keeps_its_area_and_its_active_resource_when_closed()
    {
        var zones = Zones(limit: 1);
        Assert.True(Allocate(zones, 0).IsOk);
        Assert.True(zones.Manage(ZoneAction.Close, 0, Size).IsOk);
        Assert.Equal((ZoneCondition.Closed, true, 1), (zones.ConditionOf(0), zones.HasRandomArea(0), zones.ActiveCount));
        Assert.True(zones.Manage(ZoneAction.Open, 0, Size).IsOk);
        Assert.True(Allocate(zones, 0).IsOk);
        Assert.Equal((ZoneCondition.ExplicitlyOpen, 1), (zones.ConditionOf(0), zones.RandomAreaCount));
        Assert.True(zones.Describe(0).HasRandomArea);
    }

    [Theory]
    [InlineData(ZoneAction.Finish)]
    [InlineData(ZoneAction.Reset)]
    public void Finish_and_reset_end_an_area(ZoneAction action)
    {
        var zones = Zones();
        Allocate(zones, 0);
        Assert.True(zones.Manage(action, 0, Size).IsOk);
        Assert.Equal((false, 0, 0), (zones.HasRandomArea(0), zones.RandomAreaCount, zones.ActiveCount));
    }

    [Theory]
    [InlineData(ZoneCondition.ReadOnly)]
    [InlineData(ZoneCondition.Offline)]
    public void Retired_zone_has_no_area(ZoneCondition condition)
    {
        var zones = Zones();
        Allocate(zones, 0);
        zones.SetFixed(0, condition);
        Assert.Equal((false, 0), (zones.HasRandomArea(0), zones.RandomAreaCount));
        zones.SetLoaded(0, 0);
        Assert.Equal(ZoneCondition.Empty, zones.ConditionOf(0));
    }

    // offset and length of a write in units, from a pointer at 2, and the pointer after it in units; negative: refused
    [Theory]
    [InlineData(2, 1, 2)] // at the pointer
    [InlineData(5, 1, 2)] // the last unit of the area
    [InlineData(2, 4, 2)] // the whole area
    [InlineData(3, 2, 2)] // inside
    [InlineData(6, 1, 3)] // the first unit above the area
    [InlineData(9, 1, 6)] // the last unit of the implicit commit region
    [InlineData(2, 8, 6)] // all of both
    [InlineData(5, 2, 3)] // across the end of the area
    [InlineData(1, 1, -1)] // below the pointer
    [InlineData(1, 2, -1)] // from below the pointer
    [InlineData(10, 1, -1)] // above the region
    [InlineData(9, 2, -1)] // out of the region
    public void Write_in_the_area_moves_the_pointer_only_as_far_as_it_must(long at, long length, long after)
    {
        var zones = Zones();
        Allocate(zones, 1);
        Assert.True(zones.Commit(Size + (2 * Unit)).IsOk);
        var result = zones.Write(Size + (at * Unit), length * Unit);
        Assert.Equal(after < 0 ? ZoneError.NotAtWritePointer : ZoneError.None, result.Error);
        Assert.Equal(Size + (Math.Abs(after < 0 ? 2 : after) * Unit), zones.PointerOf(1));
    }

    [Theory]
    [InlineData(512, 1)]
    [InlineData(4096, 1)]
    [InlineData(4608, 2)]
    [InlineData(8192, 2)]
    public void Implicit_commit_is_rounded_up_to_the_unit(long above, long units)
    {
        var zones = Zones();
        Allocate(zones, 0);
        Assert.True(zones.Write(Area + above - 512).IsOk);
        Assert.Equal(units * Unit, zones.PointerOf(0));
        Assert.Equal((units * Unit) + Area, zones.DataEndOf(0));
    }

    [Fact]
    public void Failed_write_commits_nothing()
    {
        var zones = Zones();
        Allocate(zones, 0);
        Assert.True(zones.BeginWrite(Area, Area).IsOk);
        zones.EndWrite(0, Area, Area, success: false);
        Assert.Equal((0, ZoneCondition.ExplicitlyOpen, true), (zones.PointerOf(0), zones.ConditionOf(0), zones.HasRandomArea(0)));
    }

    // end of the commit from the zone's start in units, from a pointer at 2
    [Theory]
    [InlineData(3, ZoneError.None)]
    [InlineData(6, ZoneError.None)]
    [InlineData(2, ZoneError.InvalidZoneOperation)]
    [InlineData(1, ZoneError.InvalidZoneOperation)]
    [InlineData(7, ZoneError.InvalidZoneOperation)]
    [InlineData(16, ZoneError.InvalidZoneOperation)]
    public void Commit_ends_in_the_area(long end, ZoneError expected)
    {
        var zones = Zones();
        Allocate(zones, 1);
        Assert.True(zones.Commit(Size + (2 * Unit)).IsOk);
        Assert.Equal(expected, zones.Commit(Size + (end * Unit)).Error);
        Assert.Equal(Size + ((expected == ZoneError.None ? end : 2) * Unit), zones.PointerOf(1));
        Assert.Equal(ZoneError.InvalidZoneOperation, zones.Commit(zones.PointerOf(1) + 512).Error);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData((8 * Size) + 1)]
    [InlineData(long.MaxValue)]
    [InlineData(long.MinValue)]
    public void Commit_outside_the_disk_is_rejected(long end) => Assert.Equal(ZoneError.OutOfRange, Zones().Commit(end).Error);

    [Theory]
    [InlineData(ZoneCondition.Empty, ZoneError.InvalidZoneOperation)]
    [InlineData(ZoneCondition.ImplicitlyOpen, ZoneError.InvalidZoneOperation)]
    [InlineData(ZoneCondition.ExplicitlyOpen, ZoneError.InvalidZoneOperation)]
    [InlineData(ZoneCondition.Closed, ZoneError.InvalidZoneOperation)]
    [InlineData(ZoneCondition.Full, ZoneError.InvalidZoneOperation)]
    [InlineData(ZoneCondition.ReadOnly, ZoneError.ReadOnly)]
    [InlineData(ZoneCondition.Offline, ZoneError.Offline)]
    public void Commit_of_a_zone_without_area_is_rejected(ZoneCondition from, ZoneError expected)
    {
        var zones = Zones();
        zones.Put(1, from);
        Assert.Equal(expected, zones.Commit(Size + Unit).Error);
    }

    [Fact]
    public void Commit_opens_a_closed_zone_and_needs_an_open_resource()
    {
        var zones = Disk.Of(8, open: 1, size: Size, area: new(Area, Unit, 0));
        Allocate(zones, 0);
        zones.Manage(ZoneAction.Close, 0, Size);
        Assert.True(zones.Write(Size).IsOk);
        var result = zones.Commit(Unit);
        Assert.Equal((ZoneError.None, 1), (result.Error, result.Evicted));
        Assert.Equal(ZoneCondition.ImplicitlyOpen, zones.ConditionOf(0));
        zones.Manage(ZoneAction.Close, 0, Size);
        Assert.True(zones.Manage(ZoneAction.Open, Size, Size).IsOk);
        Assert.Equal(ZoneError.TooManyOpen, zones.Commit(2 * Unit).Error);
        Assert.Equal(Unit, zones.PointerOf(0));
    }

    [Fact]
    public void Area_ends_at_the_capacity_and_a_commit_up_to_it_makes_the_zone_full()
    {
        // neither the area nor the unit divides the capacity
        long capacity = (3 * Area) + Unit + 512;
        var zones = Disk.Of(2, size: Size, capacity: capacity, area: new(Area, Unit, 1));
        Allocate(zones, 0);
        Assert.True(zones.Write(2 * Area - Unit, Unit).IsOk);
        Assert.True(zones.Write((3 * Area) - Unit, Unit).IsOk);
        Assert.Equal((2 * Area, 3 * Area), (zones.PointerOf(0), zones.DataEndOf(0)));
        Assert.Equal(ZoneError.BoundaryCrossed, zones.Write(capacity - Unit, 2 * Unit).Error);
        Assert.True(zones.Write(capacity - 512).IsOk);
        Assert.Equal((2 * Area) + (2 * Unit), zones.PointerOf(0));
        Assert.Equal(capacity, zones.DataEndOf(0));
        Assert.True(zones.Commit(capacity).IsOk);
        Assert.Equal((ZoneCondition.Full, false, 0), (zones.ConditionOf(0), zones.HasRandomArea(0), zones.RandomAreaCount));
    }

    [Fact]
    public void Area_of_a_smaller_last_zone_ends_with_the_disk()
    {
        var zones = Disk.Of(2, size: Size, length: Size + Unit, area: new(Area, Unit, 1));
        Assert.True(Allocate(zones, 1, Unit).IsOk);
        Assert.Equal(Size + Unit, zones.DataEndOf(1));
        Assert.Equal(ZoneError.OutOfRange, zones.Write(Size + Unit, Unit).Error);
        Assert.True(zones.Write(Size + 512).IsOk);
        Assert.Equal(Size, zones.PointerOf(1));
        Assert.True(zones.Commit(Size + Unit).IsOk);
        Assert.Equal(ZoneCondition.Full, zones.ConditionOf(1));
    }

    [Fact]
    public void Append_to_a_zone_with_an_area_is_rejected()
    {
        var zones = Zones();
        Allocate(zones, 0);
        Assert.Equal(ZoneError.InvalidZoneOperation, zones.Append(0).Error);
        Assert.True(zones.Append(Size).IsOk);
    }

    [Fact]
    public void Zone_with_an_area_cannot_be_cut_and_grows_with_its_area()
    {
        var zones = Disk.Of(2, size: Size, length: Size + (2 * Unit), area: new(Area, Unit, 1));
        Allocate(zones, 1, 2 * Unit);
        Assert.Equal(ZoneError.InvalidTransition, zones.Resize(Size + Unit).Error);
        Assert.True(zones.Resize(2 * Size).IsOk);
        Assert.Equal((true, Size + Area), (zones.HasRandomArea(1), zones.DataEndOf(1)));
    }

    [Fact]
    public void Loaded_area_holds_above_the_limit_and_not_in_a_full_zone()
    {
        var zones = Zones(limit: 1);
        zones.SetLoaded(0, 0, randomArea: true);
        zones.SetLoaded(1, Size + Unit, randomArea: true);
        zones.SetLoaded(2, 3 * Size, randomArea: true);
        Assert.Equal((true, true, false), (zones.HasRandomArea(0), zones.HasRandomArea(1), zones.HasRandomArea(2)));
        Assert.Equal(2, zones.RandomAreaCount);
        Assert.Equal((ZoneCondition.Closed, ZoneCondition.Closed), (zones.ConditionOf(0), zones.ConditionOf(1)));
        Assert.Equal(ZoneError.TooManyRandomAreas, Allocate(zones, 3).Error);
    }

    [Fact]
    public void Extension_and_area_come_together()
    {
        var zones = Zones();
        Assert.True(zones.Extend(0, randomArea: true).IsOk);
        Assert.Equal((ZoneCondition.Closed, true, true), (zones.ConditionOf(0), zones.IsExtended(0), zones.HasRandomArea(0)));
        Assert.True(zones.Write(Unit, Unit).IsOk);
        Assert.Equal(0, zones.PointerOf(0));
    }

    [Fact]
    public void Messages_name_the_area()
    {
        var zones = Zones(limit: 1);
        Allocate(zones, 0);
        Assert.Contains("up to 32768, twice its random write area", Message(zones.Write(2 * Area, Unit)), StringComparison.Ordinal);
        Assert.Contains("all 1 are in use", Message(Allocate(zones, 1)), StringComparison.Ordinal);
        Assert.Contains("from 0 to 16384", Message(zones.Append(0)), StringComparison.Ordinal);
        Assert.Contains("zone 1 is empty and has no random write area", Message(zones.Commit(Size + Unit)), StringComparison.Ordinal);

        string Message(ZoneResult result) => ZoneMessages.Exception(result, zones, "write", 2 * Area, Unit).Message;
    }

    private static ZoneSet Zones(uint limit = 0) => Disk.Of(8, size: Size, area: new(Area, Unit, limit));

    private static ZoneResult Allocate(ZoneSet zones, int zone, long length = Size)
        => zones.Manage(ZoneAction.OpenWithRandomArea, zone * Size, length);

    private static (ZoneError Error, int Zone) Refused(ZoneResult result) => (result.Error, result.Zone);
}
