using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>The zoned device against the plain model: answers, reports and bytes, over reopening and resizing, and the image
/// checked after each run.</summary>
public class ZonedModelTests
{
    public static TheoryData<int, int, ZoneLayout> Shapes()
    {
        var shapes = new TheoryData<int, int, ZoneLayout>();
        foreach (int cluster in new[] { 512, 4096, 65536, 2 << 20 })
        {
            foreach (var layout in Enum.GetValues<ZoneLayout>())
            {
                for (int seed = 1; seed <= 4; seed++)
                {
                    shapes.Add(seed, cluster, layout);
                }
            }
        }

        return shapes;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public async Task Random_requests_match_the_plain_model(int seed, int cluster, ZoneLayout layout)
    {
        var random = new Random(seed);
        var options = Shape(random, layout, cluster, out long length);
        var storage = new KeptStorage(new MemoryStorage()) { IsThin = seed % 2 == 0 };
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = length, ClusterSize = cluster, Zoned = options });
        ZoneModel? model = null;
        for (int session = 0; session < 4; session++)
        {
            await using (var disk = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions()))
            {
                model ??= new ZoneModel(disk.Zones!.Limits, length);
                model.Reopen();
                await Compare(disk, model, $"seed {seed}, session {session}, opened");
                for (int step = 0; step < 150; step++)
                {
                    await Step(disk, model, random, $"seed {seed}, session {session}, step {step}");
                }

                await Compare(disk, model, $"seed {seed}, session {session}, at its end");
            }

            var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, line => Assert.Fail($"seed {seed}: {line}"));
            Assert.True(report is { Corruptions: 0, Leaks: 0, CheckErrors: 0 }, $"seed {seed}: {report}");
        }
    }

    private static ZonedCreateOptions Shape(Random random, ZoneLayout layout, int cluster, out long length)
    {
        long size = layout == ZoneLayout.C ? Math.Max(cluster, 1L << random.Next(12, 18)) : 512L * random.Next(1, 300);
        int count = random.Next(2, 10);
        uint conventional = random.Next(2) == 0 ? 0 : (uint)random.Next(count);
        uint active = random.Next(2) == 0 ? 0 : (uint)random.Next(2, 5);
        long cut = random.Next(2) == 0 ? 0 : 512 * random.Next((int)(size / 512));
        length = (count * size) - cut;
        return new ZonedCreateOptions
        {
            Layout = layout,
            ZoneSize = size,
            ZoneCapacity = random.Next(2) == 0 ? null : 512L * random.Next(1, (int)(size / 512) + 1),
            ConventionalZones = conventional,
            MaxActiveZones = active,
            MaxOpenZones = Math.Min(active == 0 ? 3 : active, (uint)count - conventional),
            MaxAppendBytes = layout == ZoneLayout.C ? 0 : 65536,
        };
    }

    private static async Task Step(IBlockDevice disk, ZoneModel model, Random random, string where)
    {
        var zone = model.Report()[random.Next(model.Count)];
        long room = zone.Start + zone.Capacity - zone.WritePointer;
        int length = random.Next(15) == 0 ? random.Next(1, 70000) : 512 * random.Next(1, 100);
        length = random.Next(4) > 0 ? (int)Math.Min(length, Math.Max(512, room)) : length;
        var data = new byte[length];
        random.NextBytes(data);
        long at = random.Next(10) == 0 ? random.NextInt64(disk.Length) : zone.WritePointer;
        switch (random.Next(20))
        {
            case < 7:
                await Same($"{where}: write {at} {length}", model.Write(at, data), () => disk.WriteAsync(at, data));
                break;
            case < 11:
                var expected = model.Append(zone.Start, data, out long landed);
                await Same(
                    $"{where}: append {zone.Start} {length}", expected,
                    async () => Assert.Equal(landed, await disk.Zones!.AppendAsync(zone.Start, data)));
                break;
            case 11 or 12:
                await Same($"{where}: zeroes {at} {length}", model.WriteZeroes(at, length), () => disk.WriteZeroesAsync(at, length));
                break;
            case < 17:
                var action = (ZoneAction)random.Next(4);
                long end = random.Next(8) == 0 ? disk.Length : zone.Start + zone.Length;
                await Same(
                    $"{where}: {action} {zone.Start} {end - zone.Start}",
                    model.Manage(action, zone.Start, end - zone.Start), ()
                        => disk.Zones!.ManageAsync(action, zone.Start, end - zone.Start));
                break;
            case 17:
                long resized = 512 * random.NextInt64(1, (disk.Zones!.Limits.ZoneSize * 8 / 512) + 1);
                await Same($"{where}: resize {resized}", model.Resize(resized), () => disk.ResizeAsync(resized));
                break;
            case 18:
                // A refused discard of a sequential zone; what a conventional one reads as after a discard is nobody's promise.
                if (zone.Type == ZoneType.SequentialWriteRequired)
                {
                    await Same($"{where}: discard {zone.Start}", ZoneError.Sequential, () => disk.DiscardAsync(zone.Start, zone.Length));
                }

                break;
            default:
                await disk.FlushAsync();
                break;
        }

        await SameReport(disk, model, where);
    }

    private static async Task Same(string what, ZoneError expected, Func<ValueTask> request)
    {
        var actual = ZoneError.None;
        try
        {
            await request();
        }
        catch (ZoneException refused)
        {
            actual = refused.Reason;
        }
        catch (BlockException outside) when (outside.Error == BlockError.OutOfRange)
        {
            actual = ZoneError.OutOfRange;
        }
        catch (BlockException other)
        {
            Assert.Fail($"{what}: {other.Message}, the model says {expected}");
        }

        Assert.True(expected == actual, $"{what}: {actual}, the model says {expected}");
    }

    private static async Task Compare(IBlockDevice disk, ZoneModel model, string where)
    {
        Assert.Equal(model.Length, disk.Length);
        await SameReport(disk, model, where);
        var bytes = new byte[disk.Length];
        await disk.ReadAsync(0, bytes);
        int same = bytes.AsSpan().CommonPrefixLength(model.Read(0, bytes.Length));
        Assert.True(same == bytes.Length, $"{where}: byte {same} differs from the model's");
    }

    private static async Task SameReport(IBlockDevice disk, ZoneModel model, string where)
    {
        var zones = new ZoneDescriptor[disk.Zones!.Limits.ZoneCount + 5];
        int count = await disk.Zones!.ReportAsync(0, zones);
        Assert.True(model.Report().AsSpan().SequenceEqual(zones.AsSpan(0, count)), $"{where}: the report differs from the model's");
    }
}
