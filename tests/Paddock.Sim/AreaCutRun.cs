using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Cuts power at every moment of a run on an image whose zones get random write areas. Clients work concurrently on separate zones; in a
/// third of the runs requests to the disk fail too. After a cut each zone is in a state between the last flush and the cut: pointer, area
/// and data. Then its area is moved to the end of the zone: what was never written reads as zeroes, whatever the crash left above the area.
/// </summary>
internal sealed class AreaCutRun(int seed, SimOptions options) : SimRun(seed, options)
{
    private const int Sector = SectorPattern.Sector;
    private const int MaxCuts = 600;

    private ZonedRecipe _recipe = null!;
    private RandomAreaLimits _area;
    private CrashPair _disks = null!;
    private IBlockDevice _device = null!;
    private Timeline _timeline = null!;
    private List<(TimedOp? Op, AreaState State)>[] _zones = [];
    private uint _version;
    private bool _fails;

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        _recipe = ZonedRecipe.Make(Random, Options.Extended, 512, 4096, 4096, 65536).WithAreas(Random);
        _area = _recipe.Zones.RandomArea;
        Trace($"{_recipe}, areas of {_area.Size} by {_area.Granularity} in {_area.MaxZones}");
        _disks = new CrashPair(await _recipe.BuildAsync(), null, Random.Next());
        _disks.IsThin = Random.Next(2) == 0;
        _disks.Image.DurableBlock = Random.Next(2) == 0 ? 4 << 20 : 0;
        _disks.Image.FlushFailureLoses = false;
        _timeline = new Timeline(() => _disks.Position);
        _device = await _recipe.OpenAsync(_disks.Image);
        _zones = [.. Enumerable.Range(0, _device.Zones!.Limits.ZoneCount)
            .Select(zone => new List<(TimedOp?, AreaState)> { (null, AreaState.Empty(0, LengthOf(zone))) })];
        _fails = Random.Next(3) == 0;
        _disks.Image.FaultOneIn = _fails ? 30 : 0;
        _disks.Image.FaultsMayTakeEffect = true;
        int clients = Random.Next(3) == 0 ? Random.Next(2, 5) : 1;
        _disks.Hold = clients > 1 ? context.HoldAsync : null;
        await Task.WhenAll(Enumerable.Range(0, clients).Select(client => ClientAsync(client, clients, Options.Ops / clients)));
        _disks.Hold = null;
        _disks.Image.FaultOneIn = 0;
        for (int zone = FirstZone; zone < _zones.Length; zone++)
        {
            await VerifyAsync(zone);
        }

