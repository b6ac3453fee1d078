using Paddock.Block;
using Paddock.Cli.Native.Watch;

namespace Paddock.Cli.Tests.Watch;

/// <summary>Rates, percentiles and counts of zones.</summary>
public class TrafficTests
{
    [Fact]
    public void Rates_are_those_of_the_last_two_seconds()
    {
        var traffic = new Traffic();
        traffic.SetBounds([10, 100, 1000]);
        traffic.Add(0, [new TrafficCounters("read", 0, 0, 0, [0, 0, 0, 0])]);
        Assert.Equal((0, 0), (traffic.Rates()[0].RequestsPerSecond, traffic.Rates()[0].BytesPerSecond));
        for (int second = 1; second <= 10; second++)
        {
            int done = second * second * 100;
            traffic.Add(second * 1000, [new TrafficCounters("read", done, done * 4096L, 1, [done / 2, done / 4, done / 4, 0])]);
        }

        var rate = Assert.Single(traffic.Rates());
        Assert.Equal(1800, rate.RequestsPerSecond);
        Assert.Equal(1800 * 4096, rate.BytesPerSecond);
        Assert.Equal((10, 1000, 1000), (rate.P50, rate.P99, rate.P999));
        Assert.Equal(1, rate.Errors);
    }

    [Fact]
    public void Unknown_counts_have_no_rate()
    {
        var traffic = new Traffic();
        traffic.Add(0, [new TrafficCounters("written", -1, 0, 0, [])]);
        traffic.Add(1000, [new TrafficCounters("written", -1, 1024, 0, [])]);
        var rate = traffic.Rates()[0];
        Assert.Equal((-1, 1024, (double?)null), (rate.RequestsPerSecond, rate.BytesPerSecond, rate.P99));
    }

    [Fact]
    public void Counts_and_active_zones_follow_every_change()
    {
        var zones = new ZoneStore(new ZonedLimits(1000, 800, 10, 2, 0, 0, 0), 9500);
        Assert.Equal((2, 8, 0), (zones[ZoneCondition.NotWritePointer], zones[ZoneCondition.Empty], zones.Active.Count));
        Assert.Equal((7 * 800) + 500, zones.CapacityBytes);
        Assert.True(zones.Set(3, ZoneCondition.ImplicitlyOpen, 100, null, 7));
        Assert.False(zones.Set(3, ZoneCondition.ImplicitlyOpen, 100, null, 8));
        Assert.True(zones.Set(9, ZoneCondition.Full, 1000, null, 9));
        Assert.Equal((1, 3, 100 + 500, 7), (zones.Open, zones.Active.Single(), zones.WrittenBytes, zones.ChangedAt(3)));
        Assert.False(zones.Set(10, ZoneCondition.Full, 0, null, 9));
        Assert.False(zones.Set(-1, ZoneCondition.Full, 0, null, 9));
        zones.Resize(zones.Limits with { ZoneCount = 4 }, 4000);
        Assert.Equal((100, 1, 1), (zones.WrittenBytes, zones.Active.Count, zones[ZoneCondition.Empty]));
        zones.Resize(zones.Limits with { ZoneCount = 6 }, 6000);
        Assert.Equal((3, 6), (zones[ZoneCondition.Empty], zones.Count));
    }
}
