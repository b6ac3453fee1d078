using Paddock.Block;

namespace Paddock.Zones.Tests;

/// <summary>Unit tests of the parts of a zone set: resources, states, writes, ranges, loading, resizing, reports.</summary>
public class ZonePartsTests
{
    private const long Zone = Disk.Zone;

    [Fact]
    public void Freeing_a_zone_frees_the_resources_of_its_condition()
    {
        var resources = new ZoneResources(maxOpen: 0, maxActive: 0, 0, zones: 8);
        ZoneCondition[] conditions = [ZoneCondition.ImplicitlyOpen, ZoneCondition.ExplicitlyOpen, ZoneCondition.Closed, ZoneCondition.Full];
        foreach (var (zone, condition) in conditions.Index())
        {
            resources.Take(zone, condition);
        }

        Assert.Equal((1, 1, 1), (resources.ImplicitlyOpen, resources.ExplicitlyOpen, resources.Closed));
        Assert.Equal((2, 3), (resources.Open, resources.Active));
        foreach (var (zone, condition) in conditions.Index())
        {
            resources.Free(zone, condition);
        }

        Assert.Equal((0, 0), (resources.Open, resources.Active));
    }

    [Fact]
    public void Least_recently_written_zone_is_evicted_and_only_at_the_limit()
    {
        var resources = new ZoneResources(maxOpen: 3, maxActive: 0, 0, zones: 8);
        resources.Take(5, ZoneCondition.ImplicitlyOpen);
        resources.Take(2, ZoneCondition.ImplicitlyOpen);
        Assert.Equal(-1, resources.Evictable);
        resources.Take(7, ZoneCondition.ExplicitlyOpen);
        Assert.Equal(5, resources.Evictable);
        resources.Touch(5);
        Assert.Equal(2, resources.Evictable);
    }

    [Fact]
    public void Explicitly_open_zones_are_never_evicted()
    {
        var resources = new ZoneResources(maxOpen: 1, maxActive: 0, 0, zones: 8);
        resources.Take(0, ZoneCondition.ExplicitlyOpen);
        Assert.Equal(-1, resources.Evictable);
        Assert.Equal(ZoneError.TooManyOpen, resources.CheckOpen(ZoneCondition.Empty));
    }

    [Fact]
    public void Closed_zone_opens_without_a_further_active_resource()
    {
        var resources = new ZoneResources(maxOpen: 0, maxActive: 1, 0, zones: 8);
        Assert.True(resources.HasActive);
        resources.Take(0, ZoneCondition.Closed);
        Assert.False(resources.HasActive);
        Assert.Equal(ZoneError.TooManyActive, resources.CheckOpen(ZoneCondition.Empty));
        Assert.Equal(ZoneError.None, resources.CheckOpen(ZoneCondition.Closed));
    }

    [Fact]
    public void Cleared_resources_are_all_free()
    {
        var resources = new ZoneResources(maxOpen: 1, maxActive: 1, 0, zones: 2);
        resources.Take(0, ZoneCondition.ImplicitlyOpen);
        resources.Clear(zones: 4);
        Assert.Equal((0, 0, -1), (resources.Open, resources.Active, resources.Evictable));
        resources.Take(3, ZoneCondition.ImplicitlyOpen);
        Assert.Equal(3, resources.Evictable);
    }

    [Fact]
    public void Change_of_condition_is_counted_and_found()
    {
        var states = States(zones: 300);
        states.Change(290, ZoneCondition.Closed);
        Assert.Equal(290, states.Next(0, Set(ZoneCondition.Closed)));
        Assert.Equal((1, 1), (states.CountFrom(0, Set(ZoneCondition.Closed)), states.Resources.Closed));
        Assert.Equal(299, states.CountFrom(0, Set(ZoneCondition.Empty)));
        states.MakeEmpty(290);
        Assert.Equal((-1, 0), (states.Next(0, Set(ZoneCondition.Closed)), states.Resources.Closed));
    }

    [Fact]
    public void Closing_an_unwritten_zone_makes_it_empty_unless_it_is_busy_or_extended()
    {
        var states = States();
        states.MakeClosed(0);
        states.SetBusy(1, opened: true);
        states.MakeClosed(1);
        states.SetExtended(2, true);
        states.MakeClosed(2);
        Assert.Equal(
            [ZoneCondition.Empty, ZoneCondition.Closed, ZoneCondition.Closed],
            Enumerable.Range(0, 3).Select(states.ConditionOf));
    }

    [Fact]
    public void End_of_a_write_reports_whether_it_opened_the_zone_and_keeps_the_extension()
    {
        var states = States();
        states.SetExtended(0, true);
        states.SetBusy(0, opened: true);
        Assert.Throws<InvalidOperationException>(() => states.RequireIdle(0));
        Assert.True(states.ClearBusy(0));
        states.RequireIdle(0);
        Assert.True(states.IsExtended(0));
        states.SetBusy(0, opened: false);
        Assert.False(states.ClearBusy(0));
    }

