using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Takes, deletes and applies snapshots of a zoned disk among writes, appends, resets, finishes, resizes, READ ONLY and OFFLINE zones and
/// descriptor extensions. A derived class breaks the run.
/// </summary>
internal abstract class ZoneSnapshotRun(int seed, SimOptions options) : SimRun(seed, options)
{
    protected const int Sector = SectorPattern.Sector;
    private const int MaxSnapshots = 4, MaxZones = 12;

    private uint _version;
    private BitmapWatch? _bitmap;

    protected ZonedRecipe Recipe { get; private set; } = null!;

    protected CrashPair Disks { get; private set; } = null!;

    protected IQcow2Device Device { get; set; } = null!;

    protected Timeline Timeline { get; private set; } = null!;

    protected List<SnapshotLife<ZonedContents>> Snapshots { get; } = [];

    /// <summary>History of the disk, in parts between two changes as a whole.</summary>
    protected List<Part> Parts { get; } = [];

    protected Part Now => Parts[^1];

    /// <summary>Whether a request may fail for want of counts.</summary>
    protected bool HasNarrowCounts => Recipe.Create.RefcountBits <= 4;

    private IZones Zones => Device.Zones!;

    private long ZoneSize => Recipe.Zones.ZoneSize;

    private int FirstZone => (int)Recipe.Zones.ConventionalZones;

    /// <summary>Creates an image and opens it.</summary>
    protected async Task BeginAsync()
    {
        Recipe = ZonedRecipe.Make(Random, Options.Extended, 512, 512, 4096, 4096, 65536);
        Recipe = Random.Next(6) == 0 ? Recipe.Encrypted(Random) : Recipe;
        Trace(Recipe.ToString());
        Disks = new CrashPair(await Recipe.BuildAsync(), null, Seed);
        Disks.IsThin = Random.Next(2) == 0;
        Disks.Image.DurableBlock = Random.Next(2) == 0 ? 4 << 20 : 0;
        Timeline = new Timeline(() => Disks.Position);
        Device = await Recipe.OpenAsync(Disks.Image);
        long length = Recipe.Create.Size;
        var zones = Enumerable.Repeat(ZoneContents.Empty, ZonesOf(length) - FirstZone).ToArray();
        var conventional = new uint[Math.Min(FirstZone * ZoneSize, length) / Sector];
        Parts.Add(new Part(new ZonedContents(length, conventional, zones), 0));
        if (Random.Next(2) == 0)
        {
            _bitmap = new BitmapWatch(Now.Contents(), ZoneSize, FirstZone);
            await BitmapWatch.AddAsync(Device, Random);
            await CloseAsync();
            Device = await Recipe.OpenAsync(Disks.Image);
        }
    }

    /// <summary>One random operation.</summary>
    protected Task StepAsync()
    {
        int zone = Now.Zones.Length == 0 ? -1 : Random.Next(Now.Zones.Length);
        return Random.Next(100) switch
        {
            < 10 => FlushAsync(),
            < 14 => ReopenAsync(),
            < 22 => TakeAsync(),
            < 26 => DeleteAsync(),
            < 31 => ApplyAsync(),
            < 33 => ResizeAsync(),
            < 36 => VerifyAsync("now"),
            < 37 => ClearBitmapAsync(),
            < 42 when FirstZone > 0 => OverwriteAsync(),
            _ when zone < 0 => OverwriteAsync(),
            _ when Now.Zones[zone].Now is null => ResetAsync(zone),
            < 64 => WriteAsync(zone, append: false),
            < 76 => WriteAsync(zone, append: true),
            < 80 => FinishAsync(zone),
            < 88 => ResetAsync(zone),
            < 92 => SetConditionAsync(zone),
            < 96 => ExtendAsync(zone),
            _ => OpenOrCloseAsync(zone),
        };
    }

    protected async Task CloseAsync()
    {
        int from = Disks.Position;
        var close = Timeline.BeginFlush();
        await Device.DisposeAsync();
        Timeline.Acknowledge(close);
        _bitmap?.Closed(from, Disks.Position);
    }

    /// <summary>Throws unless the bitmap, if there is one, may be like this after a cut.</summary>
    protected Task CheckBitmapAsync(IQcow2Device device, FoundDisk found, int position)
        => _bitmap?.CheckAsync(device, found, position) ?? Task.CompletedTask;

