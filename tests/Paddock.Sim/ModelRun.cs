using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Sends random requests, valid and invalid, to a zoned image and to the plain model of a zoned disk; every reply, report and byte must
/// match.
/// </summary>
internal sealed class ModelRun(int seed, SimOptions options) : SimRun(seed, options)
{
    private const int Sector = SectorPattern.Sector;

    private ZonedRecipe _recipe = null!;
    private PagedStorage _storage = null!;
    private IBlockDevice _device = null!;
    private ZoneModel _model = null!;
    private uint _version;

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        _recipe = Random.Next(16) > 0
            ? ZonedRecipe.Make(Random, Options.Extended, 512, 4096, 65536)
            : ZonedRecipe.Make(Random, Options.Extended, 2 << 20);
        _recipe = Random.Next(2) == 0 ? _recipe.WithAreas(Random) : _recipe;
        Trace($"{_recipe}, {_recipe.Zones.RandomArea}");
        _storage = await _recipe.BuildAsync();
        _device = await _recipe.OpenAsync(_storage);
        _model = new ZoneModel(_device.Zones!.Limits, _device.Length);
        for (int i = 0; i < Options.Ops; i++)
        {
            await StepAsync();
            await CompareReportsAsync();
        }

        await CompareBytesAsync(0, _model.Length);
        await CompareExtensionsAsync();
        await _device.DisposeAsync();
        await CheckAsync(_storage, leaksAllowed: false, "after the run");
    }

    private Task StepAsync() => Random.Next(100) switch
    {
        < 30 => WriteAsync(),
        < 50 => AppendAsync(),
        < 56 => ZeroAsync(),
        < 73 => ManageAsync(),
        < 75 => SetConditionAsync(),
        < 77 => ExtendAsync(),
        < 79 => DiscardAsync(),
        < 90 => CompareBytesAsync(Random.NextInt64(_model.Length), 64 << 10),
        < 93 => ResizeAsync(),
        < 95 => CommitAsync(),
        < 97 => _device.FlushAsync().AsTask(),
        _ => ReopenAsync(),
    };

    private async Task WriteAsync()
    {
        var (offset, length) = Target();
        byte[] data = SectorPattern.Make(offset, length, ++_version);
        Trace($"write {offset} {length}");
        Same(_model.Write(offset, data), await TryAsync(() => _device.WriteAsync(offset, data)));
    }

    private async Task AppendAsync()
    {
        var zone = Pick<ZoneDescriptor>(_model.Report());
        long start = Random.Next(20) == 0 ? zone.Start + Sector : zone.Start;
        byte[] data = SectorPattern.Make(0, Length(zone), ++_version);
        Trace($"append {start} {data.Length}");
        var expected = _model.Append(start, data, out long at);
        long landed = 0;
        Same(expected, await TryAsync(async () => landed = await _device.Zones!.AppendAsync(start, data)));
        SimFailure.Unless(expected != ZoneError.None || landed == at, $"an append landed at {landed}, not at {at}");
    }

    private async Task ZeroAsync()
    {
        var (offset, length) = Target();
        var flags = Pick(ZeroFlags.None, ZeroFlags.MayUnmap);
        Trace($"zero {offset} {length} {flags}");
        Same(_model.WriteZeroes(offset, length), await TryAsync(() => _device.WriteZeroesAsync(offset, length, flags)));
    }

    private async Task ManageAsync()
    {
        var zones = _model.Report();
        int first = Random.Next(zones.Length);
        int count = Random.Next(3) == 0 ? Random.Next(1, zones.Length - first + 1) : 1;
        if (Random.Next(16) == 0)
        {
            (first, count) = (0, zones.Length);
        }

        long start = zones[first].Start, end = zones[first + count - 1].Start + zones[first + count - 1].Length;
        start += Random.Next(30) == 0 ? Sector : 0;
        var action = Pick(ZoneAction.Open, ZoneAction.OpenWithRandomArea, ZoneAction.Close, ZoneAction.Finish, ZoneAction.Reset);
        Trace($"{action} {start} {end - start}");
        var expected = end > start ? _model.Manage(action, start, end - start) : ZoneError.Unaligned;
        Same(expected, end > start ? await TryAsync(() => _device.Zones!.ManageAsync(action, start, end - start)) : ZoneError.Unaligned);
    }

    private async Task CommitAsync()
    {
        var area = _device.Zones!.Limits.RandomArea;
        var zones = Array.FindAll(_model.Report(), static z => z.HasRandomArea);
        var zone = zones.Length > 0 ? zones[Random.Next(zones.Length)] : _model.Report()[0];
        long end = zone.WritePointer + (Random.Next(8) == 0 ? Sector * Random.Next(-2, 40)
            : area.Granularity * Random.NextInt64(1, Math.Max(2, area.Size / Math.Max(1, area.Granularity)) + 1));
        end = Random.Next(6) == 0 ? zone.Start + zone.Capacity : end;
        Trace($"commit {end}");
        Same(_model.Commit(end), await TryAsync(() => _device.Zones!.CommitAsync(end)));
    }

    private async Task SetConditionAsync()
    {
        var zones = _model.Report();
        int zone = Random.Next(zones.Length);
        if (zones[zone].Type == ZoneType.Conventional)
        {
            return;
        }

        // mostly restores zones, so that writable zones do not run out
        var condition = Pick(ZoneCondition.ReadOnly, ZoneCondition.Offline, ZoneCondition.Empty, ZoneCondition.Empty);
        int worn = Array.FindIndex(zones, z => z.Condition is ZoneCondition.ReadOnly or ZoneCondition.Offline);
        zone = condition == ZoneCondition.Empty && worn >= 0 ? worn : zone;
        Trace($"condition of zone {zone}: {condition}");
        Same(_model.SetCondition(zone, condition), await TryAsync(() => _device.Zones!.Attributes!.SetConditionAsync(zone, condition)));
    }

    private async Task ExtendAsync()
    {
        int zone = Random.Next(_model.Count);
        byte[] data = new byte[_device.Zones!.Attributes!.ExtensionBytes];
        Random.NextBytes(data);
        bool area = Random.Next(2) == 0;
        Trace($"extension of zone {zone}{(area ? " with an area" : "")}");
        Same(
            _model.Extend(zone, data, area), await TryAsync(() => _device.Zones!.Attributes.WriteExtensionAsync(zone, data, area)));
    }

    private async Task CompareExtensionsAsync()
    {
        byte[] data = new byte[_device.Zones!.Attributes!.ExtensionBytes];
        for (int zone = 0; zone < _model.Count; zone++)
        {
            bool has = await _device.Zones!.Attributes.ReadExtensionAsync(zone, data);
            byte[]? expected = _model.ExtensionOf(zone);
            SimFailure.Unless(
                has ? data.AsSpan().SequenceEqual(expected) : expected is null, $"the extension of zone {zone} is not what the model says");
        }
    }

    private async Task DiscardAsync()
    {
        var (offset, length) = Target();
        Trace($"discard {offset} {length}");
        var expected = _model.Discard(offset, length);
        Same(expected, await TryAsync(() => _device.DiscardAsync(offset, length)));
        if (expected == ZoneError.None)
        {
            // conventional bytes may read as anything after a discard; from here on both read as zeroes
            _model.WriteZeroes(offset, length);
            await _device.WriteZeroesAsync(offset, length);
        }
    }

    private async Task ResizeAsync()
    {
        if (_recipe.Zones.Layout == ZoneLayout.C && _recipe.Zones.MaxActiveZones + _recipe.Zones.MaxOpenZones > 0)
        {
            // layout C stores a limit that equals the number of sequential zones as none: shrunk, reopened and grown, the disk has lost it
            return;
        }

        long length = Math.Max(Sector, _model.Length + (Random.Next(-64, 128) * (long)Sector));
        if (Random.Next(2) == 0)
        {
            length = Math.Max(1, (length / _device.Zones!.Limits.ZoneSize) + Random.Next(2)) * _device.Zones!.Limits.ZoneSize;
        }

        Trace($"resize {_model.Length} to {length}");
        Same(_model.Resize(length), await TryAsync(() => _device.ResizeAsync(length)));
    }

    private async Task ReopenAsync()
    {
        Trace("reopen");
        await _device.DisposeAsync();
        await CheckAsync(_storage, leaksAllowed: false, "after closing");
        _device = await _recipe.OpenAsync(_storage);
        _model.Reopen();
        await CompareExtensionsAsync();
    }

    // mostly where a write is accepted, else anywhere
    private (long Offset, int Length) Target()
    {
        var zone = Pick<ZoneDescriptor>(_model.Report());
        long offset = zone.Type == ZoneType.Conventional || Random.Next(8) == 0
            ? zone.Start + (Random.NextInt64(zone.Length / Sector) * Sector)
            : zone.WritePointer + (zone.HasRandomArea ? Random.NextInt64(2 * _model.AreaBytes / Sector) * Sector : 0);
        int length = Length(zone);
        offset = Math.Min(offset, _model.Length - Sector);
        return (offset, (int)Math.Min(length, _model.Length - offset));
    }

    private int Length(ZoneDescriptor zone) => (int)(Random.Next(6) switch
    {
        0 when zone.WritePointer < zone.Start + zone.Capacity => Math.Min(zone.Start + zone.Capacity - zone.WritePointer, 1 << 20),
        1 => Sector * Random.Next(1, 200),
        _ => Sector * Random.Next(1, 24),
    });

    private async Task CompareBytesAsync(long offset, long length)
    {
        offset = offset / Sector * Sector;
        byte[] found = new byte[Math.Min(length, _model.Length - offset)];
        bool offline = _model.Report()
            .Any(z => z.Condition == ZoneCondition.Offline && z.Start < offset + found.Length && offset < z.Start + z.Length);
        Same(offline ? ZoneError.Offline : ZoneError.None, await TryAsync(() => _device.ReadAsync(offset, found)));
        if (offline)
        {
            return;
        }

        int differs = found.AsSpan().CommonPrefixLength(_model.Read(offset, found.Length));
        SimFailure.Unless(differs == found.Length, $"byte {offset + differs} is not what the model says");
    }

    private async Task CompareReportsAsync()
    {
        var expected = _model.Report();
        var found = new ZoneDescriptor[expected.Length + 1];
        int count = await _device.Zones!.ReportAsync(0, found);
        SimFailure.Unless(count == expected.Length && _device.Length == _model.Length, $"{count} zones, not {expected.Length}");
        for (int i = 0; i < count; i++)
        {
            SimFailure.Unless(found[i] == expected[i], $"zone {i} is {found[i]}, the model says {expected[i]}");
        }
    }

    private static void Same(ZoneError expected, ZoneError found)
        => SimFailure.Unless(expected == found, $"the engine says {found}, the model {expected}");

    private static async Task<ZoneError> TryAsync(Func<ValueTask> request)
    {
        try
        {
            await request();
            return ZoneError.None;
        }
        catch (ZoneException e)
        {
            return e.Reason;
        }
    }
}
