using Paddock.Block;

namespace Paddock.Zones.Tests;

/// <summary>Range requests: the whole range is checked before any zone changes.</summary>
public class RangeTests
{
    public static TheoryData<ZoneAction> Actions => [ZoneAction.Open, ZoneAction.Close, ZoneAction.Finish, ZoneAction.Reset];

    [Theory]
    [MemberData(nameof(Actions))]
    public void Range_must_be_aligned_and_inside_the_disk_and_may_end_with_a_smaller_last_zone(ZoneAction action)
    {
        const long Last = 4096;
        (long Offset, long Length, ZoneError Error)[] cases =
        [
            (0, Disk.Zone, ZoneError.None), (0, 2 * Disk.Zone, ZoneError.None), (2 * Disk.Zone, Last, ZoneError.None),
            (Disk.Zone, Disk.Zone + Last, ZoneError.None), (0, (2 * Disk.Zone) + Last, ZoneError.None),
            (0, 0, ZoneError.OutOfRange), (0, -Disk.Zone, ZoneError.OutOfRange), (2 * Disk.Zone, Disk.Zone, ZoneError.OutOfRange),
            (-Disk.Zone, Disk.Zone, ZoneError.OutOfRange), (3 * Disk.Zone, Disk.Zone, ZoneError.OutOfRange),
            (0, long.MaxValue, ZoneError.OutOfRange),
            (0, 512, ZoneError.Unaligned), (512, Disk.Zone, ZoneError.Unaligned), (512, Disk.Zone - 512, ZoneError.Unaligned),
            (2 * Disk.Zone, 512, ZoneError.Unaligned), ((2 * Disk.Zone) + 512, Last - 512, ZoneError.Unaligned),
        ];
        foreach (var (offset, length, error) in cases)
        {
            var zones = Disk.Of(3, length: (2 * Disk.Zone) + Last);
            var before = zones.Everything();
            Assert.Equal(error, zones.Manage(action, offset, length).Error);
            Assert.True(error == ZoneError.None || before.SequenceEqual(zones.Everything()));
        }
    }

    [Theory]
    [MemberData(nameof(Actions))]
    public void Range_request_affects_exactly_its_zones(ZoneAction action)
    {
        var zones = Disk.Of(5);
        for (int zone = 0; zone < 5; zone++)
        {
            zones.Put(zone, ZoneCondition.ImplicitlyOpen);
        }

        Assert.True(zones.Manage(action, Disk.Zone, 3 * Disk.Zone).IsOk);
        var to = action switch
        {
            ZoneAction.Open => ZoneCondition.ExplicitlyOpen,
            ZoneAction.Close => ZoneCondition.Closed,
            ZoneAction.Finish => ZoneCondition.Full,
            _ => ZoneCondition.Empty,
        };
        Assert.Equal([ZoneCondition.ImplicitlyOpen, to, to, to, ZoneCondition.ImplicitlyOpen], zones.Conditions());
        StateTableTests.CheckCounters(zones);
    }

    [Theory]
    [MemberData(nameof(Actions))]
    public void Range_is_unchanged_if_one_of_its_zones_cannot_change(ZoneAction action)
    {
        foreach (var bad in new[] { ZoneCondition.ReadOnly, ZoneCondition.Offline, ZoneCondition.Full })
        {
            var zones = Disk.Of(3);
            zones.Put(0, ZoneCondition.Closed);
            zones.Put(1, ZoneCondition.ImplicitlyOpen);
            zones.Put(2, bad);
            var before = zones.Everything();
            var result = zones.Manage(action, 0, 3 * Disk.Zone);
            bool passes = bad == ZoneCondition.Full && action is ZoneAction.Finish or ZoneAction.Reset && bad == ZoneCondition.Full;
            Assert.Equal(passes, result.IsOk);
            if (!passes)
            {
                Assert.Equal(2, result.Zone);
                Assert.Equal(before, zones.Everything());
            }
        }
    }