    /// <summary>Throws unless every snapshot that must exist is found as it was.</summary>
    protected async Task CheckSnapshotsAsync(PagedStorage image, int position)
    {
        foreach (var snapshot in Snapshots.Where(s => s.MayExist(position)))
        {
            IQcow2Device device;
            try
            {
                device = await Recipe.OpenSnapshotAsync(image, snapshot.Name);
            }
            catch (BlockException e) when (e.Error == BlockError.NotFound)
            {
                continue;
            }

            string? wrong = snapshot.Contents.Mismatch(await FoundDisk.ReadAsync(device, mayBeOpen: false));
            SimFailure.Unless(wrong is null, $"snapshot {snapshot.Name}: {wrong}");
            await device.DisposeAsync();
        }
    }

    /// <summary>Throws unless the disk has the contents of acknowledged requests.</summary>
    protected async Task VerifyAsync(string when)
    {
        string? wrong = Now.Contents().Mismatch(await FoundDisk.ReadAsync(Device, mayBeOpen: true));
        SimFailure.Unless(wrong is null, $"{when}: {wrong}");
    }

    /// <summary>Runs a request that may be rejected, and then must have changed nothing.</summary>
    /// <param name="op">Its operation; null: a change of the whole disk.</param>
    /// <param name="request">The request.</param>
    /// <returns>Whether it succeeded.</returns>
    protected virtual async Task<bool> TryAsync(TimedOp? op, Func<ValueTask> request)
    {
        try
        {
            await request();
            return true;
        }
        catch (BlockException e) when (
            e is ZoneException || e.Error == BlockError.NotSupported || (e.Error == BlockError.InvalidArgument && HasNarrowCounts))
        {
            Trace($"  refused: {e.Message}");
            _ = op is null ? false : op.Refused = true;
            return false;
        }
    }

    // what is on the storage differs from the disk in memory until a flush
    private async Task ClearBitmapAsync()
    {
        if (_bitmap is not null && Now.IsKnown)
        {
            await FlushAsync();
            Trace($"clear the bitmap at log {Disks.Position}");
            await TryAsync(null, async () => await _bitmap.ClearAsync(Device, Now.Contents()));
        }
    }

    private long CapacityOf(int zone)
    {
        long start = (FirstZone + zone) * ZoneSize;
        return Math.Min(Recipe.Zones.ZoneCapacity ?? ZoneSize, Now.Length - start);
    }

    private int ZonesOf(long length) => (int)((length + ZoneSize - 1) / ZoneSize);

    private async Task WriteAsync(int zone, bool append)
    {
        var now = Now.Zones[zone].Now!;
        long start = (FirstZone + zone) * ZoneSize;
        long count = Math.Min(1 + Random.Next(Random.Next(3) == 0 ? 128 : 12), (CapacityOf(zone) - now.Written) / Sector);
        count = append && Recipe.Zones.MaxAppendBytes > 0 ? Math.Min(count, Recipe.Zones.MaxAppendBytes / Sector) : count;
        if (count <= 0 || now.IsFull)
        {
            return;
        }

        uint version = ++_version;
        var data = SectorPattern.Make(start + now.Written, (int)count * Sector, version);
        uint[] versions = [.. now.Versions, .. Enumerable.Repeat(version, (int)count)];
        var after = now with { Versions = versions, IsFull = versions.Length * (long)Sector == CapacityOf(zone) };
        Trace($"{(append ? "append" : "write")} zone {zone} at {now.Written} {data.Length} version {version} at log {Disks.Position}");
        await ChangeAsync(
            zone, after, fua: false, isWrite: true, async () =>
            {
                if (append)
                {
                    long landed = await Zones.AppendAsync(start, data);
                    SimFailure.Unless(landed == start + now.Written, $"an append to {start} landed at {landed}");
                }
                else
                {
                    await Device.WriteAsync(start + now.Written, data);
                }
            });
    }

    private Task FinishAsync(int zone)
    {
        Trace($"finish zone {zone} at log {Disks.Position}");
        return ChangeAsync(
            zone, Now.Zones[zone].Now! with { IsFull = true }, fua: false, isWrite: false, () => ManageAsync(ZoneAction.Finish, zone));
    }

    private Task ResetAsync(int zone)
    {
        Trace($"reset zone {zone} at log {Disks.Position}");
        return ChangeAsync(zone, ZoneContents.Empty, fua: false, isWrite: false, () => ManageAsync(ZoneAction.Reset, zone));
    }

    private async Task OpenOrCloseAsync(int zone)
    {
        var action = Pick(ZoneAction.Open, ZoneAction.Close);
        Trace($"{action} zone {zone} at log {Disks.Position}");
        await TryAsync(null, () => ManageAsync(action, zone));
    }

