using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Takes, deletes and applies snapshots among writes, and cuts power at every moment of the run. Afterwards the disk is the one before or
/// after an apply, every snapshot reads as at its moment, and the image is sound, or marked dirty and sound after the repair of its next
/// opening. Version 2 has no such mark: there COPIED flags may be left wrong, which a repair corrects.
/// </summary>
internal sealed class SnapshotCutRun(int seed, SimOptions options) : SimRun(seed, options)
{
    private const int Sector = SectorPattern.Sector, MaxCuts = 300, MaxSnapshots = 5, MaxSectors = 2048;

    private readonly List<Segment> _segments = [];
    private readonly List<Snapshot> _snapshots = [];
    private ImageRecipe _recipe = null!;
    private CrashStorage _disk = null!;
    private CheckedDevice _device = null!;
    private Timeline _timeline = null!;
    private uint _version = 1;

    private Segment Now => _segments[^1];

    private IQcow2Snapshots Table => ((IQcow2Device)_device).Snapshots;

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        _recipe = await ImageRecipe.MakeForResizeAsync(Random, Options.Extended, 512, 512, 4096, 4096, 65536);
        Trace(_recipe.ToString());
        _disk = new CrashStorage(await _recipe.BuildAsync());
        _timeline = new Timeline(() => _disk.Log.Count);
        _segments.Add(new Segment(new SectorHistory(_recipe.Start), 0));
        _device = await _recipe.OpenAsync(_disk);
        for (int i = 0; i < Options.Ops / 2; i++)
        {
            await StepAsync();
        }

