using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Cuts power at every moment of a run on a plain image. Several clients work on separate stripes, so that they share clusters and tables
/// but never a sector.
/// </summary>
internal sealed class PlainCutRun(int seed, SimOptions options, bool raw, bool dataFile = false, bool encrypted = false)
    : SimRun(seed, options)
{
    private const int Sector = SectorPattern.Sector;

    /// <summary>Maximum number of images checked per run; longer logs are sampled.</summary>
    private const int MaxCuts = 600;

    private ImageRecipe _recipe = null!;
    private readonly CopiedSectors _copied = new();
    private CrashPair _disks = null!;
    private CheckedDevice _device = null!;
    private Timeline _timeline = null!;
    private SectorHistory _history = null!;
    private uint _version = 1;
    private int _clients;
    private int _stripe;

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        _recipe = raw || Random.Next(40) > 0
            ? await ImageRecipe.MakeAsync(Random, Options.Extended, 512, 512, 4096, 4096, 65536)
            : await ImageRecipe.MakeAsync(Random, Options.Extended, 2 << 20);
        _recipe = dataFile ? _recipe.WithDataFile(Random) : _recipe;
        _recipe = encrypted ? _recipe.Encrypted(Random) : _recipe;
        Trace(_recipe.ToString());
        var start = raw ? RawStart() : await _recipe.BuildAsync();
        _disks = new CrashPair(start, (PagedStorage?)_recipe.Data.Of(start));
        _recipe.Data.Set(_disks.Image, _disks.Data);
        _timeline = new Timeline(() => _disks.Position);
        _history = new SectorHistory(_recipe.Start);
        _device = await OpenAsync(_disks.Image);
        _clients = Random.Next(3) == 0 ? Random.Next(2, 5) : 1;
        _stripe = _clients == 1 ? _history.Sectors : Math.Max(1, Random.Next(_recipe.Create.ClusterSize / Sector * 2));
        _disks.Hold = _clients > 1 ? context.HoldAsync : null;
        int perClient = Options.Ops / _clients;
        await Task.WhenAll(Enumerable.Range(0, _clients).Select(client => ClientAsync(client, perClient)));
        _disks.Hold = null;
        await VerifyNowAsync(_device);
        await CloseAsync();
        _timeline.Seal();
        await CheckImageAsync(_disks.Image.Live, leaksAllowed: false, "after the run");
        if (!(Options.NoCheck && _recipe.Create.LazyRefcounts))
        {
            await TryCutsAsync();
        }
    }

    private static async Task<PagedStorage> Closed(PagedStorage image, ImageRecipe recipe)
    {
        await (await recipe.OpenAsync(image)).DisposeAsync();
        return image;
    }

    private PagedStorage RawStart()
    {
        var storage = new PagedStorage();
        storage.SetLength(_recipe.Create.Size);
        for (int sector = 0; sector < _recipe.Start.Length; sector++)
        {
            storage.Write((long)sector * Sector, SectorPattern.Make((long)sector * Sector, Sector, _recipe.Start[sector]));
        }

        return storage;
    }

    private async Task<CheckedDevice> OpenAsync(IStorage storage)
        => raw ? CheckedDevice.Wrap(new RawDevice(storage)) : await _recipe.OpenAsync(storage);

    private async Task CheckImageAsync(PagedStorage image, bool leaksAllowed, string when)
    {
        if (!raw)
        {
            await CheckAsync(image, leaksAllowed, when);
        }
    }

    private async Task ClientAsync(int client, int ops)
    {
        for (int i = 0; i < ops; i++)
        {
            var (offset, length) = Range(client);
            switch (Random.Next(100))
            {
                case < 2 when !raw && _clients == 1:
                    await MarkAsync(offset, length);
                    break;
                case < 12 when !raw && _clients == 1:
                    await CopyAsync(offset, length);
                    break;
                case < 45:
                    await WriteAsync(offset, length, fua: false);
                    break;
                case < 52:
                    await WriteAsync(offset, length, fua: true);
                    break;
                case < 64:
                    await ZeroAsync(offset, length);
                    break;
                case < 74:
                    await DiscardAsync(offset, length);
                    break;
                case < 86:
                    await FlushAsync();
                    break;
                case < 91 when !raw && !dataFile && !encrypted && _clients == 1:
                    await CompressAsync(offset);
                    break;
                case < 92 when _clients == 1:
                    await ReopenAsync();
                    break;
                default:
                    await ReadAsync(offset, length);
                    break;
            }
        }
    }

    /// <summary>Range of whole sectors inside one of the client's stripes.</summary>
    private (long Offset, int Length) Range(int client)
    {
        int stripes = Math.Max(1, _history.Sectors / _stripe / _clients);
        long start = ((Random.Next(stripes) * _clients) + client) * (long)_stripe;
        if (start >= _history.Sectors)
        {
            start = client * (long)_stripe;
        }

        long room = Math.Min(_stripe, _history.Sectors - start);
        if (room <= 0)
        {
            return (0, 0);
        }

        long first = Random.NextInt64(room);
        int most = Random.Next(4) == 0 ? 256 : 16;
        long count = Math.Min(1 + Random.Next(most), room - first);
        int perCluster = _recipe.Create.ClusterSize / Sector;
        if (Random.Next(3) == 0 && room >= perCluster && _clients == 1)
        {
            first = first / perCluster * perCluster;
            count = Math.Min(perCluster * (1 + Random.Next(3)), room - first);
        }

        return ((start + first) * Sector, (int)Math.Min(count, 4096) * Sector);
    }

    private async Task WriteAsync(long offset, int length, bool fua)
    {
        uint version = ++_version;
        Trace($"write {offset} {length} version {version}{(fua ? " fua" : "")} at log {_disks.Position}");
        var op = _timeline.Begin(fua);
        _history.Write(op, offset, length, version);
        await _device.WriteAsync(offset, SectorPattern.Make(offset, length, version), fua ? WriteFlags.Fua : WriteFlags.None);
        _timeline.Acknowledge(op);
        _history.Acknowledged(offset, length, version);
    }

    private async Task CopyAsync(long offset, int length)
    {
        int count = length / Sector, target = (int)(offset / Sector);
        int source = PickSource(target, count, _history.Sectors, _recipe.Create.ClusterSize);
        if (_history.HasUnreadable(source, count))
        {
            return;
        }

        Trace($"copy {(long)source * Sector} to {offset} {length} at log {_disks.Position}");
        var op = _timeline.Begin();
        var versions = _history.Copy(op, source, target, count, _copied);
        await _device.RangeCopy!.CopyAsync((long)source * Sector, offset, length);
        _timeline.Acknowledge(op);
        _history.Acknowledged(target, versions);
    }

    private async Task MarkAsync(long offset, int length)
    {
        if (_device.UnreadableRanges is { } ranges && length > 0)
        {
            Trace($"unreadable {offset} {length} at log {_disks.Position}");
            var op = _timeline.Begin(fua: true);
            _history.Write(op, offset, length, SectorPattern.Unreadable);
            await ranges.AddAsync(offset, length);
            _timeline.Acknowledge(op);
            _history.Acknowledged(offset, length, SectorPattern.Unreadable);
        }
    }

    private async Task ZeroAsync(long offset, int length)
    {
        var flags = Pick(ZeroFlags.None, ZeroFlags.MayUnmap, ZeroFlags.Fua, ZeroFlags.MayUnmap | ZeroFlags.Fua);
        Trace($"zero {offset} {length} {flags} at log {_disks.Position}");
        var op = _timeline.Begin((flags & ZeroFlags.Fua) != 0);
        _history.Write(op, offset, length, 0);
        await _device.WriteZeroesAsync(offset, length, flags);
        _timeline.Acknowledge(op);
        _history.Acknowledged(offset, length, 0);
    }

    private async Task CompressAsync(long offset)
    {
        int cluster = _recipe.Create.ClusterSize;
        offset = offset / cluster * cluster;
        int length = (int)Math.Min(cluster, (_history.Sectors * (long)Sector) - offset);
        var status = await _device.GetStatusAsync(offset, length);
        if (length == 0 || status.Length < length || (status.Flags & BlockStatusFlags.Allocated) != 0)
        {
            return;
        }

        uint version = ++_version;
        Trace($"compressed write {offset} {length} version {version} at log {_disks.Position}");
        var op = _timeline.Begin();
        _history.Write(op, offset, length, version);
        await ((IQcow2Device)_device).WriteCompressedAsync(offset, SectorPattern.Make(offset, length, version));
        _timeline.Acknowledge(op);
        _history.Acknowledged(offset, length, version);
    }

    private async Task DiscardAsync(long offset, int length)
    {
        Trace($"discard {offset} {length} at log {_disks.Position}");
        var op = _timeline.Begin();
        try
        {
            await _device.DiscardAsync(offset, length);
        }
        catch (BlockException e) when (e.Error == BlockError.NotSupported)
        {
            op.Refused = true;
            return;
        }

        _timeline.Acknowledge(op);
        int sector = 0;
        foreach (long found in await _copied.ReadAsync(_device, offset, length))
        {
            SimFailure.Unless(found >= 0, $"sector {(offset / Sector) + sector}: garbage after a discard");
            _history.Discarded(op, (offset / Sector) + sector++, (uint)found);
        }
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
        await CloseAsync();
        await CheckImageAsync(_disks.Image.Live, leaksAllowed: false, "after closing");
        _device = await OpenAsync(_disks.Image);
    }

    private async Task CloseAsync()
    {
        if (raw)
        {
            // a raw device does not flush on close
            await FlushAsync();
        }

        var close = _timeline.BeginFlush();
        await _device.DisposeAsync();
        _timeline.Acknowledge(close);
    }

    private async Task ReadAsync(long offset, int length)
    {
        long sector = offset / Sector;
        foreach (long found in await _copied.ReadAsync(_device, offset, length))
        {
            _history.CheckNow(sector++, found);
        }
    }

    private Task VerifyNowAsync(CheckedDevice device) => ScanAsync(device, _history.CheckNow);

    private async Task ScanAsync(CheckedDevice device, Action<long, long> check)
    {
        SimFailure.Unless(device.Length == _recipe.Create.Size, $"the disk has {device.Length} bytes");
        long sector = 0;
        foreach (long version in await _copied.ReadAsync(device, 0, (int)device.Length))
        {
            check(sector++, version);
        }
    }

    private Task TryCutsAsync()
        => CutAsync(_disks, MaxCuts, Math.Clamp(MaxCuts / _disks.Moments.Count / 2, 1, 3), (image, data, position) =>
        {
            _recipe.Data.Set(image, data);
            return TryCutAsync(image, position);
        });

    private async Task TryCutAsync(PagedStorage image, int position)
    {
        bool lazy = !raw && IsMarked(image);
        if (!lazy)
        {
            await CheckImageAsync(image, leaksAllowed: true, "after the cut");
        }

        var device = await OpenAsync(image);
        await ScanAsync(device, (sector, found) => _history.CheckAfterCut(sector, found, position));
        if (Random.Next(8) == 0)
        {
            // continued use: new writes must not hit anything that the crash left behind
            var before = await _copied.ReadAsync(device, 0, (int)device.Length);
            for (int i = 0; i < 4; i++)
            {
                var (offset, length) = Range(0);
                var data = SectorPattern.Make(offset, length, ++_version);
                await device.WriteAsync(offset, data);
                before.AsSpan((int)(offset / Sector), length / Sector).Fill(_version);
            }

            var after = await _copied.ReadAsync(device, 0, (int)device.Length);
            SimFailure.Unless(before.AsSpan().SequenceEqual(after), "writes after the cut changed other sectors");
            await device.DisposeAsync();
            await CheckImageAsync(image, leaksAllowed: true, "after writes after the cut");
        }
        else
        {
            await device.DisposeAsync();
            if (lazy)
            {
                await CheckImageAsync(await Closed(image, _recipe), leaksAllowed: true, "after the cut and a repairing open");
            }
        }
    }
}
