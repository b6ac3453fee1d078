using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// A plain image on a file system that fills up, or whose flush fails. Accepted data reads back and becomes durable; data reported durable
/// by a flush survives a power cut at any moment; no entry ever points at unwritten data.
/// </summary>
internal sealed class TroubleRun(int seed, SimOptions options, Trouble trouble) : SimRun(seed, options)
{
    private const int Sector = SectorPattern.Sector;

    private ImageRecipe _recipe = null!;
    private TroubledDisk _disk = null!;
    private CheckedDevice _device = null!;

    /// <summary>Current version of each sector.</summary>
    private uint[] _now = [];

    /// <summary>Permitted versions of each sector after a power cut.</summary>
    private List<uint>[] _durable = [];

    private uint _version = 1;

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        _recipe = await ImageRecipe.MakeAsync(Random, Options.Extended, 512, 4096, 4096, 65536);
        Trace(_recipe.ToString());
        _now = [.. _recipe.Start];
        await StartAsync(await _recipe.BuildAsync());
        for (int i = 0; i < Options.Ops; i++)
        {
            await StepAsync();
        }

        await CloseAsync();
    }

    private async Task StartAsync(PagedStorage image)
    {
        _durable = [.. _now.Select(version => new List<uint> { version })];
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

    private async Task StepAsync()
    {
        int first = Random.Next(_now.Length);
        int count = Math.Min(1 + Random.Next(Random.Next(4) == 0 ? 200 : 16), _now.Length - first);
        switch (Random.Next(100))
        {
            case < 50:
                uint version = ++_version;
                bool fua = Random.Next(8) == 0;
                var data = SectorPattern.Make((long)first * Sector, count * Sector, version);
                await ChangeAsync("write", first, count, version, fua, () => _device.WriteAsync(
                    (long)first * Sector, data, fua ? WriteFlags.Fua : WriteFlags.None));
                break;
            case < 62:
                var flags = Pick(ZeroFlags.None, ZeroFlags.MayUnmap);
                await ChangeAsync($"zero {flags}", first, count, 0, false, () => _device.WriteZeroesAsync(
                    (long)first * Sector, (long)count * Sector, flags));
                break;
            case < 70:
                await ChangeAsync("discard", first, count, 0, false, () => _device.DiscardAsync(
                    (long)first * Sector, (long)count * Sector));
                break;
            case < 86:
                await FlushAsync();
                break;
            case < 89:
                await CloseAsync();
                break;
            default:
                await ReadAsync(first, count, version: null);
                break;
        }
    }

    private async Task ChangeAsync(string what, int first, int count, uint version, bool fua, Func<ValueTask> request)
    {
        Trace($"{what} {first} {count} version {version}{(fua ? " fua" : "")} at log {_disk.Storage.Log.Count}");
        for (int sector = first; sector < first + count; sector++)
        {
            Allow(sector, version);
        }

        bool done = await TryAsync(request);
        await TryCutsAsync();
        SimFailure.Unless(!done || !_disk.IsLost, "a change was accepted after a failed flush");
        if (done && what != "discard")
        {
            _now.AsSpan(first, count).Fill(version);
        }

        await ReadAsync(first, count, version);
        for (int sector = first; done && fua && sector < first + count; sector++)
        {
            _durable[sector] = [_now[sector]];
        }
    }

    private void Allow(int sector, uint version)
    {
        if (!_durable[sector].Contains(version))
        {
            _durable[sector].Add(version);
        }
    }

    /// <summary>Reads and compares. A sector that a failed request addressed may have the new version or its previous one.</summary>
    private async Task ReadAsync(int first, int count, uint? version)
    {
        byte[] found = new byte[count * Sector];
        await _device.ReadAsync((long)first * Sector, found);
        for (int i = 0; i < count; i++)
        {
            int sector = first + i;
            long read = SectorPattern.Identify(found.AsSpan(i * Sector, Sector), (long)sector * Sector);
            SimFailure.Unless(read == _now[sector] || read == version, $"sector {sector} reads as {read}, not {_now[sector]} or {version}");
            _now[sector] = (uint)read;
        }
    }

    private async Task FlushAsync()
    {
        bool wasLost = _disk.IsLost;
        Trace($"flush at log {_disk.Storage.Log.Count}");
        bool done = await TryAsync(() => _device.FlushAsync());
        SimFailure.Unless(!(done && wasLost && _disk.Storage.Log.Count > 0), "a flush succeeded after one that failed");
        SimFailure.Unless(done || trouble != Trouble.Full, "a flush failed because the file system is full");
        await TryCutsAsync();
        if (done)
        {
            _durable = [.. _now.Select(version => new List<uint> { version })];
        }
    }

    // shuts down cleanly and restarts on the contents of the disk: after a failed flush, on what a power cut leaves
    private async Task CloseAsync()
    {
        Trace($"close at log {_disk.Storage.Log.Count}");
        bool done = await TryAsync(_device.DisposeAsync);
        SimFailure.Unless(done || trouble != Trouble.Full, "closing failed because the file system is full");
        await TryCutsAsync();
        var left = done ? _disk.Storage.Live : _disk.CutNow(Random);
        if (done)
        {
            _durable = [.. _now.Select(version => new List<uint> { version })];
        }

        _now = await JudgeAsync(left.Clone(), done ? "after closing" : "after a cut");
        await StartAsync(left);
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

    /// <summary>Checks that an image is consistent, opens, and holds only permitted data, and returns its contents.</summary>
    private async Task<uint[]> JudgeAsync(PagedStorage image, string when)
    {
        var judged = image.Clone();
        if (!_recipe.Create.LazyRefcounts)
        {
            await CheckAsync(judged, leaksAllowed: true, when);
        }

        await using var device = await _recipe.OpenAsync(judged, readOnly: true);
        byte[] all = new byte[_now.Length * Sector];
        await device.ReadAsync(0, all);
        var found = new uint[_now.Length];
        for (int sector = 0; sector < found.Length; sector++)
        {
            long read = SectorPattern.Identify(all.AsSpan(sector * Sector, Sector), (long)sector * Sector);
            SimFailure.Unless(
                read >= 0 && _durable[sector].Contains((uint)read),
                $"sector {sector} {when} reads as {read}, allowed are {string.Join(", ", _durable[sector])}");
            found[sector] = (uint)read;
        }

        return found;
    }

    private async Task<bool> TryAsync(Func<ValueTask> request)
    {
        _disk.Begin();
        try
        {
            await request();
            return true;
        }
        catch (BlockException e) when (e is not ImageCorruptException)
        {
            Trace($"  failed: {e}");
            return false;
        }
    }
}
