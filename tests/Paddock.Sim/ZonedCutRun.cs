using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Cuts power at every moment of a run on a zoned image. Clients work concurrently on separate zones; one client also sends several
/// concurrent appends to a zone.
/// </summary>
internal sealed class ZonedCutRun(int seed, SimOptions options, bool dataFile = false, bool encrypted = false) : SimRun(seed, options)
{
    private const int Sector = SectorPattern.Sector;
    private const int MaxCuts = 600;

    private ZonedRecipe _recipe = null!;
    private CrashPair _disks = null!;
    private IBlockDevice _device = null!;
    private Timeline _timeline = null!;
    private ZoneHistory[] _zones = [];
    private SectorHistory _conventional = null!;
    private uint _version;

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        _recipe = Random.Next(60) > 0
            ? ZonedRecipe.Make(Random, Options.Extended, 512, 4096, 4096, 65536)
            : ZonedRecipe.Make(Random, Options.Extended, 2 << 20);
        _recipe = dataFile ? _recipe.WithDataFile(Random) : _recipe;
        _recipe = encrypted ? _recipe.Encrypted(Random) : _recipe;
        Trace(_recipe.ToString());
        var built = await _recipe.BuildAsync();
        _disks = new CrashPair(built, (PagedStorage?)_recipe.Data.Of(built));
        _disks.IsThin = Random.Next(2) == 0;
        _disks.Image.DurableBlock = Random.Next(2) == 0 ? 64 << 10 << Random.Next(7) : 0;
        _recipe.Data.Set(_disks.Image, _disks.Data);
        _timeline = new Timeline(() => _disks.Position);
        _device = await _recipe.OpenAsync(_disks.Image);
        var limits = _device.Zones!.Limits;
        _zones = [.. Enumerable.Range(0, limits.ZoneCount).Select(zone => new ZoneHistory(CapacityOf(zone)))];
        _conventional = new SectorHistory(new uint[Math.Min(limits.ConventionalZones * limits.ZoneSize, _recipe.Create.Size) / Sector]);
        int clients = Random.Next(3) == 0 ? Random.Next(2, 5) : 1;
        _disks.Hold = clients > 1 ? context.HoldAsync : null;
        int each = Options.Ops / clients;
        await Task.WhenAll(Enumerable.Range(0, clients).Select(client => ClientAsync(client, clients, each)));
        _disks.Hold = null;
        var close = _timeline.BeginFlush();
        await _device.DisposeAsync();
        _timeline.Acknowledge(close);
        _timeline.Seal();
        await CheckAsync(_disks.Image.Live, leaksAllowed: false, "after the run");
        if (!(Options.NoCheck && _recipe.Create.LazyRefcounts))
        {
            await TryCutsAsync();
        }
    }

    private long CapacityOf(int zone)
    {
        long start = zone * _recipe.Zones.ZoneSize;
        return Math.Min(_recipe.Zones.ZoneCapacity ?? _recipe.Zones.ZoneSize, _recipe.Create.Size - start);
    }

    private async Task ClientAsync(int client, int clients, int ops)
    {
        int mine = (_zones.Length - client + clients - 1) / clients;
        for (int i = 0; i < ops && mine > 0; i++)
        {
            int zone = client + (Random.Next(mine) * clients);
            int kind = Random.Next(100);
            if (kind < 14)
            {
                await FlushAsync();
            }
            else if (kind < 16 && clients == 1)
            {
                await ReopenAsync();
            }
            else if (zone < _device.Zones!.Limits.ConventionalZones)
            {
                await OverwriteAsync(zone);
            }
            else
            {
                await SequentialAsync(zone, kind, alone: clients == 1);
            }
        }
    }

    private Task SequentialAsync(int zone, int kind, bool alone) => kind switch
    {
        < 45 => WriteAsync(zone, append: false),
        < 62 => WriteAsync(zone, append: true),
        // a rejected request between them, where other clients take and free resources, would shift the rest
        < 68 when alone || _recipe.Zones is { MaxActiveZones: 0, MaxOpenZones: 0 } => AppendManyAsync(zone),
        < 73 => ZeroAsync(zone),
        < 76 => ManageAsync(ZoneAction.Finish, zone, 1),
        < 84 => ManageAsync(ZoneAction.Reset, zone, 1),
        < 86 when alone => ManageAsync(ZoneAction.Reset, 0, _zones.Length),
        < 90 => ManageAsync(ZoneAction.Open, zone, 1),
        < 93 => ManageAsync(ZoneAction.Close, zone, 1),
        _ => VerifyNowAsync(zone),
    };

    private int SomeLength(long room)
    {
        int most = Random.Next(3) == 0 ? 128 : 12;
        return (int)Math.Min(room, (1 + Random.Next(most)) * Sector);
    }

    private async Task WriteAsync(int zone, bool append)
    {
        var history = _zones[zone];
        long start = zone * _recipe.Zones.ZoneSize;
        int length = SomeLength(CapacityOf(zone) - history.Written);
        if (append && _recipe.Zones.MaxAppendBytes > 0)
        {
            length = (int)Math.Min(length, _recipe.Zones.MaxAppendBytes);
        }

        if (length == 0 || history.Full)
        {
            return;
        }

        long at = history.Written;
        bool fua = Random.Next(6) == 0;
        Trace($"{(append ? "append" : "write")} zone {zone} at {at} {length}{(fua ? " fua" : "")} at log {_disks.Position}");
        var op = _timeline.Begin(fua);
        history.Wrote(op, at + length);
        var data = SectorPattern.Make(start + at, length, history.Epoch);
        var flags = fua ? WriteFlags.Fua : WriteFlags.None;
        if (await TryAsync(op, async () =>
        {
            if (append)
            {
                long landed = await _device.Zones!.AppendAsync(start, data, flags);
                SimFailure.Unless(landed == start + at, $"append landed at {landed}, not {start + at}");
            }
            else
            {
                await _device.WriteAsync(start + at, data, flags);
            }
        }))
        {
            history.Acknowledged(at + length);
        }
    }

    /// <summary>
    /// Sends several concurrent appends: all succeed and none overlap. Their data must not depend on their offsets, so together they form
    /// one long run of patterns.
    /// </summary>
    private async Task AppendManyAsync(int zone)
    {
        var history = _zones[zone];
        long start = zone * _recipe.Zones.ZoneSize;
        int count = (int)Math.Min(Random.Next(2, 6), (CapacityOf(zone) - history.Written) / Sector);
        if (count <= 0 || history.Full)
        {
            return;
        }

        // one sector each, in order of arrival, so that each sector's pattern matches its offset
        long from = history.Written;
        Trace($"{count} appends to zone {zone} at {from} at log {_disks.Position}");
        await Task.WhenAll(Enumerable.Range(0, count).Select(i => AppendOneAsync(history, start, from + (i * Sector))));
    }

    private async Task AppendOneAsync(ZoneHistory history, long start, long at)
    {
        var op = _timeline.Begin();
        history.Wrote(op, at + Sector);
        if (await TryAsync(op, async () =>
        {
            long landed = await _device.Zones!.AppendAsync(start, SectorPattern.Make(start + at, Sector, history.Epoch));
            SimFailure.Unless(landed == start + at, $"append landed at {landed}, not {start + at} by order of arrival");
        }))
        {
            history.Acknowledged(at + Sector);
        }
    }

    /// <summary>
    /// Write-zeroes follows the write rule or is rejected (spec section 3); below a write pointer it must change nothing.
    /// </summary>
    private async Task ZeroAsync(int zone)
    {
        long start = zone * _recipe.Zones.ZoneSize;
        if (_zones[zone].Written < Sector)
        {
            return;
        }

        Trace($"discard and zeroes below the pointer of zone {zone}");
        var op = _timeline.Begin();
        op.Refused = true;
        bool refused = !await TryAsync(op, () => _device.WriteZeroesAsync(start, Sector, ZeroFlags.MayUnmap));
        SimFailure.Unless(refused, "zeroes were written below the pointer");
        await TryAsync(op, () => _device.DiscardAsync(start, Sector));
        await VerifyNowAsync(zone);
    }

    private async Task ManageAsync(ZoneAction action, int first, int count)
    {
        long start = first * _recipe.Zones.ZoneSize;
        long length = Math.Min(count * _recipe.Zones.ZoneSize, _recipe.Create.Size - start);
        Trace($"{action} zones {first}+{count} at log {_disks.Position}");
        var op = _timeline.Begin();
        var touched = _zones.Skip(first).Take(count).Where((_, i) => first + i >= _device.Zones!.Limits.ConventionalZones).ToArray();
        foreach (var zone in touched)
        {
            if (action == ZoneAction.Reset)
            {
                zone.Resetting(op);
            }
            else if (action == ZoneAction.Finish && !zone.Full)
            {
                zone.Finishing(op);
            }
        }

        if (!await TryAsync(op, () => _device.Zones!.ManageAsync(action, start, length)))
        {
            return;
        }

        foreach (var zone in touched)
        {
            if (action == ZoneAction.Reset)
            {
                zone.WasReset();
            }
            else if (action == ZoneAction.Finish)
            {
                zone.Finished();
            }
        }
    }

    private async Task OverwriteAsync(int zone)
    {
        long start = zone * _recipe.Zones.ZoneSize;
        long room = Math.Min(_recipe.Zones.ZoneSize, _recipe.Create.Size - start);
        long at = start + (Random.NextInt64(room / Sector) * Sector);
        int length = SomeLength(start + room - at);
        bool fua = Random.Next(6) == 0;
        uint version = ++_version;
        Trace($"write conventional {at} {length} version {version}{(fua ? " fua" : "")} at log {_disks.Position}");
        var op = _timeline.Begin(fua);
        _conventional.Write(op, at, length, version);
        await _device.WriteAsync(at, SectorPattern.Make(at, length, version), fua ? WriteFlags.Fua : WriteFlags.None);
        _timeline.Acknowledge(op);
        _conventional.Acknowledged(at, length, version);
    }

    private async Task FlushAsync()
    {
        Trace($"flush at log {_disks.Position}");
        var flush = _timeline.BeginFlush();
        await _device.FlushAsync();
        _timeline.Acknowledge(flush);
    }

    private async Task ReopenAsync()
    {
        Trace($"reopen at log {_disks.Position}");
        var close = _timeline.BeginFlush();
        await _device.DisposeAsync();
        _timeline.Acknowledge(close);
        await CheckAsync(_disks.Image.Live, leaksAllowed: false, "after closing");
        _device = await _recipe.OpenAsync(_disks.Image);
    }

    private async Task VerifyNowAsync(int zone)
    {
        long start = zone * _recipe.Zones.ZoneSize;
        var report = new ZoneDescriptor[1];
        SimFailure.Unless(await _device.Zones!.ReportAsync(start, report) == 1, "a report of one zone gives none");
        var history = _zones[zone];
        long written = report[0].WritePointer - start;
        SimFailure.Unless(history.Full ? report[0].Condition == ZoneCondition.Full : written == history.Written,
            $"zone {zone}: pointer {written}, {report[0].Condition}, not {history.Written}{(history.Full ? " and full" : "")}");
        var data = new byte[report[0].Length];
        await _device.ReadAsync(start, data);
        for (int at = 0; at < data.Length; at += Sector)
        {
            long found = SectorPattern.Identify(data.AsSpan(at, Sector), start + at);
            SimFailure.Unless(
                found == (at < history.Written ? history.Epoch : 0), $"zone {zone}, byte {at}: version {found}, pointer {written}");
        }
    }

    /// <summary>Sends a request that may be rejected because of the limits.</summary>
    private async Task<bool> TryAsync(TimedOp op, Func<ValueTask> request)
    {
        try
        {
            await request();
        }
        catch (BlockException e) when (e is ZoneException || e.Error == BlockError.NotSupported)
        {
            op.Refused = true;
            Trace($"  refused: {e.Message}");
            return false;
        }

        _timeline.Acknowledge(op);
        return true;
    }

    private Task TryCutsAsync()
        => CutAsync(_disks, MaxCuts, Math.Clamp(MaxCuts / _disks.Moments.Count / 2, 1, 3), (image, data, position) =>
        {
            _recipe.Data.Set(image, data);
            return TryCutAsync(image, position);
        });

    private async Task TryCutAsync(PagedStorage image, int position)
    {
        if (!_recipe.Create.LazyRefcounts)
        {
            await CheckAsync(image, leaksAllowed: true, "after the cut");
        }

        var device = await _recipe.OpenAsync(image);
        var data = new byte[device.Length];
        await device.ReadAsync(0, data);
        var zones = new ZoneDescriptor[_zones.Length];
        SimFailure.Unless(await device.Zones!.ReportAsync(0, zones) == zones.Length, "zones are missing from the report");
        for (int zone = device.Zones!.Limits.ConventionalZones; zone < zones.Length; zone++)
        {
            _zones[zone].CheckAfterCut(position, zones[zone], data.AsSpan((int)zones[zone].Start, (int)zones[zone].Length));
        }

        for (int sector = 0; sector < _conventional.Sectors; sector++)
        {
            _conventional.CheckAfterCut(
                sector, SectorPattern.Identify(data.AsSpan(sector * Sector, Sector), (long)sector * Sector), position);
        }

        if (Random.Next(8) == 0)
        {
            await GoOnAsync(device, zones, data);
        }

        await device.DisposeAsync();
        await CheckAsync(image, leaksAllowed: true, "after reopening after the cut");
    }

    /// <summary>Continues to use the image: new writes must not hit anything that the crash left behind.</summary>
    private async Task GoOnAsync(IBlockDevice device, ZoneDescriptor[] zones, byte[] before)
    {
        await device.Zones!.ManageAsync(ZoneAction.Reset, 0, device.Length);
        var zone = zones[Random.Next(zones.Length)];
        var data = SectorPattern.Make(zone.Start, (int)zone.Capacity, 99);
        await device.WriteAsync(zone.Start, data);
        foreach (var other in zones)
        {
            var expected = other.Type == ZoneType.Conventional ? before.AsSpan((int)other.Start, (int)other.Length).ToArray()
                : new byte[other.Length];
            if (other.Start == zone.Start)
            {
                data.CopyTo(expected, 0);
            }

            var found = new byte[other.Length];
            await device.ReadAsync(other.Start, found);
            SimFailure.Unless(
                found.AsSpan().SequenceEqual(expected), $"zone at {other.Start} is wrong after a reset of all and a write to {zone.Start}");
        }
    }
}
