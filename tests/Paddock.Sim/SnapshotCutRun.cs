using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Takes, deletes and applies snapshots among writes, and cuts power at every moment of the run. Afterwards the disk is the one before or
/// after an apply, every snapshot reads as at its moment, and the image is sound, or marked dirty and sound after the repair of its next
/// opening. Version 2 has no such mark: there COPIED flags may be left wrong, which a repair corrects.
/// </summary>
internal sealed class SnapshotCutRun(int seed, SimOptions options) : SegmentedRun(seed, options)
{
    private const int MaxSnapshots = 5, MaxSectors = 2048;

    private readonly List<SnapshotLife<uint[]>> _snapshots = [];
    private ImageRecipe _recipe = null!;
    private uint _version = 1;

    private IQcow2Snapshots Table => ((IQcow2Device)Device).Snapshots;

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        _recipe = await ImageRecipe.MakeForResizeAsync(Random, Options.Extended, 512, 512, 4096, 4096, 65536);
        _recipe = Random.Next(6) == 0 ? _recipe.Encrypted(Random) : _recipe;
        await BeginAsync(_recipe);
        for (int i = 0; i < Options.Ops / 2; i++)
        {
            await StepAsync();
        }

        await ScanAsync(Device, Now.History.CheckNow);
        await CloseAsync();
        Timeline.Seal();
        await CheckAsync(Disks.Image.Live, leaksAllowed: _recipe.Create.RefcountBits <= 2, "after the run");
        await CheckSnapshotsAsync(Disks.Image.Live, int.MaxValue);
        await CutAsync(Disks, MaxCuts, 1, (image, _, position) => TryCutAsync(image, position));
    }

    private async Task StepAsync()
    {
        var (offset, length) = Range();
        switch (Random.Next(100))
        {
            case < 3:
                await MarkAsync(offset, length);
                break;
            case < 30:
                await WriteAsync(offset, length, ++_version);
                break;
            case < 45:
                await CopyAsync(offset, length, _recipe.Create.ClusterSize);
                break;
            case < 55:
                await ZeroAsync(offset, length);
                break;
            case < 60:
                Trace($"flush at log {Disks.Position}");
                await FlushAsync(() => Device.FlushAsync());
                break;
            case < 64:
                Trace($"reopen at log {Disks.Position}");
                await CloseAsync();
                await CheckAsync(Disks.Image.Live, leaksAllowed: _recipe.Create.RefcountBits <= 2, "after closing");
                await CheckSnapshotsAsync(Disks.Image.Live, int.MaxValue);
                Device = await _recipe.OpenAsync(Disks.Image);
                break;
            case < 78:
                await CreateAsync();
                break;
            case < 86:
                await DeleteAsync();
                break;
            case < 93:
                await ApplyAsync();
                break;
            case < 96:
                await ResizeAsync();
                break;
            default:
                await ScanAsync(Device, Now.History.CheckNow);
                break;
        }
    }

    private async Task CreateAsync()
    {
        if (_snapshots.Count(static s => s.Exists) >= MaxSnapshots || Now.History.HasUnreadable(0, Now.History.Sectors))
        {
            return;
        }

        var snapshot = new SnapshotLife<uint[]>($"s{_snapshots.Count}", Contents(), Disks.Position);
        Trace($"snapshot {snapshot.Name} at log {Disks.Position}");
        try
        {
            await FlushAsync(async () => snapshot.Info = await Table.CreateAsync(snapshot.Name, DateTimeOffset.UnixEpoch));
            snapshot.MadeBy = Disks.Position;
            _snapshots.Add(snapshot);
        }
        catch (BlockException e) when (e.Error == BlockError.InvalidArgument && _recipe.Create.RefcountBits <= 4)
        {
            Trace("refused: the counts are too narrow");
        }

        await ScanAsync(Device, Now.History.CheckNow);
    }

    private async Task DeleteAsync()
    {
        if (PickSnapshot() is not { } snapshot)
        {
            return;
        }

        Trace($"delete {snapshot.Name} at log {Disks.Position}");
        snapshot.DeletedFrom = Disks.Position;
        await FlushAsync(() => Table.DeleteAsync(snapshot.Info!));
        snapshot.DeletedBy = Disks.Position;
        await ScanAsync(Device, Now.History.CheckNow);
    }

    private async Task ApplyAsync()
    {
        if (PickSnapshot() is not { } snapshot)
        {
            return;
        }

        Trace($"apply {snapshot.Name} at log {Disks.Position}");
        Now.Until = Disks.Position;
        Now.Next = snapshot.Contents;
        try
        {
            await FlushAsync(() => Table.ApplyAsync(snapshot.Info!));
            Segments.Add(new Segment(new SectorHistory(snapshot.Contents), Disks.Position));
        }
        catch (BlockException e) when (e.Error == BlockError.InvalidArgument && _recipe.Create.RefcountBits <= 4)
        {
            Trace("refused: the counts are too narrow");
            Now.Until = int.MaxValue;
        }

        await ScanAsync(Device, Now.History.CheckNow);
    }

    private async Task ResizeAsync()
    {
        if (_recipe.Create.Version < 3)
        {
            return;
        }

        int sectors = Random.Next(1, MaxSectors);
        Trace($"resize to {sectors} sectors at log {Disks.Position}");
        Now.Until = Disks.Position;
        var next = Contents();
        Array.Resize(ref next, sectors);
        Now.Next = next;
        await FlushAsync(() => Device.ResizeAsync((long)sectors * Sector));
        Segments.Add(new Segment(new SectorHistory(next), Disks.Position));
        await ScanAsync(Device, Now.History.CheckNow);
    }

    private SnapshotLife<uint[]>? PickSnapshot()
    {
        var all = _snapshots.Where(static s => s.Exists).ToArray();
        return all.Length == 0 ? null : all[Random.Next(all.Length)];
    }

    private uint[] Contents() => [.. Enumerable.Range(0, Now.History.Sectors).Select(i => Now.History.Now(i))];

    private async Task TryCutAsync(PagedStorage image, int position)
    {
        bool isMarked = _recipe.Create.Version >= 3 && IsMarked(image);
        if (_recipe.Create.Version < 3)
        {
            // used as it is half of the time: wrong flags must do no harm
            await CheckFlagsAsync(image, repairs: Random.Next(2) == 0);
        }
        else if (!isMarked)
        {
            await CheckAsync(image, leaksAllowed: true, "after the cut");
        }

        var device = await _recipe.OpenAsync(image);
        await CheckDiskAsync(device, position);
        CheckList(device, position);
        await WriteOverAsync(device);
        await device.DisposeAsync();
        if (_recipe.Create.Version < 3)
        {
            await CheckFlagsAsync(image, repairs: false);
        }
        else
        {
            await CheckAsync(image, leaksAllowed: true, "after the cut, opened and closed again");
        }

        await CheckSnapshotsAsync(image, position);
    }

    // all of it the disk before a switch, or all of it the disk after one that was in flight
    private async Task CheckDiskAsync(CheckedDevice device, int position)
    {
        var now = Segments[Segments.FindLastIndex(segment => segment.From <= position)];
        var found = new long[device.Length / Sector];
        await ScanAsync(device, (sector, version) => found[sector] = version);
        if (position > now.Until && now.Next!.Length == found.Length && Enumerable.Range(0, found.Length).All(IsNext))
        {
            return;
        }

        // what was unreadable may still be, until the apply has ended
        bool IsNext(int sector) => found[sector] == now.Next[sector]
            || (found[sector] == SectorPattern.Unreadable && sector < now.History.Sectors && now.History.HasUnreadable(sector, 1));

        SimFailure.Unless(now.History.Sectors == found.Length, $"the disk has {found.Length} sectors after a cut at {position}");
        for (int sector = 0; sector < found.Length; sector++)
        {
            now.History.CheckAfterCut(sector, found[sector], position);
        }
    }

    private static async Task CheckFlagsAsync(PagedStorage image, bool repairs)
    {
        var lines = new List<string>();
        await Qcow2Image.CheckAsync(image, Qcow2Repair.None, lines.Add);
        string? other = lines.Find(static line
            => !line.StartsWith("Leaked cluster", StringComparison.Ordinal)
                && !line.StartsWith("ERROR OFLAG_COPIED", StringComparison.Ordinal));
        SimFailure.Unless(other is null, $"check after the cut: {other}");
        if (repairs)
        {
            await Qcow2Image.CheckAsync(image, Qcow2Repair.All);
        }
    }

    private void CheckList(CheckedDevice device, int position)
    {
        var found = ((IQcow2Device)device).Snapshots.List.Select(static s => s.Name).ToHashSet();
        foreach (var snapshot in _snapshots)
        {
            snapshot.Check(found.Contains(snapshot.Name), position);
        }
    }

    // new writes must hit no snapshot
    private async Task WriteOverAsync(CheckedDevice device)
    {
        for (int i = 0; i < Random.Next(4); i++)
        {
            int first = Random.Next((int)(device.Length / Sector));
            int count = Math.Min(1 + Random.Next(40), (int)(device.Length / Sector) - first);
            await device.WriteAsync((long)first * Sector, SectorPattern.Make((long)first * Sector, count * Sector, ++_version));
        }
    }

    private async Task CheckSnapshotsAsync(PagedStorage image, int position)
    {
        var snapshots = _snapshots.Where(s => s.MayExist(position));
        foreach (var snapshot in snapshots)
        {
            IQcow2Device device;
            try
            {
                device = await _recipe.OpenSnapshotAsync(image, snapshot.Name);
            }
            catch (BlockException e) when (e.Error == BlockError.NotFound)
            {
                continue;
            }

            long length = snapshot.Contents.Length * (long)Sector;
            SimFailure.Unless(device.Length == length, $"snapshot {snapshot.Name} has {device.Length} bytes, not {length}");
            await ScanAsync(device, (sector, found) => SimFailure.Unless(
                found == snapshot.Contents[sector],
                $"sector {sector} of snapshot {snapshot.Name} reads as {found}, not {snapshot.Contents[sector]}"));
            await device.DisposeAsync();
        }
    }
}
