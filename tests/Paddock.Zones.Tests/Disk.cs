using Paddock.Block;

namespace Paddock.Zones.Tests;

/// <summary>Helpers that create zones in a given state.</summary>
internal static class Disk
{
    public const long Zone = 1 << 20;

    public static ZoneSet Of(
        int zones, uint open = 0, uint active = 0, long size = Zone, long? capacity = null, int conventional = 0,
        uint append = 0, long? length = null, RandomAreaLimits area = default)
        => new(
            new ZonedLimits(size, capacity ?? size, zones, conventional, open, active, append) { RandomArea = area },
            length ?? zones * size);

    /// <summary>Begins and ends a write.</summary>
    public static ZoneResult Write(this ZoneSet zones, long offset, long length = 512)
    {
        var result = zones.BeginWrite(offset, length);
        if (result.IsOk)
        {
            zones.EndWrite(result.Zone, offset, length, true);
        }

        return result;
    }

    /// <summary>Begins and ends an append.</summary>
    public static ZoneResult Append(this ZoneSet zones, long start, long length = 512)
    {
        var result = zones.BeginAppend(start, length, out _);
        if (result.IsOk)
        {
            zones.EndWrite(result.Zone, length, true);
        }

        return result;
    }

    /// <summary>Brings a zone to a condition, by ordinary requests if possible.</summary>
    public static void Put(this ZoneSet zones, int zone, ZoneCondition condition)
    {
        long start = zones.StartOf(zone), length = zones.LengthOf(zone);
        switch (condition)
        {
            case ZoneCondition.ImplicitlyOpen:
                Assert.True(zones.Write(start).IsOk);
                break;
            case ZoneCondition.ExplicitlyOpen:
                Assert.True(zones.Write(start).IsOk);
                Assert.True(zones.Manage(ZoneAction.Open, start, length).IsOk);
                break;
            case ZoneCondition.Closed:
                Assert.True(zones.Write(start).IsOk);
                Assert.True(zones.Manage(ZoneAction.Close, start, length).IsOk);
                break;
            case ZoneCondition.Full:
                Assert.True(zones.Manage(ZoneAction.Finish, start, length).IsOk);
                break;
            case ZoneCondition.ReadOnly or ZoneCondition.Offline:
                zones.SetFixed(zone, condition);
                break;
        }

        Assert.Equal(condition, zones.ConditionOf(zone));
    }

    public static ZoneCondition[] Conditions(this ZoneSet zones) => [.. Enumerable.Range(0, zones.Count).Select(zones.ConditionOf)];

    public static ZoneDescriptor[] Everything(this ZoneSet zones) => [.. Enumerable.Range(0, zones.Count).Select(zones.Describe)];
}
