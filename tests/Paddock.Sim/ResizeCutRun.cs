using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Grows and shrinks a plain image, often over a longer backing file, and cuts power at every moment of the run. Afterwards the image has
/// the old or the new size, and the added part reads as zeroes.
/// </summary>
internal sealed class ResizeCutRun(int seed, SimOptions options, bool dataFile = false) : SimRun(seed, options)
{
    private const int Sector = SectorPattern.Sector;
    private const int MaxCuts = 300;
    private const int MaxSectors = 3072;

    private readonly List<Segment> _segments = [];
    private ImageRecipe _recipe = null!;
    private CrashPair _disks = null!;
    private CheckedDevice _device = null!;
    private Timeline _timeline = null!;
    private uint _version = 1;

    private Segment Now => _segments[^1];

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        _recipe = await ImageRecipe.MakeForResizeAsync(Random, Options.Extended, 512, 512, 4096, 4096, 65536);
        _recipe = dataFile ? _recipe.WithDataFile(Random, mayBeRaw: false) : _recipe;
        Trace(_recipe.ToString());
        var built = await _recipe.BuildAsync();
        _disks = new CrashPair(built, (PagedStorage?)_recipe.Data.Of(built));
        _recipe.Data.Set(_disks.Image, _disks.Data);
        _timeline = new Timeline(() => _disks.Position);
        _segments.Add(new Segment(new SectorHistory(_recipe.Start), 0));
        _device = await _recipe.OpenAsync(_disks.Image);
        for (int i = 0; i < Options.Ops / 2; i++)
        {
            await StepAsync();
        }

        await ScanAsync(_device, Now.History.CheckNow);
        await CloseAsync();
        _timeline.Seal();
        await CheckAsync(_disks.Image.Live, leaksAllowed: false, "after the run");
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
            case < 40:
                uint version = ++_version;
                Trace($"write {offset} {length} version {version} at log {_disks.Position}");
                await ChangeAsync(offset, length, version, () => _device.WriteAsync(offset, SectorPattern.Make(offset, length, version)));
                break;
            case < 50:
                var flags = Pick(ZeroFlags.None, ZeroFlags.MayUnmap);
                Trace($"zero {offset} {length} {flags} at log {_disks.Position}");
                await ChangeAsync(offset, length, 0, () => _device.WriteZeroesAsync(offset, length, flags));
                break;
            case < 60:
                Trace($"flush at log {_disks.Position}");
                await FlushAsync(() => _device.FlushAsync());
                break;
            case < 65:
                Trace($"reopen at log {_disks.Position}");
                await CloseAsync();
                await CheckAsync(_disks.Image.Live, leaksAllowed: false, "after closing");
                _device = await _recipe.OpenAsync(_disks.Image);
                break;
            case < 90:
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

    private async Task ResizeAsync()
    {
        var before = Now;
        int sectors = RandomSize(before.History.Sectors);
        var preallocation = Random.Next(4) == 0 ? Pick(Preallocation.Metadata, Preallocation.Falloc, Preallocation.Full)
            : Preallocation.Off;
        Trace($"resize from {before.History.Sectors} to {sectors} sectors, {preallocation}, at log {_disks.Position}");
        before.Until = _disks.Position;
        await FlushAsync(() => _device.ResizeAsync((long)sectors * Sector, preallocation));
        var start = new uint[sectors];
        for (int i = 0; i < Math.Min(sectors, before.History.Sectors); i++)
        {
            start[i] = before.History.Now(i);
        }

        _segments.Add(new Segment(new SectorHistory(start), _disks.Position));
        await ScanAsync(_device, Now.History.CheckNow);
    }

    private int RandomSize(int sectors) => Random.Next(3) switch
    {
        0 => Math.Clamp(sectors + Random.Next(-20, 21), 1, MaxSectors),
        1 => 1 + Random.Next(MaxSectors),
        _ => Math.Clamp((sectors & -128) + (Random.Next(-2, 4) * 128), 1, MaxSectors),
    };

    private static async Task ScanAsync(CheckedDevice device, Action<long, long> check)
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
        var moments = _disks.Moments;
        var cut = new PairCut(_disks);
        foreach (var moment in moments)
        {
            if (moments.Count > MaxCuts && Random.Next(moments.Count) >= MaxCuts)
            {
                continue;
            }

            int cutSeed = Random.Next();
            try
            {
                var (image, data) = cut.At(moment, cutSeed);
                _recipe.Data.Set(image, data);
                await TryCutAsync(image, moment.Position);
            }
            catch (Exception e)
            {
                Dump(cut.At(moment, cutSeed).Image, $"cut{moment.Position}");
                throw new SimFailure($"cut at {moment} of {moments.Count}, cut seed {cutSeed}: {e}");
            }

            Cuts++;
        }
    }

    private async Task TryCutAsync(PagedStorage image, int position)
    {
        if (!_recipe.Create.LazyRefcounts)
        {
            await CheckAsync(image, leaksAllowed: true, "after the cut");
        }

        int index = _segments.FindLastIndex(segment => segment.From <= position);
        var device = await _recipe.OpenAsync(image);
        bool resized = CheckSize(device.Length / Sector, index, position);
        var history = _segments[index].History;
        await ScanAsync(device, (sector, found) =>
        {
            if (sector < history.Sectors)
            {
                history.CheckAfterCut(sector, found, position);
            }
            else
            {
                SimFailure.Unless(resized && found == 0, $"sector {sector}, which grew, reads as {found} after a cut at {position}");
            }
        });
        if (Random.Next(4) == 0)
        {
            await GrowAsync(device);
        }

        await device.DisposeAsync();
        await CheckAsync(image, leaksAllowed: true, "after the cut, opened and closed again");
    }

    /// <returns>Whether the disk has the size requested by a resize in flight.</returns>
    private bool CheckSize(long sectors, int index, int position)
    {
        var now = _segments[index];
        bool underWay = position > now.Until && index + 1 < _segments.Count;
        bool resized = underWay && sectors == _segments[index + 1].History.Sectors;
        SimFailure.Unless(
            sectors == now.History.Sectors || resized,
            $"the disk has {sectors} sectors after a cut at {position}; it had "
                + $"{now.History.Sectors}{(underWay ? ", or was being resized" : "")}");
        return resized;
    }

    // data that the cut left beyond the end must not become visible
    private async Task GrowAsync(CheckedDevice device)
    {
        var before = new byte[device.Length];
        await device.ReadAsync(0, before);
        await device.ResizeAsync(
            before.Length + ((1L + Random.Next(1024)) * Sector), Random.Next(4) == 0 ? Preallocation.Metadata : Preallocation.Off);
        var after = new byte[device.Length];
        await device.ReadAsync(0, after);
        SimFailure.Unless(after.AsSpan(0, before.Length).SequenceEqual(before), "growing after the cut changed what was there");
        int stray = after.AsSpan(before.Length).IndexOfAnyExcept((byte)0);
        SimFailure.Unless(stray < 0, $"growing after the cut shows old bytes in sector {(before.Length + stray) / Sector}");
    }

    /// <summary>Events between two size changes.</summary>
    /// <param name="history">History of the sectors.</param>
    /// <param name="from">Log length at the end of the first change.</param>
    private sealed class Segment(SectorHistory history, int from)
    {
        public SectorHistory History => history;

        public int From => from;

        /// <summary>Log length at the start of the next change.</summary>
        public int Until { get; set; } = int.MaxValue;
    }
}
