using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// A zoned image on a file system that fills up, or whose flush fails. The guarantees for plain images apply; in addition, memory and
/// storage agree after a failed zone command, resets of a full disk succeed, and no write pointer is ever beyond lost data.
/// </summary>
internal sealed class ZonedTroubleRun(int seed, SimOptions options, Trouble trouble) : SimRun(seed, options)
{
    private const int Sector = SectorPattern.Sector;

    private ZonedRecipe _recipe = null!;
    private TroubledDisk _disk = null!;
    private IBlockDevice _device = null!;
    private ZoneStates[] _zones = [];
    private int _firstZone;

    private enum Outcome
    {
        Done,
        Refused,
        Failed,
    }

    private long ZoneSize => _recipe.Zones.ZoneSize;

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        do
        {
            _recipe = ZonedRecipe.Make(Random, Options.Extended, 512, 4096, 4096, 65536);
            _zones = new ZoneStates[(_recipe.Create.Size + ZoneSize - 1) / ZoneSize];
            _firstZone = (int)_recipe.Zones.ConventionalZones;
        }
        while (_firstZone >= _zones.Length);
        Trace(_recipe.ToString());
        for (int zone = 0; zone < _zones.Length; zone++)
        {
            _zones[zone] = new ZoneStates(CapacityOf(zone));
        }

        await StartAsync(await _recipe.BuildAsync());
        for (int i = 0; i < Options.Ops; i++)
        {
            await StepAsync();
        }

