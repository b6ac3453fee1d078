using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Grows and shrinks a plain image, often over a longer backing file, and cuts power at every moment of the run. Afterwards the image has
/// the old or the new size, and the added part reads as zeroes.
/// </summary>
internal sealed class ResizeCutRun(int seed, SimOptions options, bool dataFile = false) : SegmentedRun(seed, options)
{
    private const int MaxSectors = 3072;

    private ImageRecipe _recipe = null!;
    private uint _version = 1;

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        _recipe = await ImageRecipe.MakeForResizeAsync(Random, Options.Extended, 512, 512, 4096, 4096, 65536);
        _recipe = dataFile ? _recipe.WithDataFile(Random, mayBeRaw: false) : _recipe;
        await BeginAsync(_recipe);
        for (int i = 0; i < Options.Ops / 2; i++)
        {
            await StepAsync();
        }

        await ScanAsync(Device, Now.History.CheckNow);
        await CloseAsync();
        Timeline.Seal();
        await CheckAsync(Disks.Image.Live, leaksAllowed: false, "after the run");
        await CutAsync(Disks, MaxCuts, 1, (image, data, position) =>
        {
            _recipe.Data.Set(image, data);
            return TryCutAsync(image, position);
        });
    }

    private async Task StepAsync()
    {
        var (offset, length) = Range();
        switch (Random.Next(100))
        {
            case < 3:
                await MarkAsync(offset, length);
                break;
            case < 28:
                await WriteAsync(offset, length, ++_version);
                break;
            case < 40:
                await CopyAsync(offset, length, _recipe.Create.ClusterSize);
                break;
            case < 50:
                await ZeroAsync(offset, length);
                break;
            case < 60:
                Trace($"flush at log {Disks.Position}");
                await FlushAsync(() => Device.FlushAsync());
                break;
            case < 65:
                Trace($"reopen at log {Disks.Position}");
                await CloseAsync();
                await CheckAsync(Disks.Image.Live, leaksAllowed: false, "after closing");
                Device = await _recipe.OpenAsync(Disks.Image);
                break;
            case < 90:
                await ResizeAsync();
                break;
            default:
                await ScanAsync(Device, Now.History.CheckNow);
                break;
        }
    }

    private async Task ResizeAsync()
    {
        var before = Now;
        int sectors = RandomSize(before.History.Sectors);
        var preallocation = Random.Next(4) == 0 ? Pick(Preallocation.Metadata, Preallocation.Falloc, Preallocation.Full)
            : Preallocation.Off;
        Trace($"resize from {before.History.Sectors} to {sectors} sectors, {preallocation}, at log {Disks.Position}");
        before.Until = Disks.Position;
        await FlushAsync(() => Device.ResizeAsync((long)sectors * Sector, preallocation));
        var start = new uint[sectors];
        for (int i = 0; i < Math.Min(sectors, before.History.Sectors); i++)
        {
            start[i] = before.History.Now(i);
        }

        Segments.Add(new Segment(new SectorHistory(start), Disks.Position));
        await ScanAsync(Device, Now.History.CheckNow);
    }

    private int RandomSize(int sectors) => Random.Next(3) switch
    {
        0 => Math.Clamp(sectors + Random.Next(-20, 21), 1, MaxSectors),
        1 => 1 + Random.Next(MaxSectors),
        _ => Math.Clamp((sectors & -128) + (Random.Next(-2, 4) * 128), 1, MaxSectors),
    };

    private async Task TryCutAsync(PagedStorage image, int position)
    {
        if (!IsMarked(image))
        {
            await CheckAsync(image, leaksAllowed: true, "after the cut");
        }

        int index = Segments.FindLastIndex(segment => segment.From <= position);
        var device = await _recipe.OpenAsync(image);
        bool resized = CheckSize(device.Length / Sector, index, position);
        var history = Segments[index].History;
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
        var now = Segments[index];
        bool underWay = position > now.Until && index + 1 < Segments.Count;
        bool resized = underWay && sectors == Segments[index + 1].History.Sectors;
        SimFailure.Unless(
            sectors == now.History.Sectors || resized,
            $"the disk has {sectors} sectors after a cut at {position}; it had "
                + $"{now.History.Sectors}{(underWay ? ", or was being resized" : "")}");
        return resized;
    }

    // data that the cut left beyond the end must not become visible
    private async Task GrowAsync(CheckedDevice device)
    {
        long length = device.Length;
        var before = await Copied.ReadAsync(device, 0, (int)length);
        await device.ResizeAsync(
            length + ((1L + Random.Next(1024)) * Sector), Random.Next(4) == 0 ? Preallocation.Metadata : Preallocation.Off);
        var after = await Copied.ReadAsync(device, 0, (int)device.Length);
        SimFailure.Unless(after.AsSpan(0, before.Length).SequenceEqual(before), "growing after the cut changed what was there");
        int stray = after.AsSpan(before.Length).IndexOfAnyExcept(0L);
        SimFailure.Unless(stray < 0, $"growing after the cut shows old bytes in sector {before.Length + stray}");
    }
}
