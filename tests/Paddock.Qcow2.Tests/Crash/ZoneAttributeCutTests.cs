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
    public async Task A_cut_at_any_write_leaves_the_old_or_the_new_state(ZoneLayout layout, int cluster, bool lazy)
    {
        Func<IZonedBlockDevice, ValueTask>[] changes =
        [
            d => d.Attributes!.SetConditionAsync(1, ZoneCondition.ReadOnly),
            d => d.Attributes!.SetConditionAsync(1, ZoneCondition.Offline),
            d => d.Attributes!.SetConditionAsync(2, ZoneCondition.Offline),
            d => d.Attributes!.SetConditionAsync(1, ZoneCondition.Empty),
            d => d.Attributes!.WriteExtensionAsync(3, Extension(3)),
            d => d.Attributes!.WriteExtensionAsync(7, Extension(7)),
            d => d.ManageZonesAsync(ZoneAction.Reset, 3 * Zone, Zone),
            d => d.Attributes!.WriteExtensionAsync(3, Extension(4)),
            async d => await d.AppendAsync(3 * Zone, Extension(1, 2048), WriteFlags.Fua),
            d => d.ManageZonesAsync(ZoneAction.Reset, 3 * Zone, Zone),
            async d => await d.AppendAsync(3 * Zone, Extension(1, 512), WriteFlags.Fua),
            d => d.ManageZonesAsync(ZoneAction.Reset, 3 * Zone, Zone),
            d => d.Attributes!.WriteExtensionAsync(3, Extension(5)),
            d => d.ManageZonesAsync(ZoneAction.Finish, 3 * Zone, Zone),
            d => d.FlushAsync(),
            d => d.ManageZonesAsync(ZoneAction.Reset, 3 * Zone, Zone),
            d => d.Attributes!.SetConditionAsync(2, ZoneCondition.Empty),
        ];
        var disk = new CrashStorage(await MakeAsync(layout, cluster, lazy: lazy));
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
            var possible = marks.Skip(Math.Max(0, step == 14 ? step - 1 : step)).Take(step == 14 ? 3 : 2).Select(m => m.State).ToHashSet();
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
                    Assert.True(possible.Contains(state), $"cut at {position}, step {step}, seed {seed}: {state}, not one of {string.Join(" | ", possible)}");
                }

                await CheckCleanAsync(image, leaksAllowed: true);
            }
        }
    }

    /// <summary>Conditions as they are after reopening, pointers and extensions.</summary>
    private static async Task<string> StateAsync(IZonedBlockDevice device)
    {
        var zones = new ZoneDescriptor[8];
        await device.ReportZonesAsync(0, zones);
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
