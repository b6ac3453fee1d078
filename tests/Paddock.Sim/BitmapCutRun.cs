using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Records changes in persistent bitmaps over several sessions, and cuts power at every moment of the run. Afterwards the image is sound,
/// and a bitmap that is not inconsistent has a bit for every sector that differs from what the disk held when the bitmap was cleared. After
/// a session that ended in order it is consistent.
/// </summary>
internal sealed class BitmapCutRun(int seed, SimOptions options) : SimRun(seed, options)
{
    private const int Sector = SectorPattern.Sector, MaxCuts = 300;
    private const string Name = "kept";

    private readonly List<Stored> _stored = [];
    private readonly CopiedSectors _copied = new();
    private ImageRecipe _recipe = null!;
    private CrashPair _disks = null!;
    private CheckedDevice _device = null!;
    private uint[] _now = [];
    private uint[] _base = [];
    private uint _version = 1;
    private int _others;

    private IQcow2Bitmaps Bitmaps => ((IQcow2Device)_device).Bitmaps;

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        do
        {
            _recipe = await ImageRecipe.MakeAsync(Random, Options.Extended, 512, 512, 4096, 4096, 65536);
        }
        while (_recipe.Create.Version < 3);

        _recipe = Random.Next(5) == 0 ? _recipe.WithDataFile(Random) : _recipe;
        _recipe = Random.Next(6) == 0 ? _recipe.Encrypted(Random) : _recipe;
        Trace(_recipe.ToString());
        var built = await _recipe.BuildAsync();
        _disks = new CrashPair(built, (PagedStorage?)_recipe.Data.Of(built));
        _recipe.Data.Set(_disks.Image, _disks.Data);
        _now = [.. _recipe.Start];
        _base = [.. _now];
        _device = await _recipe.OpenAsync(_disks.Image);
        await Bitmaps.AddAsync(Name, 512L << Random.Next(8));
        await CloseAsync();
        for (int session = 0; session < 4; session++)
        {
            _device = await _recipe.OpenAsync(_disks.Image);
            for (int i = Random.Next(Math.Max(1, Options.Ops / 6)); i >= 0; i--)
            {
                await StepAsync();
            }

            await CloseAsync();
            await CheckAsync(_disks.Image.Live, leaksAllowed: false, "after closing");
            var closed = _disks.Image.Live.Clone();
            _recipe.Data.Set(closed, _disks.Data?.Live.Clone());
            await VerifyAsync(closed, int.MaxValue);
        }

