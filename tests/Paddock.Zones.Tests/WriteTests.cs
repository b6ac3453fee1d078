using Paddock.Block;

namespace Paddock.Zones.Tests;

/// <summary>The write rule, at the begin and the end of a write.</summary>
public class WriteTests
{
    [Theory]
    [InlineData(512, 512, ZoneError.NotAtWritePointer)] // above the pointer
    [InlineData(0, 100, ZoneError.Unaligned)]
    [InlineData(100, 512, ZoneError.Unaligned)]
    [InlineData(0, 0, ZoneError.OutOfRange)]
    [InlineData(0, -512, ZoneError.OutOfRange)]
    [InlineData(-512, 512, ZoneError.OutOfRange)]
    [InlineData(long.MinValue, 512, ZoneError.OutOfRange)]
    [InlineData(0, long.MaxValue, ZoneError.OutOfRange)]
    [InlineData(long.MaxValue - 511, 512, ZoneError.OutOfRange)]
    [InlineData(0, Disk.Zone, ZoneError.BoundaryCrossed)] // past the capacity, inside the zone
    [InlineData(0, Disk.Zone + 512, ZoneError.BoundaryCrossed)]
    [InlineData(Disk.Zone, Disk.Zone / 2, ZoneError.None)] // exactly the capacity
    [InlineData(2 * Disk.Zone, 512, ZoneError.OutOfRange)]
    public void Write_that_breaks_the_rule_is_rejected_and_changes_nothing(long offset, long length, ZoneError error)
    {
        var zones = Disk.Of(2, capacity: Disk.Zone / 2);
        var before = zones.Everything();
        Assert.Equal(error, zones.Write(offset, length).Error);
        if (error != ZoneError.None)
        {
            Assert.Equal(before, zones.Everything());
            Assert.Equal(0, zones.ActiveCount);
        }
    }

    [Theory]
    [InlineData(0, 4096, ZoneError.None)]
    [InlineData(0, 4608, ZoneError.AppendTooLong)]
    [InlineData(0, 100, ZoneError.Unaligned)]
    [InlineData(512, 512, ZoneError.Unaligned)] // names no zone
    [InlineData(0, 0, ZoneError.OutOfRange)]
    [InlineData(2 * Disk.Zone, 512, ZoneError.OutOfRange)]
    [InlineData(-1, 512, ZoneError.OutOfRange)]
    public void Append_that_breaks_the_rule_is_rejected_and_changes_nothing(long start, long length, ZoneError error)
    {
        var zones = Disk.Of(2, append: 4096);
        Assert.Equal(error, zones.Append(start, length).Error);
        Assert.Equal(error == ZoneError.None ? length : 0, zones.PointerOf(0));
    }

    [Fact]
    public void Only_one_of_two_writes_at_the_write_pointer_succeeds()
    {
        var zones = Disk.Of(1);
        Assert.True(zones.Write(0).IsOk);
        Assert.Equal(ZoneError.NotAtWritePointer, zones.Write(0).Error);
    }

    [Fact]
    public void Append_that_does_not_fit_is_rejected()
    {
        var zones = Disk.Of(2);
        Assert.True(zones.Write(0, Disk.Zone - 512).IsOk);
        Assert.Equal(ZoneError.BoundaryCrossed, zones.Append(0, 1024).Error);
        Assert.True(zones.Append(0).IsOk);
        Assert.Equal(ZoneError.Full, zones.Append(0).Error);
        Assert.Equal(ZoneCondition.Empty, zones.ConditionOf(1));
    }

    [Fact]
    public void Append_to_full_short_last_zone_is_rejected()
    {
        var zones = Disk.Of(2, length: Disk.Zone + 4096);
        Assert.True(zones.Append(Disk.Zone, 4096).IsOk);
        Assert.Equal(ZoneCondition.Full, zones.ConditionOf(1));
        Assert.Equal(ZoneError.Full, zones.Append(Disk.Zone).Error);
        Assert.Equal(Disk.Zone + 4096, zones.PointerOf(1));
        Assert.Equal(2 * Disk.Zone, zones.StoredPointerOf(1));
    }

    [Fact]
    public void Conventional_zones_accept_writes_anywhere_and_across_their_borders_but_not_into_sequential_zones()
    {
        var zones = Disk.Of(4, conventional: 2, capacity: Disk.Zone / 2);
        Assert.True(zones.Write(7, 100).IsOk);
        Assert.True(zones.Write(Disk.Zone - 512, 1024).IsOk);
        Assert.True(zones.Write(0, 2 * Disk.Zone).IsOk);
        var refused = zones.Write((2 * Disk.Zone) - 512, 1024);
        Assert.Equal((ZoneError.BoundaryCrossed, 2), (refused.Error, refused.Zone));
        Assert.Equal(0, zones.ActiveCount);
        Assert.Equal(Disk.Zone, zones.PointerOf(1));
    }