        await ScanAsync(_device, Now.History.CheckNow);
        await CloseAsync();
        _timeline.Seal();
        await CheckAsync(_disk.Live, leaksAllowed: _recipe.Create.RefcountBits <= 2, "after the run");
        await CheckSnapshotsAsync(_disk.Live, int.MaxValue);
        await TryCutsAsync();
    }

    private async Task StepAsync()
    {
        int sectors = Now.History.Sectors;
        int first = Random.Next(sectors), count = Math.Min(1 + Random.Next(Random.Next(3) == 0 ? 200 : 12), sectors - first);
        long offset = (long)first * Sector;
        int length = count * Sector;
        switch (Random.Next(100))
        {
            case < 45:
                uint version = ++_version;
                Trace($"write {offset} {length} version {version} at log {_disk.Log.Count}");
                await ChangeAsync(offset, length, version, () => _device.WriteAsync(offset, SectorPattern.Make(offset, length, version)));
                break;
            case < 55:
                var flags = Pick(ZeroFlags.None, ZeroFlags.MayUnmap);
                Trace($"zero {offset} {length} {flags} at log {_disk.Log.Count}");
                await ChangeAsync(offset, length, 0, () => _device.WriteZeroesAsync(offset, length, flags));
                break;
            case < 60:
                Trace($"flush at log {_disk.Log.Count}");
                await FlushAsync(() => _device.FlushAsync());
                break;
            case < 64:
                Trace($"reopen at log {_disk.Log.Count}");
                await CloseAsync();
                await CheckAsync(_disk.Live, leaksAllowed: _recipe.Create.RefcountBits <= 2, "after closing");
                await CheckSnapshotsAsync(_disk.Live, int.MaxValue);
                _device = await _recipe.OpenAsync(_disk);
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
                await ScanAsync(_device, Now.History.CheckNow);
                break;
        }
    }

    private async Task ChangeAsync(long offset, int length, uint version, Func<ValueTask> request)
    {
        var op = _timeline.Begin();
        Now.History.Write(op, offset, length, version);
        await request();
        _timeline.Acknowledge(op);
        Now.History.Acknowledged(offset, length, version);
    }

    private async Task FlushAsync(Func<ValueTask> request)
    {
        var flush = _timeline.BeginFlush();
        await request();
        _timeline.Acknowledge(flush);
    }

    private Task CloseAsync() => FlushAsync(() => _device.DisposeAsync());

    private async Task CreateAsync()
    {
        if (_snapshots.Count(static s => s.DeletedFrom == int.MaxValue) >= MaxSnapshots)
        {
            return;
        }

        var snapshot = new Snapshot($"s{_snapshots.Count}", Contents(), _disk.Log.Count);
        Trace($"snapshot {snapshot.Name} at log {_disk.Log.Count}");
        try
        {
            await FlushAsync(async () => snapshot.Info = await Table.CreateAsync(snapshot.Name, DateTimeOffset.UnixEpoch));
            snapshot.MadeBy = _disk.Log.Count;
            _snapshots.Add(snapshot);
        }
        catch (BlockException e) when (e.Error == BlockError.InvalidArgument && _recipe.Create.RefcountBits <= 4)
        {
            Trace("refused: the counts are too narrow");
        }

        await ScanAsync(_device, Now.History.CheckNow);
    }

    private async Task DeleteAsync()
    {
        if (PickSnapshot() is not { } snapshot)
        {
            return;
        }

        Trace($"delete {snapshot.Name} at log {_disk.Log.Count}");
        snapshot.DeletedFrom = _disk.Log.Count;
        await FlushAsync(() => Table.DeleteAsync(snapshot.Info!));
        snapshot.DeletedBy = _disk.Log.Count;
        await ScanAsync(_device, Now.History.CheckNow);
    }

    private async Task ApplyAsync()
    {
        if (PickSnapshot() is not { } snapshot)
        {
            return;
        }

        Trace($"apply {snapshot.Name} at log {_disk.Log.Count}");
        Now.Until = _disk.Log.Count;
        Now.Next = snapshot.Contents;
        try
        {
            await FlushAsync(() => Table.ApplyAsync(snapshot.Info!));
            _segments.Add(new Segment(new SectorHistory(snapshot.Contents), _disk.Log.Count));
        }
        catch (BlockException e) when (e.Error == BlockError.InvalidArgument && _recipe.Create.RefcountBits <= 4)
        {
            Trace("refused: the counts are too narrow");
            Now.Until = int.MaxValue;
        }

        await ScanAsync(_device, Now.History.CheckNow);
    }

    private async Task ResizeAsync()
    {
        if (_recipe.Create.Version < 3)
        {
            return;
        }

        int sectors = Random.Next(1, MaxSectors);
        Trace($"resize to {sectors} sectors at log {_disk.Log.Count}");
        Now.Until = _disk.Log.Count;
        var next = Contents();
        Array.Resize(ref next, sectors);
        Now.Next = next;
        await FlushAsync(() => _device.ResizeAsync((long)sectors * Sector));
        _segments.Add(new Segment(new SectorHistory(next), _disk.Log.Count));
        await ScanAsync(_device, Now.History.CheckNow);
    }

    private Snapshot? PickSnapshot()
    {
        var all = _snapshots.Where(static s => s.DeletedFrom == int.MaxValue).ToArray();
        return all.Length == 0 ? null : all[Random.Next(all.Length)];
    }

    private uint[] Contents() => [.. Enumerable.Range(0, Now.History.Sectors).Select(i => Now.History.Now(i))];

    private static async Task ScanAsync(IBlockDevice device, Action<long, long> check)
    {
        var bytes = new byte[device.Length];
        await device.ReadAsync(0, bytes);
        for (int at = 0; at < bytes.Length; at += Sector)
        {
            check(at / Sector, SectorPattern.Identify(bytes.AsSpan(at, Sector), at));
        }
    }

    private async Task TryCutsAsync()
    {
        int positions = _disk.Log.Count + 1;
        var cut = new PowerCut(_disk.Log);
        for (int position = 0; position < positions; position++)
        {
            if (positions > MaxCuts && Random.Next(positions) >= MaxCuts)
            {
                continue;
            }

            int cutSeed = Random.Next();
            try
            {
                await TryCutAsync(cut.At(position, cutSeed), position);
            }
            catch (Exception e)
            {
                Dump(cut.At(position, cutSeed), $"cut{position}");
                throw new SimFailure($"cut at {position} of {positions - 1}, cut seed {cutSeed}: {e}");
            }

            Cuts++;
        }
    }

    private async Task TryCutAsync(PagedStorage image, int position)
    {
        var features = new byte[1];
        image.Read(79, features);
        bool isMarked = _recipe.Create.Version >= 3 && (features[0] & 1) != 0;
        if (_recipe.Create.Version < 3)
        {
            await RepairFlagsAsync(image);
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
        await CheckAsync(image, leaksAllowed: true, "after the cut, opened and closed again");
        await CheckSnapshotsAsync(image, position);
    }

    // all of it the disk before a switch, or all of it the disk after one that was in flight
    private async Task CheckDiskAsync(CheckedDevice device, int position)
    {
        var now = _segments[_segments.FindLastIndex(segment => segment.From <= position)];
        var found = new long[device.Length / Sector];
        await ScanAsync(device, (sector, version) => found[sector] = version);
        if (position > now.Until && now.Next!.Length == found.Length && found.SequenceEqual(now.Next.Select(static v => (long)v)))
        {
            return;
        }

        SimFailure.Unless(now.History.Sectors == found.Length, $"the disk has {found.Length} sectors after a cut at {position}");
        for (int sector = 0; sector < found.Length; sector++)
        {
            now.History.CheckAfterCut(sector, found[sector], position);
        }
    }

    private static async Task RepairFlagsAsync(PagedStorage image)
    {
        var lines = new List<string>();
        await Qcow2Image.CheckAsync(image, Qcow2Repair.None, lines.Add);
        string? other = lines.Find(static line
            => !line.StartsWith("Leaked cluster", StringComparison.Ordinal)
                && !line.StartsWith("ERROR OFLAG_COPIED", StringComparison.Ordinal));
        SimFailure.Unless(other is null, $"check after the cut: {other}");
        await Qcow2Image.CheckAsync(image, Qcow2Repair.All);
    }

    private void CheckList(CheckedDevice device, int position)
    {
        var found = ((IQcow2Device)device).Snapshots.List.Select(static s => s.Name).ToHashSet();
        foreach (var snapshot in _snapshots)
        {
            bool may = snapshot.MadeFrom < position && position < snapshot.DeletedBy;
            bool must = snapshot.MadeBy <= position && position <= snapshot.DeletedFrom;
            bool has = found.Contains(snapshot.Name);
            SimFailure.Unless(has ? may : !must, $"snapshot {snapshot.Name} is {(has ? "there" : "missing")} after a cut at {position}");
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
        var snapshots = _snapshots.Where(s => s.MadeFrom < position && s.DeletedBy > position);
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

    /// <summary>Events between two switches of the whole disk.</summary>
    /// <param name="history">History of the sectors.</param>
    /// <param name="from">Log length at the end of the first switch.</param>
    private sealed class Segment(SectorHistory history, int from)
    {
        public SectorHistory History => history;

        public int From => from;

        /// <summary>Log length at the start of the next switch.</summary>
        public int Until { get; set; } = int.MaxValue;

        /// <summary>Contents after the next switch.</summary>
        public uint[]? Next { get; set; }
    }

    /// <summary>A snapshot that was taken.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="contents">Version of each sector.</param>
    /// <param name="from">Log length before it was taken.</param>
    private sealed class Snapshot(string name, uint[] contents, int from)
    {
        public string Name => name;

        public uint[] Contents => contents;

        public int MadeFrom => from;

        public int MadeBy { get; set; } = int.MaxValue;

        public int DeletedFrom { get; set; } = int.MaxValue;

        public int DeletedBy { get; set; } = int.MaxValue;

        public Qcow2SnapshotInfo? Info { get; set; }
    }
}
