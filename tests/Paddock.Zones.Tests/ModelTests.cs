using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Zones.Tests;

/// <summary>
/// The state machine compared with a reference model under random requests, and its counters under concurrent writes.
/// </summary>
public class ModelTests
{
    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 100)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Random_requests_match_the_reference_model(int seed)
    {
        var random = new Random(seed);
        var (limits, length) = Shape(random);
        var zones = new ZoneSet(limits, length);
        var model = new ZoneModel(limits, length);
        for (int step = 0; step < 2000; step++)
        {
            string what = Step(random, zones, model, out ZoneError actual, out ZoneError expected);
            string where = $"seed {seed}, step {step}: {what} on {limits}, {zones.Geometry.DiskLength} bytes";
            Assert.True(expected == actual, $"{where}: {actual}, the model says {expected}");
            Assert.True(model.Report().SequenceEqual(zones.Everything()), $"{where}: zones differ from the model");
            Assert.True(
                (model.OpenCount, model.ActiveCount, model.ImplicitlyOpenCount, model.AreaCount)
                    == (zones.OpenCount, zones.ActiveCount, zones.ImplicitlyOpenCount, zones.RandomAreaCount),
                $"{where}: resources differ from the model");
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Concurrent_writes_keep_the_counters_consistent(int seed)
    {
        var random = new Random(seed);
        var zones = Disk.Of(8, (uint)random.Next(0, 4), (uint)random.Next(4, 6), size: 4096);
        var busy = new Dictionary<int, long>();
        for (int step = 0; step < 3000; step++)
        {
            int zone = random.Next(8);
            long start = zones.StartOf(zone);
            if (busy.Remove(zone, out long length))
            {
                zones.EndWrite(zone, length, random.Next(3) > 0);
            }
            else if (random.Next(4) == 0)
            {
                zones.Manage((ZoneAction)random.Next(4), start, 4096);
            }
            else
            {
                length = 512 * random.Next(1, 5);
                if (zones.BeginAppend(start, length, out long offset).IsOk)
                {
                    Assert.Equal(zones.PointerOf(zone), offset);
                    busy.Add(zone, length);
                }
            }

            StateTableTests.CheckCounters(zones);
            for (int i = 0; i < 8; i++)
            {
                Assert.True(
                    zones.ConditionOf(i) != ZoneCondition.Closed || zones.PointerOf(i) > zones.StartOf(i) || busy.ContainsKey(i),
                    $"seed {seed}, step {step}: zone {i} is CLOSED with nothing written");
            }
        }
    }

    private static (ZonedLimits Limits, long Length) Shape(Random random)
    {
        long size = 512 * random.Next(1, 17);
        int count = random.Next(1, 9);
        uint active = (uint)random.Next(0, 5);
        uint open = active == 0 ? (uint)random.Next(0, 4) : (uint)random.Next(0, (int)active + 1);
        long length = (count * size) - (random.Next(2) * 512 * random.Next((int)(size / 512)));
        var limits = new ZonedLimits(
            size, 512 * random.Next(1, (int)(size / 512) + 1), count, random.Next(3) == 0 ? random.Next(count + 1) : 0, open, active,
            random.Next(2) == 0 ? 0 : 1024u)
        {
            RandomArea = AreaOf(random, size),
        };
        return (limits, length);
    }

    // larger than a zone too, and units that do not divide the capacity
    private static RandomAreaLimits AreaOf(Random random, long size)
    {
        long unit = 512 * random.Next(1, 4);
        return random.Next(3) == 0 ? default
            : new RandomAreaLimits(unit * random.Next(1, 1 + (int)(size / 512)), unit, (uint)random.Next(0, 4));
    }

    private static string Step(Random random, ZoneSet zones, ZoneModel model, out ZoneError actual, out ZoneError expected)
    {
        long size = zones.Geometry.ZoneSize, disk = zones.Geometry.DiskLength;
        int zone = random.Next(Math.Max(1, zones.Count) + (random.Next(20) == 0 ? 1 : 0));
        long start = zone * size;
        int length = random.Next(12) == 0 ? random.Next(-1, 2000) : 512 * random.Next(1, 5);
        var data = new byte[Math.Max(0, length)];
        switch (random.Next(24))
        {
            case < 8:
                long offset = zone < zones.Count && random.Next(8) > 0
                    ? zones.PointerOf(zone) + (512 * random.Next(Spread(zones, zone))) : random.Next((int)disk + 1);
                actual = zones.Write(offset, length).Error;
                expected = model.Write(offset, data);
                return $"write {offset} {length}";
            case < 12:
                long at = random.Next(10) == 0 ? start + 512 : start;
                actual = zones.Append(at, length).Error;
                expected = model.Append(at, data, out _);
                return $"append {at} {length}";
            case < 18:
                var action = (ZoneAction)random.Next(5);
                long end = random.Next(4) == 0 ? disk : Math.Min(disk, start + (size * random.Next(1, 4)));
                long from = random.Next(8) == 0 ? 0 : start;
                long bytes = end - from - (random.Next(15) == 0 ? 512 : 0);
                actual = zones.Manage(action, from, bytes).Error;
                expected = model.Manage(action, from, bytes);
                return $"{action} {from} {bytes}";
            case 18:
                long resized = random.Next(6) == 0 ? disk + random.Next(-513, 513) : 512 * random.Next(0, (int)(8 * size / 512) + 1);
                actual = zones.Resize(resized).Error;
                expected = model.Resize(resized);
                return $"resize {resized}";
            case < 23:
                long commit = zone < zones.Count && random.Next(8) > 0
                    ? zones.PointerOf(zone) + (512 * random.Next(1 + Spread(zones, zone))) : random.Next(-1, (int)disk + 2);
                actual = zones.Commit(commit).Error;
                expected = model.Commit(commit);
                return $"commit {commit}";
            default:
                bool[] areas = [.. Enumerable.Range(0, zones.Count).Select(zones.HasRandomArea)];
                zones.Load([.. Enumerable.Range(0, zones.Count).Select(zones.StoredPointerOf)]);
                for (int i = 0; i < areas.Length; i++)
                {
                    zones.SetLoaded(i, zones.StoredPointerOf(i), randomArea: areas[i]);
                }

                model.Reopen();
                (actual, expected) = (ZoneError.None, ZoneError.None);
                return "reopen";
        }
    }

    // how far above its pointer a zone is written, in sectors
    private static int Spread(ZoneSet zones, int zone)
        => zones.HasRandomArea(zone) ? (int)(2 * zones.Limits.RandomArea.Size / 512) + 2 : 1;
}