        await CloseAsync();
    }

    private long CapacityOf(int zone)
        => Math.Min(_recipe.Zones.ZoneCapacity ?? ZoneSize, _recipe.Create.Size - (zone * ZoneSize));

    private async Task StartAsync(PagedStorage image)
    {
        while (true)
        {
            _disk = new TroubledDisk(Random, trouble, image.Clone(), _recipe.Create.Size);
            Trace(_disk.ToString());
            try
            {
                _device = await _recipe.OpenAsync(_disk.Top);
                return;
            }
            catch (BlockException e)
            {
                Trace($"opening failed: {e.Message}");
            }
        }
    }

    private Task StepAsync()
    {
        int zone = Random.Next(_firstZone, _zones.Length);
        return Random.Next(100) switch
        {
            < 50 => WriteAsync(zone, fua: Random.Next(8) == 0),
            < 64 => ResetAsync(zone, 1),
            < 66 => ResetAsync(_firstZone, _zones.Length - _firstZone),
            < 70 => FinishAsync(zone),
            < 84 => FlushAsync(),
            < 87 => CloseAsync(),
            < 90 => OpenOrCloseAsync(zone),
            _ => VerifyAsync(zone),
        };
    }

    private async Task WriteAsync(int zone, bool fua)
    {
        var states = _zones[zone];
        int most = Random.Next(3) == 0 ? 128 : 12;
        int length = (int)Math.Min(CapacityOf(zone) - states.Written, (1 + Random.Next(most)) * Sector);
        if (length == 0 || states.IsFull)
        {
            return;
        }

        long end = states.Written + length;
        Trace($"write zone {zone} at {states.Written} {length}{(fua ? " fua" : "")} at log {_disk.Storage.Log.Count}");
        states.Writing(end);
        var data = SectorPattern.Make((zone * ZoneSize) + states.Written, length, states.Epoch);
        var outcome = await TryAsync(
            () => _device.WriteAsync((zone * ZoneSize) + states.Written, data, fua ? WriteFlags.Fua : WriteFlags.None));
        await TryCutsAsync();
        SimFailure.Unless(outcome != Outcome.Done || !_disk.IsLost, "a write was accepted after a failed flush");

        // if only its flush failed, the data is written
        bool written = outcome == Outcome.Done || (fua && outcome == Outcome.Failed && await PointerAsync(zone) >= end);
        states.HasWritten(written ? end : states.Written);
        await VerifyAsync(zone);
        if (outcome == Outcome.Done && fua)
        {
            states.Flushed();
        }
    }

    private async Task ResetAsync(int first, int count)
    {
        var touched = Enumerable.Range(first, count).ToArray();
        Trace($"reset zones {first}+{count} at log {_disk.Storage.Log.Count}");
        foreach (int zone in touched)
        {
            _zones[zone].Resetting();
        }

        long length = Math.Min(count * ZoneSize, _recipe.Create.Size - (first * ZoneSize));
        var outcome = await TryAsync(() => _device.Zones!.ManageAsync(ZoneAction.Reset, first * ZoneSize, length));
        SimFailure.Unless(outcome == Outcome.Done || trouble != Trouble.Full, "a reset failed because the file system is full");
        await TryCutsAsync();
        foreach (int zone in touched)
        {
            // after a failure each zone has its state in storage
            bool empty = outcome == Outcome.Done || (_zones[zone].Written > 0 || _zones[zone].IsFull) && await PointerAsync(zone) == 0;
            if (empty)
            {
                _zones[zone].WasReset(durably: outcome == Outcome.Done);
            }

            await VerifyAsync(zone);
        }

        if (outcome != Outcome.Done && !_disk.IsCached)
        {
            await CheckAgreementAsync(touched);
        }
    }

    // state that another process would find in the file at this moment
    private async Task CheckAgreementAsync(int[] touched)
    {
        var device = await _recipe.OpenAsync(_disk.Storage.Live.Clone());
        var zones = new ZoneDescriptor[_zones.Length];
        await device.Zones!.ReportAsync(0, zones);
        foreach (int zone in touched)
        {
            bool emptyThere = zones[zone].Condition == ZoneCondition.Empty;
            bool emptyHere = _zones[zone].Written == 0 && !_zones[zone].IsFull;
            SimFailure.Unless(
                emptyHere ? emptyThere : !emptyThere || _zones[zone].MayBeEmpty,
                $"zone {zone} after a reset that failed: {(emptyHere ? "empty" : "not empty")} in memory, {zones[zone].Condition} on the "
                    + "storage");
        }

        await device.DisposeAsync();
    }

    private async Task FinishAsync(int zone)
    {
        Trace($"finish zone {zone} at log {_disk.Storage.Log.Count}");
        _zones[zone].Finishing();
        var outcome = await TryAsync(() => _device.Zones!.ManageAsync(ZoneAction.Finish, zone * ZoneSize, LengthOf(zone)));
        SimFailure.Unless(
            outcome != Outcome.Failed || trouble != Trouble.Full || _disk.IsSparse, "a finish failed because the file system is full");
        await TryCutsAsync();
        _zones[zone].HasFinished(outcome == Outcome.Done);
        await VerifyAsync(zone);
    }

    private async Task OpenOrCloseAsync(int zone)
    {
        await TryAsync(() => _device.Zones!.ManageAsync(Pick(ZoneAction.Open, ZoneAction.Close), zone * ZoneSize, LengthOf(zone)));
        await VerifyAsync(zone);
    }

    private long LengthOf(int zone) => Math.Min(ZoneSize, _recipe.Create.Size - (zone * ZoneSize));

    private async Task FlushAsync()
    {
        bool wasLost = _disk.IsLost;
        Trace($"flush at log {_disk.Storage.Log.Count}");
        var outcome = await TryAsync(() => _device.FlushAsync());
        SimFailure.Unless(!(outcome == Outcome.Done && wasLost), "a flush succeeded after one that failed");
        SimFailure.Unless(outcome == Outcome.Done || trouble != Trouble.Full, "a flush failed because the file system is full");
        await TryCutsAsync();
        if (outcome == Outcome.Done)
        {
            Array.ForEach(_zones, static z => z.Flushed());
            _disk.Begin();
            await TryCutsAsync();
        }
    }

    // shuts down cleanly and restarts on the contents of the disk: after a failed flush, on what a power cut leaves
    private async Task CloseAsync()
    {
        Trace($"close at log {_disk.Storage.Log.Count}");
        bool done = await TryAsync(_device.DisposeAsync) == Outcome.Done;
        SimFailure.Unless(done || trouble != Trouble.Full, "closing failed because the file system is full");
        await TryCutsAsync();
        if (done)
        {
            Array.ForEach(_zones, static z => z.Flushed());
        }

        var left = done ? _disk.Storage.Live : _disk.CutNow(Random);
        var (zones, data) = await JudgeAsync(left.Clone(), done ? "after closing" : "after a cut");
        for (int zone = _firstZone; zone < zones.Length; zone++)
        {
            _zones[zone].Found(zones[zone], data.AsSpan((int)zones[zone].Start, (int)zones[zone].Length));
        }

        await StartAsync(left);
    }

    private async Task<long> PointerAsync(int zone)
    {
        var report = new ZoneDescriptor[1];
        await _device.Zones!.ReportAsync(zone * ZoneSize, report);
        return report[0].WritePointer - report[0].Start;
    }

    private async Task VerifyAsync(int zone)
    {
        var states = _zones[zone];
        var report = new ZoneDescriptor[1];
        SimFailure.Unless(await _device.Zones!.ReportAsync(zone * ZoneSize, report) == 1, "a report of one zone gives none");
        long written = report[0].WritePointer - report[0].Start;
        SimFailure.Unless(
            states.IsFull ? report[0].Condition == ZoneCondition.Full : written == states.Written,
            $"zone {zone}: pointer {written}, {report[0].Condition}, not {states.Written}{(states.IsFull ? " and full" : "")}");
        var data = new byte[report[0].Length];
        await _device.ReadAsync(report[0].Start, data);
        for (int at = 0; at < data.Length; at += Sector)
        {
            long found = SectorPattern.Identify(data.AsSpan(at, Sector), report[0].Start + at);
            SimFailure.Unless(
                found == (at < states.Written ? states.Epoch : 0), $"zone {zone}, byte {at}: version {found}, pointer {written}");
        }
    }

    private async Task TryCutsAsync()
    {
        if (Random.Next(6) != 0)
        {
            return;
        }

        foreach (var image in _disk.CutSince(Random, 2))
        {
            Cuts++;
            await JudgeAsync(image, "after a cut");
        }
    }

    private async Task<(ZoneDescriptor[] Zones, byte[] Data)> JudgeAsync(PagedStorage image, string when)
    {
        var judged = image.Clone();
        if (!_recipe.Create.LazyRefcounts)
        {
            await CheckAsync(judged, leaksAllowed: true, when);
        }

        var device = await _recipe.OpenAsync(judged);
        var data = new byte[device.Length];
        await device.ReadAsync(0, data);
        var zones = new ZoneDescriptor[_zones.Length];
        SimFailure.Unless(await device.Zones!.ReportAsync(0, zones) == zones.Length, "zones are missing from the report");
        for (int zone = _firstZone; zone < zones.Length; zone++)
        {
            _zones[zone].Check(zones[zone], data.AsSpan((int)zones[zone].Start, (int)zones[zone].Length), when);
        }

        await device.DisposeAsync();
        return (zones, data);
    }

    private async Task<Outcome> TryAsync(Func<ValueTask> request)
    {
        _disk.Begin();
        try
        {
            await request();
            return Outcome.Done;
        }
        catch (BlockException e) when (e is not ImageCorruptException)
        {
            Trace($"  failed: {e}");
            return e is ZoneException ? Outcome.Refused : Outcome.Failed;
        }
    }
}