        await CutAsync(_disks, MaxCuts, 1, (image, data, position) =>
        {
            _recipe.Data.Set(image, data);
            return TryCutAsync(image, position);
        });
    }

    private async Task StepAsync()
    {
        int first = Random.Next(_now.Length), count = Math.Min(1 + Random.Next(Random.Next(3) == 0 ? 200 : 12), _now.Length - first);
        long offset = (long)first * Sector;
        int length = count * Sector;
        switch (Random.Next(100))
        {
            case < 15:
                int source = PickSource(first, count, _now.Length, _recipe.Create.ClusterSize);
                Trace($"copy {(long)source * Sector} to {offset} {length} at log {_disks.Position}");
                await _device.RangeCopy!.CopyAsync((long)source * Sector, offset, length);
                uint[] copies = [.. Enumerable.Range(0, count).Select(i => _copied.At(first + i, source + i, _now[source + i]))];
                copies.CopyTo(_now, first);
                break;
            case < 45:
                uint version = ++_version;
                Trace($"write {offset} {length} version {version} at log {_disks.Position}");
                await _device.WriteAsync(offset, SectorPattern.Make(offset, length, version));
                _now.AsSpan(first, count).Fill(version);
                break;
            case < 60:
                var flags = Pick(ZeroFlags.None, ZeroFlags.MayUnmap);
                Trace($"zero {offset} {length} {flags} at log {_disks.Position}");
                await _device.WriteZeroesAsync(offset, length, flags);
                _now.AsSpan(first, count).Clear();
                break;
            case < 75:
                Trace($"flush at log {_disks.Position}");
                await _device.FlushAsync();
                break;
            case < 82:
                // what is on the storage differs from the disk in memory until a flush
                await _device.FlushAsync();
                Trace($"clear at log {_disks.Position}");
                await Bitmaps.ClearAsync(Name);
                _base = [.. _now];
                break;
            case < 86:
                await ToggleAsync();
                break;
            case < 93:
                Trace($"add at log {_disks.Position}");
                await Bitmaps.AddAsync($"other {_others++}", 512L << Random.Next(8));
                break;
            default:
                await RemoveAsync();
                break;
        }
    }

    // what changes meanwhile has no bit: the bitmap begins again
    private async Task ToggleAsync()
    {
        Trace($"disable and enable at log {_disks.Position}");
        await Bitmaps.SetEnabledAsync(Name, enabled: false);
        await Bitmaps.SetEnabledAsync(Name, enabled: true);
    }

    private async Task RemoveAsync()
    {
        if (Bitmaps.List.FirstOrDefault(static b => b.Name != Name) is { } other)
        {
            Trace($"remove {other.Name} at log {_disks.Position}");
            await Bitmaps.RemoveAsync(other.Name);
        }
    }

    private async Task CloseAsync()
    {
        int from = _disks.Position;
        Trace($"close at log {from}");
        await _device.DisposeAsync();
        _stored.Add(new Stored(from, _disks.Position, [.. _base]));
    }

    private async Task TryCutAsync(PagedStorage image, int position)
    {
        if (!IsMarked(image))
        {
            await CheckAsync(image, leaksAllowed: true, "after the cut");
        }

        await VerifyAsync(image, position);
        await CheckAsync(image, leaksAllowed: true, "after the cut, opened, changed and closed again");
    }

    private async Task VerifyAsync(PagedStorage image, int position)
    {
        await using var device = await _recipe.OpenAsync(image);
        var bitmaps = ((IQcow2Device)device).Bitmaps;
        var info = bitmaps.List.FirstOrDefault(static b => b.Name == Name);
        bool isQuiet = _stored.Exists(s => s.By == position) || position == int.MaxValue;
        SimFailure.Unless(
            info is not null ? !(isQuiet && info.InUse) : position < _stored[0].By, $"the bitmap is {info} after a cut at {position}");
        if (info is { InUse: false })
        {
            var bytes = new byte[device.Length];
            await device.ReadAsync(0, bytes);
            var bitmap = await bitmaps.OpenAsync(Name);
            var missing = _stored.Where((s, i) => s.From < position && (i + 1 == _stored.Count || _stored[i + 1].By >= position))
                .Select(s => FirstMissing(bytes, bitmap, s.Base)).ToList();
            SimFailure.Unless(
                missing.Contains(-1), $"after a cut at {position} sector {missing.FirstOrDefault()} has changed and has no bit");
        }

        // a later session marks, stores and removes what this one left
        int first = Random.Next(_now.Length);
        await device.WriteAsync((long)first * Sector, SectorPattern.Make((long)first * Sector, Sector, 1));
        if (info is not null && Random.Next(3) == 0)
        {
            await bitmaps.RemoveAsync(Name);
        }
    }

    private int FirstMissing(byte[] bytes, IDirtyBitmap bitmap, uint[] then)
    {
        for (int sector = 0; sector < then.Length; sector++)
        {
            long offset = (long)sector * Sector;
            if (_copied.Identify(bytes.AsSpan((int)offset, Sector), offset) != then[sector] && !bitmap.Find(offset, 1).IsDirty)
            {
                return sector;
            }
        }

        return -1;
    }

    /// <summary>A session that ended, and what the disk held when the bitmap of that time was cleared.</summary>
    private sealed record Stored(int From, int By, uint[] Base);
}