    [Fact]
    public void Full_zone_frees_its_resources_and_its_pointer_is_at_its_end()
    {
        var states = States();
        states.Change(3, ZoneCondition.ExplicitlyOpen);
        states.MakeFull(3);
        Assert.Equal((4 * Zone, 0, ZoneCondition.Full), (states.PointerOf(3), states.Resources.Active, states.ConditionOf(3)));
        Assert.True(states.IsFilled(3));
    }

    [Fact]
    public void Grown_disk_has_empty_zones_at_its_end_and_keeps_the_others()
    {
        var states = States(zones: 4);
        states.Change(1, ZoneCondition.Closed);
        states.Resize(6 * Zone);
        Assert.Equal((6, 6), (states.Count, states.Limits.ZoneCount));
        Assert.Equal((ZoneCondition.Closed, ZoneCondition.Empty), (states.ConditionOf(1), states.ConditionOf(5)));
        Assert.Equal(5 * Zone, states.PointerOf(5));
        Assert.Equal(5, states.CountFrom(0, Set(ZoneCondition.Empty)));
    }

    [Fact]
    public void Failed_write_that_opened_a_zone_leaves_it_empty()
    {
        var states = States();
        var writes = new ZoneWrites(states);
        Assert.True(writes.BeginWrite(0, 512).IsOk);
        Assert.Equal((ZoneCondition.ImplicitlyOpen, true), (states.ConditionOf(0), states.IsBusy(0)));
        writes.EndWrite(0, 0, 512, success: false);
        Assert.Equal((ZoneCondition.Empty, 0L, 0), (states.ConditionOf(0), states.PointerOf(0), states.Resources.Active));
    }

    [Fact]
    public void Rejected_range_is_empty_and_changes_nothing()
    {
        var states = States();
        states.MakeFull(1);
        var ranges = new ZoneRanges(states);
        Assert.Equal(ZoneError.Full, ranges.Check(ZoneAction.Open, 0, 2 * Zone, out var range).Error);
        Assert.True(range.Last < range.First);
        Assert.Equal(0, ranges.Apply(ZoneAction.Open, range));
        Assert.Equal(ZoneCondition.Empty, states.ConditionOf(0));
    }

    [Fact]
    public void Finish_skips_zones_that_are_full()
    {
        var states = States();
        states.MakeFull(1);
        var ranges = new ZoneRanges(states);
        Assert.True(ranges.Check(ZoneAction.Finish, 0, 3 * Zone, out var range).IsOk);
        Assert.Equal((0, 2, -1), (Next(0), Next(1), Next(3)));
        Assert.Equal(2, ranges.Apply(ZoneAction.Finish, range));

        int Next(int from) => ranges.NextChange(ZoneAction.Finish, range, from);
    }

    [Fact]
    public void Loading_pointers_closes_every_open_zone()
    {
        var states = States(zones: 4);
        states.Change(0, ZoneCondition.ExplicitlyOpen);
        new ZoneLoading(states).Load([0, Zone + 512, 3 * Zone, 3 * Zone + 1], []);
        Assert.Equal(
            [ZoneCondition.Empty, ZoneCondition.Closed, ZoneCondition.Full, ZoneCondition.Offline],
            Enumerable.Range(0, 4).Select(states.ConditionOf));
        Assert.Equal((0, 1), (states.Resources.Open, states.Resources.Active));
    }

    [Fact]
    public void Shrinking_into_zone_data_makes_the_zone_full()
    {
        var states = States(zones: 2);
        states.SetPointer(1, Zone + 4096);
        states.Change(1, ZoneCondition.Closed);
        var resizing = new ZoneResizing(states);
        Assert.Equal(ZoneError.InvalidTransition, resizing.Check(Zone + 2048).Error);
        Assert.True(resizing.Apply(Zone + 4096).IsOk);
        Assert.Equal((ZoneCondition.Full, 0), (states.ConditionOf(1), states.Resources.Active));
    }

    [Fact]
    public void Search_fills_its_buffer_and_counts_the_rest_if_asked()
    {
        var states = States(zones: 300);
        states.MakeFull(10);
        states.MakeFull(200);
        states.MakeFull(299);
        var reports = new ZoneReports(states);
        var found = new ZoneDescriptor[2];
        Assert.Equal(new ZoneFindings(2, 3), reports.Find(0, Set(ZoneCondition.Full), found, count: true));
        Assert.Equal([10 * Zone, 200 * Zone], found.Select(z => z.Start));
        Assert.Equal(new ZoneFindings(2, 2), reports.Find(0, Set(ZoneCondition.Full), found, count: false));
        Assert.Equal(1, reports.Report(299 * Zone, found));
    }

    private static ZoneStates States(int zones = 8) => new(new ZonedLimits(Zone, Zone, zones, 0, 0, 0, 0), zones * Zone);

    private static ZoneConditionSet Set(ZoneCondition condition) => (ZoneConditionSet)(1 << (int)condition);
}
