using Paddock.Block;

namespace Paddock.Zones.Tests;

/// <summary>Open and active resources, and the eviction of zones.</summary>
public class ResourceTests
{
    [Fact]
    public void Least_recently_written_zone_is_evicted_not_the_least_recently_opened()
    {
        var zones = Disk.Of(8, open: 3);
        Assert.True(zones.Append(0).IsOk);
        Assert.True(zones.Append(Disk.Zone).IsOk);
        Assert.True(zones.Append(2 * Disk.Zone).IsOk);
        Assert.True(zones.Append(0).IsOk);
        Assert.Equal(1, zones.Append(3 * Disk.Zone).Evicted);
        Assert.Equal(2, zones.Append(4 * Disk.Zone).Evicted);
        Assert.Equal(0, zones.Append(5 * Disk.Zone).Evicted);
        Assert.Equal(-1, zones.Append(5 * Disk.Zone).Evicted);
        Assert.Equal(3, zones.OpenCount);
    }

    [Fact]
    public void Rejected_write_does_not_count_as_a_write()
    {
        var zones = Disk.Of(8, open: 2);
        zones.Append(0);
        zones.Append(Disk.Zone);
        Assert.Equal(ZoneError.NotAtWritePointer, zones.Write(0).Error);
        Assert.Equal(0, zones.Append(2 * Disk.Zone).Evicted);
    }

    [Fact]
    public void Explicitly_open_zone_is_never_evicted()
    {
        var zones = Disk.Of(8, open: 2);
        zones.Put(0, ZoneCondition.ExplicitlyOpen);
        zones.Append(Disk.Zone);
        Assert.Equal(1, zones.Append(2 * Disk.Zone).Evicted);
        Assert.True(zones.Manage(ZoneAction.Open, 2 * Disk.Zone, Disk.Zone).IsOk);
        Assert.Equal(ZoneError.TooManyOpen, zones.Append(3 * Disk.Zone).Error);
        Assert.Equal(ZoneError.TooManyOpen, zones.Append(Disk.Zone).Error);
        Assert.Equal(ZoneError.TooManyOpen, zones.Manage(ZoneAction.Open, 3 * Disk.Zone, Disk.Zone).Error);
        Assert.True(zones.Append(0).IsOk);
    }

    [Fact]
    public void Zones_are_never_evicted_from_the_active_set()
    {
        var zones = Disk.Of(8, active: 2);
        zones.Append(0);
        zones.Append(Disk.Zone);
        Assert.Equal(ZoneError.TooManyActive, zones.Append(2 * Disk.Zone).Error);
        Assert.Equal(ZoneError.TooManyActive, zones.Manage(ZoneAction.Open, 2 * Disk.Zone, Disk.Zone).Error);
        zones.Manage(ZoneAction.Close, 0, Disk.Zone);
        Assert.Equal(ZoneError.TooManyActive, zones.Append(2 * Disk.Zone).Error);
        Assert.True(zones.Append(0).IsOk);
        zones.Manage(ZoneAction.Finish, 0, Disk.Zone);
        Assert.True(zones.Append(2 * Disk.Zone).IsOk);
    }

    [Theory]
    [InlineData(ZoneAction.Close)]
    [InlineData(ZoneAction.Finish)]
    [InlineData(ZoneAction.Reset)]
    public void Closing_finishing_or_resetting_a_closed_zone_evicts_none(ZoneAction action)
    {
        var zones = Disk.Of(3, open: 1);
        zones.Append(0);
        zones.Append(Disk.Zone);
        Assert.Equal(ZoneCondition.Closed, zones.ConditionOf(0));
        Assert.True(zones.Manage(action, 0, Disk.Zone).IsOk);
        Assert.Equal(ZoneCondition.ImplicitlyOpen, zones.ConditionOf(1));
        Assert.Equal(1, zones.OpenCount);
    }

    [Fact]
    public void Opening_an_explicitly_open_zone_again_changes_nothing()
    {
        var zones = Disk.Of(2, open: 1, active: 1);
        Assert.True(zones.Manage(ZoneAction.Open, 0, Disk.Zone).IsOk);
        var before = zones.Everything();
        Assert.True(zones.Manage(ZoneAction.Open, 0, Disk.Zone).IsOk);
        Assert.Equal(before, zones.Everything());
        Assert.Equal((1, 1), (zones.OpenCount, zones.ActiveCount));
    }

    [Fact]
    public void Closed_zones_count_as_active_after_a_load_and_the_count_never_underflows()
    {
        var zones = Disk.Of(4, active: 2);
        zones.Load([512, Disk.Zone + 512, 2 * Disk.Zone, 3 * Disk.Zone]);
        Assert.Equal(2, zones.ActiveCount);
        Assert.Equal(ZoneError.TooManyActive, zones.Append(2 * Disk.Zone).Error);
        zones.Manage(ZoneAction.Reset, 0, 4 * Disk.Zone);
        Assert.Equal(0, zones.ActiveCount);
        Assert.True(zones.Append(2 * Disk.Zone).IsOk);
    }

    [Fact]
    public void Image_with_more_closed_zones_than_its_limit_opens_and_accepts_no_further_one()
    {
        var zones = Disk.Of(4, open: 1, active: 1);
        zones.Load([512, Disk.Zone + 512, 2 * Disk.Zone + 512, 3 * Disk.Zone]);
        Assert.Equal(3, zones.ActiveCount);
        Assert.True(zones.Append(0).IsOk);
        Assert.Equal(ZoneError.TooManyActive, zones.Append(3 * Disk.Zone).Error);
        zones.Manage(ZoneAction.Reset, 0, 3 * Disk.Zone);
        Assert.True(zones.Append(3 * Disk.Zone).IsOk);
    }
}