    private ValueTask ManageAsync(ZoneAction action, int zone)
    {
        long start = (FirstZone + zone) * ZoneSize;
        return Zones.ManageAsync(action, start, Math.Min(ZoneSize, Now.Length - start));
    }

    private Task SetConditionAsync(int zone)
    {
        // mostly restores zones, so that writable zones do not run out
        int worn = Array.FindIndex(Now.Zones, static z => z.Now is { Fixed: not 0 });
        var condition = Pick(ZoneCondition.ReadOnly, ZoneCondition.Offline, ZoneCondition.Empty, ZoneCondition.Empty);
        zone = condition == ZoneCondition.Empty && worn >= 0 ? worn : zone;
        Trace($"condition of zone {zone}: {condition} at log {Disks.Position}");
        var after = Now.Zones[zone].Now! with { Fixed = condition == ZoneCondition.Empty ? 0 : condition };

        // one that changes nothing makes nothing durable
        return ChangeAsync(
            zone, after, fua: after != Now.Zones[zone].Now, isWrite: false,
            () => Zones.Attributes!.SetConditionAsync(FirstZone + zone, condition));
    }

    private Task ExtendAsync(int zone)
    {
        uint version = ++_version;
        Trace($"extension of zone {zone}: {version} at log {Disks.Position}");
        var data = FoundDisk.Extension(Zones.Attributes!.ExtensionBytes, version);
        return ChangeAsync(
            zone, Now.Zones[zone].Now! with { Extension = version }, fua: true, isWrite: false,
            () => Zones.Attributes!.WriteExtensionAsync(FirstZone + zone, data));
    }

    private async Task ChangeAsync(int zone, ZoneContents after, bool fua, bool isWrite, Func<ValueTask> request)
    {
        var op = Timeline.Begin(fua);
        Now.Zones[zone].Begin(op, after, isWrite);
        if (await TryAsync(op, request))
        {
            Timeline.Acknowledge(op);
            Now.Zones[zone].Done();
        }
        else if (!op.Refused)
        {
            Now.Zones[zone].Lose();
        }
    }

    private async Task OverwriteAsync()
    {
        int sectors = Now.Conventional.Sectors;
        if (sectors == 0)
        {
            return;
        }

        int first = Random.Next(sectors), count = Math.Min(1 + Random.Next(20), sectors - first);
        uint version = ++_version;
        Trace($"overwrite {first}+{count} version {version} at log {Disks.Position}");
        var op = Timeline.Begin();
        Now.Conventional.Write(op, first * (long)Sector, count * Sector, version);
        if (await TryAsync(op, () => Device.WriteAsync(
            first * (long)Sector, SectorPattern.Make(first * (long)Sector, count * Sector, version))))
        {
            Timeline.Acknowledge(op);
            Now.Conventional.Acknowledged(first * (long)Sector, count * Sector, version);
        }
        else
        {
            Now.LosesConventional = true;
        }
    }

    private async Task FlushAsync()
    {
        Trace($"flush at log {Disks.Position}");
        await WholeAsync(() => Device.FlushAsync());
    }

    // makes everything before it durable
    private async Task<bool> WholeAsync(Func<ValueTask> request)
    {
        var flush = Timeline.BeginFlush();
        bool isDone = await TryAsync(flush, request);
        if (isDone)
        {
            Timeline.Acknowledge(flush);
        }

        return isDone;
    }

    protected virtual async Task ReopenAsync()
    {
        Trace($"reopen at log {Disks.Position}");
        await CloseAsync();
        await CheckAsync(Disks.Image.Live, leaksAllowed: Recipe.Create.RefcountBits <= 2, "after closing");
        await CheckSnapshotsAsync(Disks.Image.Live, int.MaxValue);
        Device = await Recipe.OpenAsync(Disks.Image);
        await VerifyAsync("after reopening");
    }

    private async Task TakeAsync()
    {
        if (Snapshots.Count(static s => s.Exists) >= MaxSnapshots)
        {
            return;
        }

        var snapshot = new SnapshotLife<ZonedContents>($"s{Snapshots.Count}", Now.Contents(), Disks.Position);
        Trace($"snapshot {snapshot.Name} at log {Disks.Position}");
        if (await WholeAsync(async () => snapshot.Info = await Device.Snapshots.CreateAsync(snapshot.Name, DateTimeOffset.UnixEpoch)))
        {
            snapshot.MadeBy = Disks.Position;
            Snapshots.Add(snapshot);
        }
    }

