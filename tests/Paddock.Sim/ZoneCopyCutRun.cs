using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Copies between zones, sequential and conventional, and makes blocks unreadable, among writes and resets, and cuts power at every
/// moment of the run. Afterwards each zone has a write pointer between what was durable and what was written, and below it what was
/// written, copied or made unreadable there; the image is sound, or marked dirty and sound after the repair of its next opening.
/// </summary>
internal sealed class ZoneCopyCutRun(int seed, SimOptions options, bool encrypted = false) : SimRun(seed, options)
{
    private const int Sector = SectorPattern.Sector, MaxCuts = 400;

    private readonly CopiedSectors _copied = new();
    private ZonedRecipe _recipe = null!;
    private CrashPair _disks = null!;
    private IBlockDevice _device = null!;
    private Timeline _timeline = null!;
    private ZoneLives[] _zones = [];
    private SectorHistory _conventional = null!;
    private uint _version;

    private int ZoneSectors => (int)(_recipe.Zones.ZoneSize / Sector);

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        _recipe = ZonedRecipe.Make(Random, Options.Extended, 512, 4096, 4096, 65536);
        _recipe = encrypted ? _recipe.Encrypted(Random) : _recipe;
        Trace(_recipe.ToString());
        var built = await _recipe.BuildAsync();
        _disks = new CrashPair(built, (PagedStorage?)_recipe.Data.Of(built));
        _disks.IsThin = Random.Next(2) == 0;
        _disks.Image.DurableBlock = Random.Next(2) == 0 ? 4 << 20 : 0;
        _recipe.Data.Set(_disks.Image, _disks.Data);
        _timeline = new Timeline(() => _disks.Position);
        _device = await _recipe.OpenAsync(_disks.Image);
        var limits = _device.Zones!.Limits;
        _zones = [.. Enumerable.Range(0, limits.ZoneCount).Select(static _ => new ZoneLives())];
        _conventional = new SectorHistory(new uint[Math.Min(limits.ConventionalZones * limits.ZoneSize, _recipe.Create.Size) / Sector]);
        for (int i = 0; i < Options.Ops; i++)
        {
            await StepAsync();
        }