    [Fact]
    public void Write_that_touches_a_read_only_conventional_zone_is_rejected()
    {
        var zones = Disk.Of(2, conventional: 2);
        zones.SetFixed(1, ZoneCondition.ReadOnly);
        Assert.True(zones.Write(0, Disk.Zone).IsOk);
        Assert.Equal(ZoneError.ReadOnly, zones.Write(Disk.Zone - 512, 1024).Error);
    }

    [Theory]
    [InlineData(0, 512, ZoneError.None)]
    [InlineData(0, Disk.Zone, ZoneError.None)]
    [InlineData(0, 0, ZoneError.None)]
    [InlineData(Disk.Zone, 512, ZoneError.Sequential)]
    [InlineData(0, Disk.Zone + 512, ZoneError.Sequential)]
    [InlineData(2 * Disk.Zone, 1, ZoneError.OutOfRange)]
    public void Discard_never_touches_a_sequential_zone(long offset, long length, ZoneError error)
        => Assert.Equal(error, Disk.Of(2, conventional: 1).CheckDiscard(offset, length).Error);

    [Fact]
    public void Failed_write_leaves_the_zone_unchanged()
    {
        ZoneCondition[] writable = [ZoneCondition.Empty, ZoneCondition.Closed, ZoneCondition.ImplicitlyOpen, ZoneCondition.ExplicitlyOpen];
        foreach (var from in writable)
        {
            var zones = Disk.Of(2, open: 1, active: 1);
            zones.Put(0, from);
            var before = zones.Everything();
            long at = zones.PointerOf(0);
            Assert.True(zones.BeginWrite(at, Disk.Zone - at).IsOk);
            Assert.True(zones.IsBusy(0));
            zones.EndWrite(0, Disk.Zone - at, false);
            Assert.Equal(before, zones.Everything());
            StateTableTests.CheckCounters(zones);
        }
    }

    [Theory]
    [InlineData(true, ZoneCondition.Closed)]
    [InlineData(false, ZoneCondition.Empty)]
    public void Evicted_unwritten_zone_stays_active_until_its_write_in_flight_ends(bool success, ZoneCondition after)
    {
        var zones = Disk.Of(3, open: 1, active: 2);
        Assert.True(zones.BeginWrite(0, 512).IsOk);
        Assert.Equal(0, zones.Write(Disk.Zone).Evicted);
        Assert.Equal(ZoneCondition.Closed, zones.ConditionOf(0));
        Assert.Equal(ZoneError.TooManyActive, zones.Write(2 * Disk.Zone).Error);
        zones.EndWrite(0, 512, success);
        Assert.Equal(after, zones.ConditionOf(0));
        Assert.Equal(success ? 2 : 1, zones.ActiveCount);
        StateTableTests.CheckCounters(zones);
    }

    [Fact]
    public void Write_in_flight_at_an_eviction_can_make_the_zone_full()
    {
        var zones = Disk.Of(2, open: 1, active: 2);
        Assert.True(zones.BeginWrite(0, Disk.Zone).IsOk);
        Assert.True(zones.Write(Disk.Zone).IsOk);
        zones.EndWrite(0, Disk.Zone, true);
        Assert.Equal(ZoneCondition.Full, zones.ConditionOf(0));
        Assert.Equal((1, 1), (zones.OpenCount, zones.ActiveCount));
    }

    [Fact]
    public void Zone_opened_explicitly_during_a_write_stays_open_if_the_write_fails()
    {
        var zones = Disk.Of(1);
        Assert.True(zones.BeginWrite(0, 512).IsOk);
        Assert.True(zones.Manage(ZoneAction.Open, 0, Disk.Zone).IsOk);
        zones.EndWrite(0, 512, false);
        Assert.Equal(ZoneCondition.ExplicitlyOpen, zones.ConditionOf(0));
        StateTableTests.CheckCounters(zones);
    }

    [Fact]
    public void Concurrent_writes_to_one_zone_and_an_end_without_a_begin_throw()
    {
        var zones = Disk.Of(1);
        Assert.Throws<InvalidOperationException>(() => zones.EndWrite(0, 512, true));
        zones.BeginWrite(0, 512);
        Assert.Throws<InvalidOperationException>(() => zones.BeginWrite(0, 512));
        Assert.Throws<InvalidOperationException>(() => zones.Manage(ZoneAction.Reset, 0, Disk.Zone));
    }
}
