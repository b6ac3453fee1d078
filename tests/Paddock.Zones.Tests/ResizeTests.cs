using Paddock.Block;

namespace Paddock.Zones.Tests;

/// <summary>Growing and shrinking of a disk.</summary>
public class ResizeTests
{
    [Fact]
    public void Growing_adds_empty_zones_and_enlarges_a_smaller_last_zone()
    {
        var zones = Disk.Of(2, length: Disk.Zone + 4096, open: 2);
        zones.Append(Disk.Zone);
        Assert.True(zones.Resize((3 * Disk.Zone) + 512).IsOk);
        Assert.Equal(4, zones.Count);
        Assert.Equal(4, zones.Limits.ZoneCount);
        Assert.Equal((Disk.Zone, Disk.Zone), (zones.LengthOf(1), zones.CapacityOf(1)));
        Assert.Equal(
            [ZoneCondition.Empty, ZoneCondition.ImplicitlyOpen, ZoneCondition.Empty, ZoneCondition.Empty], zones.Conditions());
        Assert.Equal(512, zones.LengthOf(3));
        Assert.True(zones.Append(Disk.Zone, Disk.Zone - 512).IsOk);
        Assert.True(zones.Append(3 * Disk.Zone).IsOk);
        Assert.True(zones.Append(2 * Disk.Zone).IsOk);
        StateTableTests.CheckCounters(zones);
    }

    [Fact]
    public void Full_smaller_last_zone_stays_full_when_the_disk_grows()
    {
        var zones = Disk.Of(2, length: Disk.Zone + 4096);
        zones.Put(1, ZoneCondition.Full);
        long stored = zones.StoredPointerOf(1);
        Assert.True(zones.Resize(2 * Disk.Zone).IsOk);
        Assert.Equal(ZoneCondition.Full, zones.ConditionOf(1));
        Assert.Equal(2 * Disk.Zone, zones.PointerOf(1));
        Assert.Equal(stored, zones.StoredPointerOf(1));
    }

    [Theory]
    [InlineData(ZoneCondition.Empty, ZoneError.None)]
    [InlineData(ZoneCondition.ImplicitlyOpen, ZoneError.InvalidTransition)]
    [InlineData(ZoneCondition.ExplicitlyOpen, ZoneError.InvalidTransition)]
    [InlineData(ZoneCondition.Closed, ZoneError.InvalidTransition)]
    [InlineData(ZoneCondition.Full, ZoneError.InvalidTransition)]
    [InlineData(ZoneCondition.ReadOnly, ZoneError.ReadOnly)]
    [InlineData(ZoneCondition.Offline, ZoneError.Offline)]
    public void Shrinking_requires_the_removed_zones_to_be_empty(ZoneCondition condition, ZoneError error)
    {
        var zones = Disk.Of(4);
        zones.Put(2, condition);
        zones.Append(0);
        var before = zones.Everything();
        var result = zones.Resize(2 * Disk.Zone);
        Assert.Equal(error, result.Error);
        if (error == ZoneError.None)
        {
            Assert.Equal(2, zones.Count);
        }
        else
        {
            Assert.Equal(2, result.Zone);
            Assert.Equal(before, zones.Everything());
        }
    }

    [Fact]
    public void Shortened_zone_keeps_its_data_and_is_full_if_the_data_fills_it()
    {
        var zones = Disk.Of(2, active: 1);
        zones.Append(Disk.Zone, 4096);
        Assert.Equal(ZoneError.InvalidTransition, zones.Resize(Disk.Zone + 3584).Error);
        Assert.True(zones.Resize(Disk.Zone + 8192).IsOk);
        Assert.Equal(ZoneCondition.ImplicitlyOpen, zones.ConditionOf(1));
        Assert.True(zones.Resize(Disk.Zone + 4096).IsOk);
        Assert.Equal(ZoneCondition.Full, zones.ConditionOf(1));
        Assert.Equal(0, zones.ActiveCount);
        Assert.True(zones.Append(0).IsOk);
    }

    [Fact]
    public void Conventional_zones_are_never_removed_or_shortened()
    {
        var zones = Disk.Of(3, conventional: 2);
        Assert.Equal((ZoneError.Conventional, 1), (zones.Resize(Disk.Zone).Error, zones.Resize(Disk.Zone).Zone));
        Assert.Equal(ZoneError.Conventional, zones.Resize((2 * Disk.Zone) - 512).Error);
        Assert.True(zones.Resize(2 * Disk.Zone).IsOk);
        Assert.True(zones.Resize(3 * Disk.Zone).IsOk);
        Assert.Equal(ZoneCondition.Empty, zones.ConditionOf(2));
    }

    [Theory]
    [InlineData(-1, ZoneError.OutOfRange)]
    [InlineData(1000, ZoneError.Unaligned)]
    [InlineData(long.MaxValue, ZoneError.OutOfRange)]
    [InlineData((ZoneGeometry.MaxZones * Disk.Zone) + 512, ZoneError.OutOfRange)]
    public void Length_that_does_not_fit_the_geometry_is_rejected(long length, ZoneError error)
        => Assert.Equal(error, Disk.Of(2).Resize(length).Error);
}