    [Fact]
    public void Only_a_reset_of_the_whole_disk_skips_conventional_zones()
    {
        var zones = Disk.Of(4, conventional: 1);
        zones.Put(2, ZoneCondition.ImplicitlyOpen);
        Assert.Equal((ZoneError.Conventional, 0), Of(zones.Manage(ZoneAction.Reset, 0, 2 * Disk.Zone)));
        Assert.Equal((ZoneError.Conventional, 0), Of(zones.Manage(ZoneAction.Finish, 0, 4 * Disk.Zone)));
        Assert.Equal((ZoneError.Conventional, 0), Of(zones.Manage(ZoneAction.Open, 0, 4 * Disk.Zone)));
        Assert.Equal((ZoneError.Conventional, 0), Of(zones.Manage(ZoneAction.Close, 0, 4 * Disk.Zone)));
        Assert.True(zones.Manage(ZoneAction.Reset, 0, 4 * Disk.Zone).IsOk);
        Assert.Equal(
            [ZoneCondition.NotWritePointer, ZoneCondition.Empty, ZoneCondition.Empty, ZoneCondition.Empty], zones.Conditions());
        Assert.True(Disk.Of(2, conventional: 2).Manage(ZoneAction.Reset, 0, 2 * Disk.Zone).IsOk);
    }

    [Fact]
    public void Opening_a_range_counts_the_resources_of_all_its_zones_together()
    {
        var zones = Disk.Of(8, open: 3, active: 4);
        zones.Put(6, ZoneCondition.ImplicitlyOpen);
        zones.Put(7, ZoneCondition.Closed);
        Assert.Equal((ZoneError.TooManyActive, 2), Of(zones.Manage(ZoneAction.Open, 0, 3 * Disk.Zone)));
        Assert.Equal(ZoneCondition.Empty, zones.ConditionOf(0));
        Assert.True(zones.Manage(ZoneAction.Open, 0, 2 * Disk.Zone).IsOk);
        Assert.Equal((ZoneError.TooManyOpen, 7), Of(zones.Manage(ZoneAction.Open, 6 * Disk.Zone, 2 * Disk.Zone)));
        Assert.Equal(ZoneCondition.ImplicitlyOpen, zones.ConditionOf(6));
        Assert.True(zones.Manage(ZoneAction.Open, 6 * Disk.Zone, Disk.Zone).IsOk);
        Assert.Equal((3, 4), (zones.OpenCount, zones.ActiveCount));
    }

    [Fact]
    public void Opening_a_range_never_evicts_a_zone_of_the_range()
    {
        var zones = Disk.Of(4, open: 2);
        zones.Append(Disk.Zone); // least recently written, and in the range
        zones.Append(3 * Disk.Zone);
        Assert.True(zones.Manage(ZoneAction.Open, 0, 2 * Disk.Zone).IsOk);
        Assert.Equal(
            [ZoneCondition.ExplicitlyOpen, ZoneCondition.ExplicitlyOpen, ZoneCondition.Empty, ZoneCondition.Closed], zones.Conditions());
        StateTableTests.CheckCounters(zones);
    }

    [Fact]
    public void Close_of_an_empty_zone_succeeds_and_reports_it()
    {
        var zones = Disk.Of(3);
        zones.Put(0, ZoneCondition.ImplicitlyOpen);
        var result = zones.Manage(ZoneAction.Close, 0, 3 * Disk.Zone);
        Assert.True(result is { IsOk: true, NoTransition: true, Zone: 1 });
        Assert.Equal(ZoneCondition.Closed, zones.ConditionOf(0));
        Assert.False(zones.Manage(ZoneAction.Close, 0, Disk.Zone).NoTransition);
    }

    [Fact]
    public void Zones_that_will_change_can_be_enumerated_beforehand()
    {
        var zones = Disk.Of(6);
        zones.Put(1, ZoneCondition.ImplicitlyOpen);
        zones.Put(3, ZoneCondition.Full);
        zones.Put(4, ZoneCondition.Closed);
        Assert.Equal([1, 3, 4], Changes(zones, ZoneAction.Reset));
        Assert.Equal([0, 1, 2, 4, 5], Changes(zones, ZoneAction.Finish));
    }

    private static List<int> Changes(ZoneSet zones, ZoneAction action)
    {
        Assert.True(zones.CheckRange(action, 0, 6 * Disk.Zone, out var range).IsOk);
        var list = new List<int>();
        for (int zone = zones.NextChange(action, range, range.First); zone >= 0; zone = zones.NextChange(action, range, zone + 1))
        {
            list.Add(zone);
        }

        return list;
    }

    private static (ZoneError Error, int Zone) Of(ZoneResult result) => (result.Error, result.Zone);
}