    private async Task DeleteAsync()
    {
        if (PickSnapshot() is { } snapshot)
        {
            Trace($"delete {snapshot.Name} at log {Disks.Position}");
            snapshot.DeletedFrom = Disks.Position;

            // durable, but no flush of what zones gather
            if (await TryAsync(null, () => Device.Snapshots.DeleteAsync(snapshot.Info!)))
            {
                snapshot.DeletedBy = Disks.Position;
            }
        }
    }

    private async Task ApplyAsync()
    {
        if (PickSnapshot() is { } snapshot)
        {
            Trace($"apply {snapshot.Name} at log {Disks.Position}");
            await SwitchAsync(snapshot.Contents, () => Device.Snapshots.ApplyAsync(snapshot.Info!));
            await VerifyAsync("after an apply");
        }
    }

    private async Task ResizeAsync()
    {
        if (Now.Length % ZoneSize != 0)
        {
            return;
        }

        int count = ZonesOf(Now.Length), next = Math.Clamp(count + Random.Next(-1, 3), Math.Max(1, FirstZone), MaxZones);
        if (next == count)
        {
            return;
        }

        Trace($"resize from {count} to {next} zones at log {Disks.Position}");
        var now = Now.Contents();
        var grown = Enumerable.Repeat(ZoneContents.Empty, Math.Max(0, next - count));
        var contents = now with { Length = next * ZoneSize, Zones = [.. now.Zones.Take(next - FirstZone), .. grown] };
        await SwitchAsync(contents, () => Device.ResizeAsync(contents.Length));
    }

    private async Task SwitchAsync(ZonedContents next, Func<ValueTask> request)
    {
        (Now.Until, Now.Next) = (Disks.Position, next);
        var flush = Timeline.BeginFlush();
        if (await TryAsync(flush, request))
        {
            Timeline.Acknowledge(flush);
            Parts.Add(new Part(next, Disks.Position));
        }
        else if (flush.Refused)
        {
            Now.Until = int.MaxValue;
        }
        else
        {
            LoseAll();
        }
    }

    /// <summary>After a failure: nothing is known of the disk but its size.</summary>
    protected void LoseAll()
    {
        var zones = new ZoneContents?[Math.Max(0, ZonesOf(Device.Length) - FirstZone)];
        Parts.Add(new Part(new ZonedContents(Device.Length, null, zones), Disks.Position) { LosesConventional = true });
    }

    private SnapshotLife<ZonedContents>? PickSnapshot()
    {
        var all = Snapshots.Where(static s => s.Exists).ToArray();
        return all.Length == 0 ? null : all[Random.Next(all.Length)];
    }

    /// <summary>Events between two changes of the whole disk.</summary>
    /// <param name="start">Contents at its start.</param>
    /// <param name="from">Log length at the end of the first change.</param>
    protected sealed class Part(ZonedContents start, int from)
    {
        public long Length { get; } = start.Length;

        public SectorHistory Conventional { get; } = new(start.Conventional ?? []);

        /// <summary>Whether a write to the conventional zones has failed.</summary>
        public bool LosesConventional { get; set; } = start.Conventional is null;

        /// <summary>Whether no request has failed.</summary>
        public bool IsKnown => !LosesConventional && Zones.All(static zone => zone.Now is not null);

        public ZoneLine[] Zones { get; } = [.. start.Zones.Select(static zone => new ZoneLine(zone))];

        public int From => from;

        /// <summary>Log length at the start of the next change.</summary>
        public int Until { get; set; } = int.MaxValue;

        /// <summary>Contents after the next change.</summary>
        public ZonedContents? Next { get; set; }

        /// <summary>Contents of acknowledged requests.</summary>
        public ZonedContents Contents() => new(
            Length, LosesConventional ? null : [.. Enumerable.Range(0, Conventional.Sectors).Select(i => Conventional.Now(i))],
            [.. Zones.Select(static zone => zone.Now)]);

        /// <summary>Throws unless the disk may be like this after a cut.</summary>
        public void CheckAfterCut(FoundDisk found, int position)
        {
            if (position > Until && Next!.Mismatch(found) is null)
            {
                return;
            }

            string next = position > Until ? $"; nor is it the next: {Next!.Mismatch(found)}" : "";
            SimFailure.Unless(found.Length == Length, $"the disk has {found.Length} bytes, not {Length}{next}");
            try
            {
                for (int i = 0; i < Conventional.Sectors; i++)
                {
                    Conventional.CheckAfterCut(i, found.Conventional[i], position);
                }

                for (int i = 0; i < Zones.Length; i++)
                {
                    Zones[i].CheckAfterCut(found.Zones[i], position);
                }
            }
            catch (SimFailure e)
            {
                throw new SimFailure(e.Message + next);
            }
        }
    }
}