        await CloseAsync();
        _timeline.Seal();
        await CheckAsync(_disks.Image.Live, leaksAllowed: false, "after the run");
        await CutAsync(_disks, MaxCuts, 1, (image, data, position) =>
        {
            _recipe.Data.Set(image, data);
            return TryCutAsync(image, position);
        });
    }

    private async Task StepAsync()
    {
        int zone = Random.Next(_zones.Length);
        bool sequential = zone >= _device.Zones!.Limits.ConventionalZones;
        switch (Random.Next(100))
        {
            case < 30:
                await ChangeAsync(zone, (offset, count) => WriteAsync(offset, count));
                break;
            case < 68:
                await ChangeAsync(zone, (offset, count) => CopyAsync(offset, count));
                break;
            case < 73:
                await ChangeAsync(zone, (offset, count) => MarkAsync(offset, count));
                break;
            case < 82 when sequential:
                await ResetAsync(zone);
                break;
            case < 92:
                Trace($"flush at log {_disks.Position}");
                var flush = _timeline.BeginFlush();
                await _device.FlushAsync();
                _timeline.Acknowledge(flush);
                break;
            case < 94:
                Trace($"reopen at log {_disks.Position}");
                await CloseAsync();
                await CheckAsync(_disks.Image.Live, leaksAllowed: false, "after closing");
                _device = await _recipe.OpenAsync(_disks.Image);
                break;
            default:
                await VerifyAsync();
                break;
        }
    }

    private async Task CloseAsync()
    {
        var close = _timeline.BeginFlush();
        await _device.DisposeAsync();
        _timeline.Acknowledge(close);
    }

    private long CapacityOf(int zone)
        => Math.Min(_recipe.Zones.ZoneCapacity ?? _recipe.Zones.ZoneSize, _recipe.Create.Size - (zone * _recipe.Zones.ZoneSize)) / Sector;

    // anywhere in a conventional zone, at the write pointer of another
    private async Task ChangeAsync(int zone, Func<int, int, Task> change)
    {
        bool sequential = zone >= _device.Zones!.Limits.ConventionalZones;
        int first = zone * ZoneSectors, length = sequential ? (int)CapacityOf(zone) : ZoneSectors;
        int end = (int)Math.Min(first + length, _recipe.Create.Size / Sector);
        int start = sequential ? first + _zones[zone].Now.Count : first + Random.Next(end - first);
        int count = Math.Min(1 + Random.Next(Random.Next(3) == 0 ? 200 : 16), end - start);
        if (count > 0)
        {
            await change(start, count);
        }
    }

    private Task WriteAsync(int sector, int count)
    {
        uint version = ++_version;
        long offset = (long)sector * Sector;
        return SendAsync(
            $"write {offset} {count * Sector} version {version}", sector, [.. Enumerable.Repeat(version, count)], durable: false,
            () => _device.WriteAsync(offset, SectorPattern.Make(offset, count * Sector, version)));
    }

    private Task CopyAsync(int sector, int count)
    {
        int source = PickSource(sector, count, (int)(_recipe.Create.Size / Sector), _recipe.Create.ClusterSize);
        uint[] found = [.. Enumerable.Range(source, count).Select(VersionAt)];
        if (found.Contains(SectorPattern.Unreadable) || Math.Abs(source - sector) < count)
        {
            return Task.CompletedTask;
        }

        uint[] versions = [.. found.Select((version, i) => _copied.At(sector + i, source + i, version))];
        return SendAsync(
            $"copy {(long)source * Sector} to {(long)sector * Sector} {count * Sector}", sector, versions, durable: false,
            () => _device.RangeCopy!.CopyAsync((long)source * Sector, (long)sector * Sector, count * Sector));
    }

    private Task MarkAsync(int sector, int count)
        => SendAsync(
            $"unreadable {(long)sector * Sector} {count * Sector}", sector, [.. Enumerable.Repeat(SectorPattern.Unreadable, count)],
            durable: sector < _conventional.Sectors, () => _device.UnreadableRanges!.AddAsync((long)sector * Sector, count * Sector));

    private async Task SendAsync(string what, int sector, uint[] versions, bool durable, Func<ValueTask> request)
    {
        Trace($"{what} at log {_disks.Position}");
        var op = _timeline.Begin(durable);
        bool sequential = sector >= _conventional.Sectors;
        var zone = _zones[sector / ZoneSectors];
        if (sequential)
        {
            zone.Write(op, versions);
        }
        else
        {
            _conventional.Write(op, sector, versions);
        }

        bool done = false;
        try
        {
            await request();
            done = true;
            _timeline.Acknowledge(op);
        }
        catch (ZoneException e) when (sequential && e.Reason is ZoneError.TooManyActive or ZoneError.TooManyOpen)
        {
            op.Refused = true;
            Trace($"  refused: {e.Message}");
        }

        if (sequential)
        {
            zone.Ended(done);
        }
        else
        {
            _conventional.Acknowledged(sector, versions);
        }
    }

    private async Task ResetAsync(int zone)
    {
        Trace($"reset zone {zone} at log {_disks.Position}");
        var op = _timeline.Begin(fua: true);
        long start = zone * _recipe.Zones.ZoneSize;
        _zones[zone].Reset(op);
        await _device.Zones!.ManageAsync(ZoneAction.Reset, start, Math.Min(_recipe.Zones.ZoneSize, _recipe.Create.Size - start));
        _timeline.Acknowledge(op);
    }

    private uint VersionAt(int sector)
        => sector < _conventional.Sectors ? _conventional.Now(sector) : _zones[sector / ZoneSectors].VersionAt(sector % ZoneSectors);

    private async Task VerifyAsync()
    {
        var found = await _copied.ReadAsync(_device, 0, (int)_device.Length);
        for (int sector = 0; sector < found.Length; sector++)
        {
            SimFailure.Unless(
                found[sector] == VersionAt(sector), $"sector {sector}: read finds version {found[sector]}, not {VersionAt(sector)}");
        }
    }

    private async Task TryCutAsync(PagedStorage image, int position)
    {
        if (!IsMarked(image))
        {
            await CheckAsync(image, leaksAllowed: true, "after the cut");
        }

        await using (var device = await _recipe.OpenAsync(image))
        {
            var found = await _copied.ReadAsync(device, 0, (int)device.Length);
            for (int sector = 0; sector < _conventional.Sectors; sector++)
            {
                _conventional.CheckAfterCut(sector, found[sector], position);
            }

            var zones = new ZoneDescriptor[_zones.Length];
            await device.Zones!.ReportAsync(0, zones);
            for (int i = device.Zones.Limits.ConventionalZones; i < zones.Length; i++)
            {
                int start = (int)(zones[i].Start / Sector), length = (int)(zones[i].Length / Sector);
                int written = zones[i].Condition == ZoneCondition.Full ? (int)CapacityOf(i) : (int)(zones[i].WritePointer / Sector) - start;
                _zones[i].CheckAfterCut(position, written, found[start..(start + length)]);
            }

            if (Random.Next(4) == 0)
            {
                await device.Zones.ManageAsync(ZoneAction.Reset, 0, device.Length);
                long border = _conventional.Sectors * (long)Sector;
                var empty = await _copied.ReadAsync(device, border, (int)(device.Length - border));
                SimFailure.Unless(Array.TrueForAll(empty, static v => v == 0), "a zone that was reset has data");
            }
        }

        await CheckAsync(image, leaksAllowed: true, "after reopening after the cut");
    }
}
