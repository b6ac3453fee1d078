using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Cuts power at every moment of a run with snapshots of a zoned disk. Afterwards the disk is the one before or after an apply or a resize,
/// with data, write pointers, conditions and descriptor extensions of one moment, and every snapshot is as it was.
/// </summary>
internal sealed class ZoneSnapshotCutRun(int seed, SimOptions options) : ZoneSnapshotRun(seed, options)
{
    private const int MaxCuts = 300;

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        await BeginAsync();
        for (int i = 0; i < Options.Ops; i++)
        {
            await StepAsync();
        }

        await VerifyAsync("at the end");
        await CloseAsync();
        Timeline.Seal();
        await CheckAsync(Disks.Image.Live, leaksAllowed: Recipe.Create.RefcountBits <= 2, "after the run");
        await CheckSnapshotsAsync(Disks.Image.Live, int.MaxValue);
        await CutAsync(Disks, MaxCuts, 1, (image, _, position) => TryCutAsync(image, position));
    }

    private async Task TryCutAsync(PagedStorage image, int position)
    {
        var features = new byte[1];
        image.Read(79, features);
        if ((features[0] & 1) == 0)
        {
            await CheckAsync(image, leaksAllowed: true, "after the cut");
        }

        var part = Parts[Parts.FindLastIndex(p => p.From <= position)];
        if (Random.Next(4) == 0)
        {
            // a reader repairs nothing, and sees the same
            await using var reader = await Recipe.OpenAsync(image.Clone(), readOnly: true);
            part.CheckAfterCut(await FoundDisk.ReadAsync(reader, mayBeOpen: false), position);
        }

        var device = await Recipe.OpenAsync(image);
        var found = await FoundDisk.ReadAsync(device, mayBeOpen: false);
        part.CheckAfterCut(found, position);
        await CheckBitmapAsync(device, found, position);
        var names = device.Snapshots.List.Select(static s => s.Name).ToHashSet();
        Snapshots.ForEach(s => s.Check(names.Contains(s.Name), position));
        await GoOnAsync(device, found);
        await device.DisposeAsync();
        await CheckAsync(image, leaksAllowed: true, "after the cut, used and closed again");
        await CheckSnapshotsAsync(image, position);
    }

    // new writes must hit no snapshot, and a zone that is reset has no extension left
    private async Task GoOnAsync(IQcow2Device device, FoundDisk found)
    {
        foreach (var zone in found.Zones.Where(_ => Random.Next(3) == 0).Select(static z => z.Descriptor))
        {
            if (zone.Condition is ZoneCondition.Offline or ZoneCondition.ReadOnly)
            {
                continue;
            }

            await device.Zones!.ManageAsync(ZoneAction.Reset, zone.Start, zone.Length);
            SimFailure.Unless(
                !device.Zones.Attributes!.HasExtension((int)(zone.Start / Recipe.Zones.ZoneSize)), "a reset zone has an extension");
            try
            {
                await device.WriteAsync(zone.Start, SectorPattern.Make(zone.Start, (int)Math.Min(zone.Capacity, 20 * Sector), 1 << 30));
            }
            catch (ZoneException)
            {
                // too many zones are active
            }
        }
    }
}
