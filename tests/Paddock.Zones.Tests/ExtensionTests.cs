using Paddock.Block;

namespace Paddock.Zones.Tests;

/// <summary>Zones with a descriptor extension: not EMPTY until a reset clears it.</summary>
public class ExtensionTests
{
    [Theory]
    [InlineData(ZoneCondition.NotWritePointer, ZoneError.Conventional)]
    [InlineData(ZoneCondition.Empty, ZoneError.None)]
    [InlineData(ZoneCondition.ImplicitlyOpen, ZoneError.InvalidTransition)]
    [InlineData(ZoneCondition.ExplicitlyOpen, ZoneError.InvalidTransition)]
    [InlineData(ZoneCondition.Closed, ZoneError.InvalidTransition)]
    [InlineData(ZoneCondition.Full, ZoneError.InvalidTransition)]
    [InlineData(ZoneCondition.ReadOnly, ZoneError.InvalidTransition)]
    [InlineData(ZoneCondition.Offline, ZoneError.InvalidTransition)]
    public void Extension_is_accepted_only_by_an_empty_zone_and_closes_it(ZoneCondition from, ZoneError error)
    {
        var zones = Disk.Of(4, conventional: 1);
        int zone = from == ZoneCondition.NotWritePointer ? 0 : 1;
        zones.Put(zone, from);
        Assert.Equal(error, zones.Extend(zone).Error);
        Assert.Equal(error == ZoneError.None ? ZoneCondition.Closed : from, zones.ConditionOf(zone));
        Assert.Equal(error == ZoneError.None, zones.IsExtended(zone));
        StateTableTests.CheckCounters(zones);
    }

    [Fact]
    public void Extension_holds_an_active_resource_when_its_unwritten_zone_is_closed_or_evicted()
    {
        var zones = Disk.Of(4, open: 1, active: 2);
        Assert.True(zones.Extend(0).IsOk);
        Assert.True(zones.Append(Disk.Zone).IsOk);
        Assert.Equal(ZoneError.TooManyActive, zones.Extend(2).Error);
        Assert.True(zones.Manage(ZoneAction.Close, Disk.Zone, Disk.Zone).IsOk);
        Assert.True(zones.Manage(ZoneAction.Open, 0, Disk.Zone).IsOk);
        Assert.True(zones.Manage(ZoneAction.Close, 0, Disk.Zone).IsOk);
        Assert.Equal((ZoneCondition.Closed, 2), (zones.ConditionOf(0), zones.ActiveCount));

        // a write that fails leaves it CLOSED too
        Assert.True(zones.BeginWrite(0, 512).IsOk);
        zones.EndWrite(0, 512, success: false);
        Assert.Equal((ZoneCondition.Closed, true), (zones.ConditionOf(0), zones.IsExtended(0)));
        Assert.True(zones.Manage(ZoneAction.Reset, 0, Disk.Zone).IsOk);
        Assert.Equal((ZoneCondition.Empty, false, 1), (zones.ConditionOf(0), zones.IsExtended(0), zones.ActiveCount));
    }

    [Fact]
    public void Full_zone_keeps_its_extension_and_frees_its_resources()
    {
        var zones = Disk.Of(2, active: 1);
        zones.Extend(0);
        Assert.True(zones.Manage(ZoneAction.Finish, 0, Disk.Zone).IsOk);
        Assert.Equal((true, 0), (zones.IsExtended(0), zones.ActiveCount));
    }

    [Fact]
    public void Zone_is_restored_according_to_its_pointer_and_extension_if_an_active_resource_is_free()
    {
        var zones = Disk.Of(3, active: 1);
        zones.Extend(0);
        zones.SetFixed(0, ZoneCondition.ReadOnly);
        Assert.Equal(0, zones.ActiveCount);
        Assert.True(zones.Append(Disk.Zone).IsOk);
        Assert.Equal(ZoneError.TooManyActive, zones.CheckRestore(0, 0).Error);
        Assert.True(zones.Manage(ZoneAction.Reset, Disk.Zone, Disk.Zone).IsOk);
        Assert.True(zones.CheckRestore(0, 0).IsOk);
        zones.SetLoaded(0, 0, zones.IsExtended(0));
        Assert.Equal((ZoneCondition.Closed, 1), (zones.ConditionOf(0), zones.ActiveCount));
    }

    [Fact]
    public void Full_read_only_zone_is_full_again_after_the_disk_grew()
    {
        var zones = Disk.Of(2, length: Disk.Zone + 4096);
        zones.Put(1, ZoneCondition.Full);
        long stored = zones.StoredPointerOf(1);
        zones.SetFixed(1, ZoneCondition.ReadOnly);
        Assert.True(zones.Resize(2 * Disk.Zone).IsOk);
        Assert.Equal(2 * Disk.Zone, zones.PointerOf(1));
        zones.SetLoaded(1, stored);
        Assert.Equal(ZoneCondition.Full, zones.ConditionOf(1));
    }
}