        var close = _timeline.BeginFlush();
        await _device.DisposeAsync();
        _timeline.Acknowledge(close);
        _timeline.Seal();
        await CheckAsync(_disks.Image.Live, leaksAllowed: _fails, "after the run");
        await CutAsync(_disks, MaxCuts, 1, (image, _, position) => TryCutAsync(image, position));
    }

    private int FirstZone => _device.Zones!.Limits.ConventionalZones;

    private long StartOf(int zone) => zone * _recipe.Zones.ZoneSize;

    private long LengthOf(int zone) => Math.Min(_recipe.Zones.ZoneSize, _recipe.Create.Size - StartOf(zone));

    private long CapacityOf(int zone) => Math.Min(_recipe.Zones.ZoneCapacity ?? _recipe.Zones.ZoneSize, LengthOf(zone));

    private AreaState Now(int zone) => _zones[zone][^1].State;

    private async Task ClientAsync(int client, int clients, int ops)
    {
        int mine = (_zones.Length - client + clients - 1) / clients;
        for (int i = 0; i < ops && mine > 0; i++)
        {
            // few zones, so that their areas move
            int zone = client + (Random.Next(Math.Min(mine, 3)) * clients);
            if (zone < FirstZone)
            {
                continue;
            }

            int kind = Random.Next(100);
            await (kind switch
            {
                < 12 => FlushAsync(),
                < 14 when clients == 1 => ReopenAsync(),
                < 22 => AllocateAsync(zone),
                < 62 => WriteAsync(zone),
                < 76 => CommitAsync(zone),
                < 80 => ManageAsync(zone, ZoneAction.Finish),
                < 88 => ManageAsync(zone, ZoneAction.Reset),
                < 92 => ManageAsync(zone, ZoneAction.Close),
                _ => VerifyAsync(zone),
            });
        }
    }

    private async Task AllocateAsync(int zone)
    {
        // a new area is kept durably before it is acknowledged
        var before = Now(zone);
        var op = _timeline.Begin(fua: !before.HasArea);
        Trace($"allocate zone {zone} at log {_disks.Position}");
        _zones[zone].Add((op, before with { HasArea = true }));
        if (await TryAsync(op, () => _device.Zones!.ManageAsync(ZoneAction.OpenWithRandomArea, StartOf(zone), LengthOf(zone))) != true)
        {
            _zones[zone].Add((null, before));
        }
    }

    private async Task WriteAsync(int zone)
    {
        var now = Now(zone);
        long top = now.HasArea ? 2 * _area.Size : 0, capacity = CapacityOf(zone);
        long at = now.Pointer + (top == 0 ? 0 : Random.NextInt64(top / Sector) * Sector);
        long most = Math.Min(Random.Next(3) == 0 ? 64 * Sector : 8 * Sector, capacity - at);
        most = now.HasArea ? Math.Min(most, now.Pointer + top - at) : most;
        if (now.IsFull || most <= 0)
        {
            return;
        }

        int length = (1 + Random.Next((int)(most / Sector))) * Sector;
        bool zeroes = Random.Next(8) == 0, fua = Random.Next(8) == 0;
        uint version = zeroes ? 0 : ++_version;
        var op = _timeline.Begin(fua);
        Trace($"write zone {zone} at {at} {length} version {version}{(fua ? " fua" : "")} at log {_disks.Position}");
        _zones[zone].Add((op, now.Write(at, length, version, failed: false, _area, capacity)));
        long offset = StartOf(zone) + at;
        bool? done = await TryAsync(op, () => zeroes
            ? _device.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap | (fua ? ZeroFlags.Fua : 0))
            : _device.WriteAsync(offset, SectorPattern.Make(offset, length, version), fua ? WriteFlags.Fua : WriteFlags.None));
        if (done == false)
        {
            _zones[zone].Add((null, now));
        }
        else if (done is null)
        {
            // a flush that failed after the write has left it done
            var found = await ReportAsync(_device, zone);
            bool moved = _zones[zone][^1].State.Matches(found) && !now.Matches(found);
            _zones[zone].Add((null, moved || !now.HasArea && found.WritePointer - found.Start != now.Pointer ? Now(zone)
                : fua && now.HasArea ? Blend(now, Now(zone)) : now.Write(at, length, version, failed: true, _area, capacity)));
        }
    }

    // either may be on the disk
    private static AreaState Blend(AreaState before, AreaState after)
    {
        var others = (uint[])before.Others.Clone();
        for (int i = 0; i < others.Length; i++)
        {
            others[i] = before.Versions[i] == after.Versions[i] ? others[i] : after.Versions[i];
        }

        return before with { Others = others };
    }

    private async Task CommitAsync(int zone)
    {
        var now = Now(zone);
        if (!now.HasArea)
        {
            return;
        }

        long capacity = CapacityOf(zone), units = Random.NextInt64(1, (_area.Size / _area.Granularity) + 1);
        long end = Math.Min(now.Pointer + (units * _area.Granularity), capacity);
        var op = _timeline.Begin();
        Trace($"commit zone {zone} up to {end} at log {_disks.Position}");
        _zones[zone].Add((op, now.Move(end, capacity)));
        if (await TryAsync(op, () => _device.Zones!.CommitAsync(StartOf(zone) + end)) != true)
        {
            _zones[zone].Add((null, now));
        }
    }

    private async Task ManageAsync(int zone, ZoneAction action)
    {
        var now = Now(zone);
        var op = _timeline.Begin(fua: action == ZoneAction.Reset);
        Trace($"{action} zone {zone} at log {_disks.Position}");
        _zones[zone].Add((op, action switch
        {
            ZoneAction.Reset => AreaState.Empty(now.Epoch + 1, LengthOf(zone)),
            ZoneAction.Finish => now.IsFull ? now : now.Finish(_area, CapacityOf(zone)),
            _ => now,
        }));
        bool? done = await TryAsync(op, () => _device.Zones!.ManageAsync(action, StartOf(zone), LengthOf(zone)));
        if (done == false)
        {
            _zones[zone].Add((null, now));
        }
        else if (done is null)
        {
            // the device knows which it is
            var found = await ReportAsync(_device, zone);
            _zones[zone].Add((null, Now(zone).Matches(found) ? Now(zone) : now));
        }
    }

    private async Task FlushAsync()
    {
        Trace($"flush at log {_disks.Position}");
        var flush = _timeline.BeginFlush();
        try
        {
            await _device.FlushAsync();
            _timeline.Acknowledge(flush);
        }
        catch (BlockException e) when (_fails)
        {
            Trace($"  failed: {e.Message}");
        }
    }

    private async Task ReopenAsync()
    {
        Trace($"reopen at log {_disks.Position}");
        (int rate, _disks.Image.FaultOneIn) = (_disks.Image.FaultOneIn, 0);
        var close = _timeline.BeginFlush();
        await _device.DisposeAsync();
        _timeline.Acknowledge(close);
        await CheckAsync(_disks.Image.Live, leaksAllowed: _fails, "after closing");
        _device = await _recipe.OpenAsync(_disks.Image);
        _disks.Image.FaultOneIn = rate;
    }

    /// <returns>True if done, false if rejected, null if failed.</returns>
    private async Task<bool?> TryAsync(TimedOp op, Func<ValueTask> request)
    {
        try
        {
            await request();
            _timeline.Acknowledge(op);
            return true;
        }
        catch (ZoneException e)
        {
            op.Refused = true;
            Trace($"  refused: {e.Message}");
            return false;
        }
        catch (BlockException e) when (_fails)
        {
            Trace($"  failed: {e.Message}");
            return null;
        }
    }

    private static async Task<ZoneDescriptor> ReportAsync(IBlockDevice device, int zone)
    {
        var report = new ZoneDescriptor[1];
        await device.Zones!.ReportAsync(zone * device.Zones.Limits.ZoneSize, report);
        return report[0];
    }

    private async Task VerifyAsync(int zone)
    {
        (int rate, _disks.Image.FaultOneIn) = (_disks.Image.FaultOneIn, 0);
        var found = await ReportAsync(_device, zone);
        var now = Now(zone);
        SimFailure.Unless(now.Matches(found), $"zone {zone} is {found}, not {now}");
        long end = now.DataEnd(_area, CapacityOf(zone));
        var versions = await VersionsAsync(_device, zone);
        for (int i = 0; i < versions.Length; i++)
        {
            bool fits = i * Sector >= end ? versions[i] == 0
                : versions[i] == now.Versions[i] || (now.Others[i] != 0 && versions[i] == now.Others[i]) || (_fails && versions[i] == 0);
            SimFailure.Unless(fits, $"zone {zone}, sector {i}: version {versions[i]}, not {now.Versions[i]}; data end at {end}");
        }

        _disks.Image.FaultOneIn = rate;
    }

    private async Task<long[]> VersionsAsync(IBlockDevice device, int zone)
    {
        var data = new byte[LengthOf(zone)];
        await device.ReadAsync(StartOf(zone), data);
        return [.. Enumerable.Range(0, data.Length / Sector)
            .Select(i => SectorPattern.Identify(data.AsSpan(i * Sector, Sector), StartOf(zone) + (i * Sector)))];
    }

    private async Task TryCutAsync(PagedStorage image, int position)
    {
        if (!_recipe.Create.LazyRefcounts)
        {
            await CheckAsync(image, leaksAllowed: true, "after the cut");
        }

        var device = await _recipe.OpenAsync(image);
        for (int zone = device.Zones!.Limits.ConventionalZones; zone < _zones.Length; zone++)
        {
            var found = await ReportAsync(device, zone);
            var versions = await VersionsAsync(device, zone);
            CheckAfterCut(zone, found, versions, position);
            if (found.HasRandomArea)
            {
                await MoveToEndAsync(device, zone, versions);
            }
        }

        await device.DisposeAsync();
        await CheckAsync(image, leaksAllowed: true, "after reopening after the cut");
    }

    private void CheckAfterCut(int zone, ZoneDescriptor found, long[] versions, int position)
    {
        var states = _zones[zone];
        // what follows a request that was rejected or failed is the state before it
        int durable = Math.Max(0, states.FindLastIndex(s => s.Op is { Refused: false } op && op.DurablePosition <= position));
        int last = Math.Max(durable, states.FindLastIndex(s => s.Op?.StartPosition <= position));
        last += last + 1 < states.Count && states[last + 1].Op is null ? 1 : 0;
        var possible = states.GetRange(durable, last - durable + 1).FindAll(static s => s.Op is not { Refused: true });
        string wrong = "no state has this pointer";
        for (int first = 0; first < possible.Count; first++)
        {
            if (possible[first].State.Matches(found))
            {
                var shown = possible[first].State;
                var later = possible.Skip(first).Select(static s => s.State).Where(s => s.Epoch == shown.Epoch).ToList();
                if (Mismatch(later, shown, zone, versions) is not { } mismatch)
                {
                    return;
                }

                wrong = mismatch;
            }
        }

        throw new SimFailure($"zone {zone} after a cut at {position}: {found}, but {wrong}; possible: "
            + string.Join(", ", possible.Select(static s => s.State.Describe())));
    }

    private string? Mismatch(List<AreaState> later, AreaState shown, int zone, long[] versions)
    {
        long end = shown.DataEnd(_area, CapacityOf(zone));
        for (int i = 0; i < versions.Length; i++)
        {
            bool fits = i * Sector >= end ? versions[i] == 0
                : later.Exists(s => s.Versions[i] == versions[i] || s.Others[i] == versions[i]);
            if (!fits)
            {
                string could = string.Join(" or ", later.Select(s => s.Versions[i]).Distinct());
                return $"sector {i} is of version {versions[i]}, and could be of {could}";
            }
        }

        return null;
    }

    /// <summary>Moves the area of a zone to its end: data stay, and what no one has written reads as zeroes.</summary>
    private async Task MoveToEndAsync(IBlockDevice device, int zone, long[] before)
    {
        long capacity = CapacityOf(zone), start = StartOf(zone);
        var found = await ReportAsync(device, zone);
        while (found.HasRandomArea)
        {
            long pointer = found.WritePointer - start;
            await device.Zones!.CommitAsync(start + Math.Min(pointer + _area.Size, capacity));
            found = await ReportAsync(device, zone);
            var versions = await VersionsAsync(device, zone);
            SimFailure.Unless(
                versions.AsSpan().SequenceEqual(before), $"zone {zone} shows other data when its area is at {found.WritePointer}");
        }

        SimFailure.Unless(found.Condition == ZoneCondition.Full, $"zone {zone} is {found.Condition} after its area came to the end");
    }
}
