using System.Diagnostics;
using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>Sends random requests at any byte offset to a plain image and to a byte array; both must always read the same.</summary>
internal sealed class MirrorRun(int seed, SimOptions options) : SimRun(seed, options)
{
    private const int Sector = SectorPattern.Sector;

    private ImageRecipe _recipe = null!;
    private PagedStorage _storage = null!;
    private CheckedDevice _device = null!;
    private byte[] _mirror = [];

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        _recipe = Random.Next(16) > 0
            ? await ImageRecipe.MakeAsync(Random, Options.Extended, 512, 4096, 65536)
            : await ImageRecipe.MakeAsync(Random, Options.Extended, 2 << 20);
        _recipe = Random.Next(4) == 0 ? _recipe.WithDataFile(Random) : _recipe;
        Trace(_recipe.ToString());
        _storage = await _recipe.BuildAsync();
        _device = await _recipe.OpenAsync(_storage);
        _mirror = new byte[_recipe.Create.Size];
        for (int sector = 0; sector < _recipe.Start.Length; sector++)
        {
            SectorPattern.Fill(_mirror.AsSpan(sector * Sector, Sector), (long)sector * Sector, _recipe.Start[sector]);
        }

        for (int i = 0; i < Options.Ops; i++)
        {
            await StepAsync();
        }

        await CompareAsync(0, _mirror.Length);
        await _device.DisposeAsync();
        await CheckAsync(_storage, leaksAllowed: false, "after the run");
        if (Options.Qemu > 0 && Seed % Options.Qemu == 0 && _recipe.Backing is null && _recipe.Create.DataFile is null)
        {
            await AskQemuAsync();
        }
    }

    private async Task StepAsync()
    {
        int offset = Random.Next(_mirror.Length);
        int length = Math.Min(1 + Random.Next(Random.Next(4) == 0 ? 200_000 : 9_000), _mirror.Length - offset);
        if (Random.Next(2) == 0)
        {
            offset = offset / Sector * Sector;
            length = Math.Min((length + Sector - 1) / Sector * Sector, _mirror.Length - offset);
        }

        int kind = Random.Next(100);
        Trace($"{kind}: {offset} {length} of {_mirror.Length}");
        switch (kind)
        {
            case < 45:
                Random.NextBytes(_mirror.AsSpan(offset, length));
                await _device.WriteAsync(offset, _mirror.AsMemory(offset, length).ToArray());
                break;
            case < 58:
                _mirror.AsSpan(offset, length).Clear();
                await _device.WriteZeroesAsync(offset, length, Pick(ZeroFlags.None, ZeroFlags.MayUnmap));
                break;
            case < 68:
                await DiscardAsync(offset, length);
                break;
            case < 72:
                await ResizeAsync();
                break;
            case < 76:
                await _device.FlushAsync();
                break;
            case < 80:
                await _device.DisposeAsync();
                await CheckAsync(_storage, leaksAllowed: false, "after closing");
                _device = await _recipe.OpenAsync(_storage);
                break;
            case < 84:
                await CompressAsync(offset);
                break;
            default:
                await CompareAsync(offset, length);
                break;
        }
    }

    // each sector keeps its bytes or loses all of them; with a backing file, that file's sector may reappear
    private async Task DiscardAsync(int offset, int length)
    {
        offset = offset / Sector * Sector;
        length = length / Sector * Sector;
        try
        {
            await _device.DiscardAsync(offset, length);
        }
        catch (BlockException e) when (e.Error == BlockError.NotSupported)
        {
            return;
        }

        byte[] found = new byte[length];
        await _device.ReadAsync(offset, found);
        for (int at = 0; at < length; at += Sector)
        {
            var sector = found.AsSpan(at, Sector);
            bool kept = sector.SequenceEqual(_mirror.AsSpan(offset + at, Sector));
            SimFailure.Unless(
                kept || _recipe.Backing is not null || !sector.ContainsAnyExcept((byte)0), $"garbage at {offset + at} after a discard");
        }

        found.CopyTo(_mirror, offset);
    }

    private async Task CompressAsync(int offset)
    {
        int cluster = _recipe.Create.ClusterSize;
        offset = offset / cluster * cluster;
        int length = Math.Min(cluster, _mirror.Length - offset);
        var status = await _device.GetStatusAsync(offset, length);
        if (_recipe.Create.DataFile is not null || status.Length < length || (status.Flags & BlockStatusFlags.Allocated) != 0
            || length < cluster)
        {
            return;
        }

        _mirror.AsSpan(offset, length).Fill((byte)Random.Next(256));
        await ((IQcow2Device)_device).WriteCompressedAsync(offset, _mirror.AsMemory(offset, length).ToArray());
    }

    private async Task ResizeAsync()
    {
        int length = Math.Clamp(_mirror.Length + (Random.Next(-200, 400) * Sector), Sector, 8 << 20);
        await _device.ResizeAsync(length);
        Array.Resize(ref _mirror, length);
    }

    private async Task CompareAsync(int offset, int length)
    {
        SimFailure.Unless(_device.Length == _mirror.Length, $"the disk has {_device.Length} bytes, not {_mirror.Length}");
        byte[] found = new byte[length];
        await _device.ReadAsync(offset, found);
        int same = found.AsSpan().CommonPrefixLength(_mirror.AsSpan(offset, length));
        SimFailure.Unless(same == length, $"byte {offset + same} is not what was written");
    }

    private async Task AskQemuAsync()
    {
        string folder = Directory.CreateTempSubdirectory("paddock-sim-").FullName;
        try
        {
            string image = Path.Combine(folder, "image.qcow2"), raw = Path.Combine(folder, "image.raw");
            await File.WriteAllBytesAsync(image, _storage.ToArray());
            await File.WriteAllBytesAsync(raw, _mirror);
            await QemuAsync("check", "-f", "qcow2", image);
            await QemuAsync("compare", "-f", "qcow2", "-F", "raw", image, raw);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task QemuAsync(params string[] args)
    {
        using var process = Process.Start(
            new ProcessStartInfo("qemu-img", args) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var output = process.StandardOutput.ReadToEndAsync();
        string error = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        SimFailure.Unless(process.ExitCode == 0, $"qemu-img {args[0]} ended with {process.ExitCode}: {await output}{error}");
    }
}
