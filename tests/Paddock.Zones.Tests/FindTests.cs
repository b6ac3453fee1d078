using Paddock.Block;

namespace Paddock.Zones.Tests;

/// <summary>Searching zones by condition finds the same zones as a walk over all of them.</summary>
public class FindTests
{
    private const int Zones = 1000, Size = 4096;

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 10)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Search_finds_and_counts_the_same_zones_as_a_walk(int seed)
    {
        var random = new Random(seed);
        var zones = new ZoneSet(new ZonedLimits(Size, Size, Zones, random.Next(300), 0, 0, 0), (long)Zones * Size);
        for (int step = 0; step < 400; step++)
        {
            int zone = random.Next(zones.Limits.ConventionalZones, zones.Count);
            switch (random.Next(8))
            {
                case 0:
                    zones.SetFixed(zone, random.Next(2) == 0 ? ZoneCondition.ReadOnly : ZoneCondition.Offline);
                    break;
                case 1:
                    zones.SetLoaded(zone, zones.StartOf(zone) + (512 * random.Next(0, 9)));
                    break;
                case 2 when zones.BeginAppend(zones.StartOf(zone), 512, out _).IsOk:
                    zones.EndWrite(zone, 512, random.Next(4) > 0);
                    break;
                case 3:
                    int change = zones.Count + random.Next(-20, 20);
                    zones.Resize((long)Math.Max(change, zones.Limits.ConventionalZones + 300) * Size);
                    break;
                default:
                    int run = Math.Min(random.Next(1, 200), zones.Count - zone);
                    zones.Manage((ZoneAction)random.Next(4), zones.StartOf(zone), (long)run * Size);
                    break;
            }

            Check(zones, random, $"seed {seed}, step {step}");
        }
    }

    [Fact]
    public void Last_of_a_million_zones_is_found_and_counted()
    {
        const int many = ZoneGeometry.MaxZones;
        var zones = new ZoneSet(new ZonedLimits(Size, Size, many, 0, 0, 0, 0), (long)many * Size);
        zones.Manage(ZoneAction.Finish, zones.StartOf(many - 1), Size);
        var found = new ZoneDescriptor[4];
        Assert.Equal(new ZoneFindings(1, 1), zones.Find(0, ZoneConditionSet.Full, found, count: true));
        Assert.Equal(zones.StartOf(many - 1), found[0].Start);
        Assert.Equal(new ZoneFindings(0, many - 1), zones.Find(0, ZoneConditionSet.Empty, [], count: true));
        Assert.Equal(new ZoneFindings(0, 0), zones.Find((long)many * Size, ZoneConditionSet.All, found, count: true));
    }

    private static void Check(ZoneSet zones, Random random, string where)
    {
        int first = random.Next(zones.Count);
        var which = random.Next(8) == 0 ? ZoneConditionSet.All : (ZoneConditionSet)random.Next(0x10000);
        var all = Enumerable.Range(first, zones.Count - first).Where(z => which.Has(zones.ConditionOf(z))).Select(zones.Describe).ToArray();
        var found = new ZoneDescriptor[random.Next(0, 40)];
        var result = zones.Find(zones.StartOf(first) + random.Next(Size), which, found, count: true);
        Assert.True(result == new ZoneFindings(Math.Min(all.Length, found.Length), all.Length),
            $"{where}: {result}, {all.Length} match {which}");
        Assert.True(found.AsSpan(0, result.Filled).SequenceEqual(all.AsSpan(0, result.Filled)), $"{where}: other zones than {which}");
        Assert.Equal(result.Filled, zones.Find(zones.StartOf(first), which, found, count: false).Matching);
    }
}
