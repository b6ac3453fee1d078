using Paddock.Block;
using Paddock.Qcow2.Tests.Zoned;
using Paddock.Testing;
using static Paddock.Qcow2.Tests.Zoned.AttributeBench;

namespace Paddock.Qcow2.Tests.Crash;

/// <summary>The power goes at every write of each change of a condition or an extension: the old state is there, or the new one.</summary>
public class ZoneAttributeCutTests
{
    [Theory]
    [InlineData(ZoneLayout.A, 512, false)]
    [InlineData(ZoneLayout.B, 4096, true)]
    [InlineData(ZoneLayout.C, 65536, false)]
    public async Task Power_cut_at_any_write_leaves_old_or_new_attributes(ZoneLayout layout, int cluster, bool lazy)
    {
        Func<IBlockDevice, ValueTask>[] changes =
        [
            d => d.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.ReadOnly),
            d => d.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.Offline),
            d => d.Zones!.Attributes!.SetConditionAsync(2, ZoneCondition.Offline),
            d => d.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.Empty),
            d => d.Zones!.Attributes!.WriteExtensionAsync(3, Extension(3)),
            d => d.Zones!.Attributes!.WriteExtensionAsync(7, Extension(7)),
            d => d.Zones!.ManageAsync(ZoneAction.Reset, 3 * Zone, Zone),
            d => d.Zones!.Attributes!.WriteExtensionAsync(3, Extension(4)),
            async d => await d.Zones!.AppendAsync(3 * Zone, Extension(1, 2048), WriteFlags.Fua),
            d => d.Zones!.ManageAsync(ZoneAction.Reset, 3 * Zone, Zone),
            async d => await d.Zones!.AppendAsync(3 * Zone, Extension(1, 512), WriteFlags.Fua),
            d => d.Zones!.ManageAsync(ZoneAction.Reset, 3 * Zone, Zone),
            d => d.Zones!.Attributes!.WriteExtensionAsync(3, Extension(5)),
            d => d.Zones!.ManageAsync(ZoneAction.Finish, 3 * Zone, Zone),
            d => d.FlushAsync(),
            d => d.Zones!.ManageAsync(ZoneAction.Reset, 3 * Zone, Zone),
            d => d.Zones!.Attributes!.SetConditionAsync(2, ZoneCondition.Empty),
        ];
        await RunAsync(await MakeAsync(layout, cluster, lazy: lazy), changes, lazy, "");
    }

    [Fact]
    public async Task Power_cut_in_random_changes_leaves_old_or_new_attributes()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        for (int run = 0; run < 6; run++)
        {
            var changes = new Func<IBlockDevice, ValueTask>[24];
            for (int i = 0; i < changes.Length; i++)
            {
                int zone = random.Next(8), length = 512 * random.Next(1, 40);
                byte value = (byte)random.Next(1, 255);
                var condition = (ZoneCondition)(
                    random.Next(4) switch { 0 => ZoneCondition.ReadOnly, 1 => ZoneCondition.Offline, _ => ZoneCondition.Empty });
                int kind = random.Next(10);
                changes[i] = async disk =>
                {
                    try
                    {
                        await (kind switch
                        {
                            < 2 => disk.Zones!.Attributes!.SetConditionAsync(zone, condition),
                            < 5 => disk.Zones!.Attributes!.WriteExtensionAsync(zone, Extension(value)),
                            < 7 => disk.Zones!.ManageAsync(ZoneAction.Reset, zone * Zone, Zone),
                            _ => new ValueTask(disk.Zones!.AppendAsync(zone * Zone, Extension(value, length), WriteFlags.Fua).AsTask()),
                        });
                    }
                    catch (ZoneException)
                    {
                        // refused: nothing has changed
                    }
                };
            }

            int cluster = random.Next(2) == 0 ? 512 : 4096;
            await RunAsync(await MakeAsync((ZoneLayout)random.Next(3), cluster, active: (uint)random.Next(2) * 4), changes, false,
                $"seed {seed}, run {run}: ");
        }
    }

    [Fact]
    public async Task Reset_after_failed_reset_removes_pointer_and_extension_together()
    {
        var disk = new CrashStorage(await MakeAsync()) { FlushFailureLoses = false };
        await using var device = await OpenAsync(disk);
        await device.Zones!.Attributes!.WriteExtensionAsync(3, Extension(3));
        await device.Zones!.AppendAsync(3 * Zone, Extension(1, 2048), WriteFlags.Fua);
        string before = await StateAsync(device);
        int from = disk.Log.Count;
        disk.FailFlush = disk.FlushesAsked + 1;
        await Assert.ThrowsAsync<BlockException>(() => device.Zones!.ManageAsync(ZoneAction.Reset, 3 * Zone, Zone).AsTask());
        Assert.Equal(before, await StateAsync(device));
        await device.Zones!.ManageAsync(ZoneAction.Reset, 3 * Zone, Zone);
        string[] possible = [before, await StateAsync(device)];
        var cut = new PowerCut(disk.Log);
        for (int position = from; position <= disk.Log.Count; position++)
        {
            for (int seed = 0; seed < 100; seed++)
            {
                await using var after = await OpenAsync(cut.At(position, seed));
                Assert.Contains(await StateAsync(after), possible);
            }
        }
    }

    private static async Task RunAsync(PagedStorage start, Func<IBlockDevice, ValueTask>[] changes, bool lazy, string name)
    {
        var disk = new CrashStorage(start);
        var device = await OpenAsync(disk);
        var marks = new List<(int Position, string State)> { (0, await StateAsync(device)) };
        foreach (var change in changes)
        {
            await change(device);
            marks.Add((disk.Log.Count, await StateAsync(device)));
        }

        await device.DisposeAsync();
        var cut = new PowerCut(disk.Log);
        int step = 0;
        for (int position = 0; position <= disk.Log.Count; position++)
        {
            while (step + 1 < marks.Count && marks[step + 1].Position <= position)
            {
                step++;
            }

            // before an acknowledgement: the state before or after; a finish is durable only with the flush behind it
            int early = name.Length == 0 && step == 14 ? 1 : 0;
            var possible = marks.Skip(step - early).Take(2 + early).Select(m => m.State).ToHashSet();
            for (int seed = 0; seed < 4; seed++)
            {
                var image = cut.At(position, (position * 4) + seed);
                if (!lazy)
                {
                    await CheckCleanAsync(image, leaksAllowed: true);
                }

                await using (var again = await OpenAsync(image))
                {
                    string state = await StateAsync(again);
                    Assert.True(possible.Contains(state),
                        $"{name}cut at {position}, step {step}, seed {seed}: {state}, not one of {string.Join(" | ", possible)}");
                }

                await CheckCleanAsync(image, leaksAllowed: true);
            }
        }
    }

    /// <summary>Conditions as they are after reopening, pointers and extensions.</summary>
    private static async Task<string> StateAsync(IBlockDevice device)
    {
        var zones = new ZoneDescriptor[8];
        await device.Zones!.ReportAsync(0, zones);
        var text = new List<string>();
        for (int i = 0; i < zones.Length; i++)
        {
            int extension = await ExtensionAsync(device, i);
            var condition = zones[i].Condition == ZoneCondition.ImplicitlyOpen ? ZoneCondition.Closed : zones[i].Condition;
            text.Add($"{condition}@{zones[i].WritePointer - zones[i].Start}/{extension}");
        }

        return string.Join(' ', text);
    }
}
