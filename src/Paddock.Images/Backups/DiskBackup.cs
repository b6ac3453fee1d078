using Paddock.Block;
using Paddock.Crypto;
using Paddock.Images.Nodes;
using Paddock.Qcow2;
using Paddock.Rbd;

namespace Paddock.Images.Backups;

/// <summary>
/// Writes backups and restores disks from them. A full backup is a qcow2 image of the disk. An increment is a qcow2 image of the same
/// size and zones with the changes, and a bitmap that marks the changed parts. Write pointers, conditions and zone
/// descriptor extensions of every backup are those at its time.
/// </summary>
internal static class DiskBackup
{
    /// <summary>Name of the bitmap of an increment.</summary>
    public const string ChangesName = "paddock-backup";

    /// <summary>Writes a full backup into a new image.</summary>
    /// <param name="source">The disk; constant during the copy.</param>
    /// <param name="target">The new file, which must not exist.</param>
    /// <param name="id">Identifier of the backup, which increments refer to; null: it has no increments.</param>
    /// <param name="encryption">Encryption of the backup; null: none.</param>
    /// <param name="progress">Receives how far the copy is.</param>
    /// <param name="cancellationToken">Stops it; no file is left behind.</param>
    public static Task FullAsync(
        IBlockDevice source, string target, string? id, LuksOptions? encryption, IProgress<CopyProgress>? progress,
        CancellationToken cancellationToken)
        => WriteAsync(
            source, target, encryption, progress,
            disk => id is null ? default : BackupSeries.WriteAsync(disk.Bitmaps, id, before: null, cancellationToken), cancellationToken);

    /// <summary>Writes the changes into a new image.</summary>
    /// <param name="source">The disk; constant during the copy.</param>
    /// <param name="changes">Bitmaps of the changes; constant during the copy.</param>
    /// <param name="target">The new file, which must not exist.</param>
    /// <param name="ids">Identifiers of this backup and of the one before it.</param>
    /// <param name="encryption">Encryption of the backup; null: none.</param>
    /// <param name="progress">Receives how far the copy is.</param>
    /// <param name="cancellationToken">Stops it; no file is left behind.</param>
    /// <returns>Bytes of the disk that have changed.</returns>
    public static async Task<long> IncrementAsync(
        IBlockDevice source, IReadOnlyList<IDirtyBitmap> changes, string target, (string Own, string Before) ids, LuksOptions? encryption,
        IProgress<CopyProgress>? progress, CancellationToken cancellationToken)
    {
        // data that a zone gathers is recorded when it is written
        await source.FlushAsync(cancellationToken);
        var view = new ChangesView(source, changes);
        long granularity = changes.Min(static c => c.Granularity);
        var merged = new ViewBitmap(view, granularity);
        await WriteAsync(view, target, encryption, progress, async disk =>
        {
            await disk.Bitmaps.AddAsync(ChangesName, granularity, cancellationToken);
            await disk.Bitmaps.SetEnabledAsync(ChangesName, enabled: false, cancellationToken);
            await disk.Bitmaps.MergeAsync(ChangesName, merged, cancellationToken);
            await BackupSeries.WriteAsync(disk.Bitmaps, ids.Own, ids.Before, cancellationToken);
        }, cancellationToken);
        return merged.Changed;
    }

    private static async Task WriteAsync(
        IBlockDevice source, string target, LuksOptions? encryption, IProgress<CopyProgress>? progress, Func<Qcow2Disk, ValueTask> finish,
        CancellationToken cancellationToken)
    {
        var create = new Qcow2CreateOptions { Size = source.Length, Zoned = DiskCopy.ZonesOf(source), Encryption = encryption };
        var disk = (Qcow2Disk)await DiskCreation.CreateQcow2Async(target, create, overwrite: false, cancellationToken);
        try
        {
            await DiskCopy.CopyAsync(source, disk, new CopyOptions { TargetIsZero = true }, progress, cancellationToken);
            await finish(disk);
            await disk.DisposeAsync();
        }
        catch
        {
            await TryCloseAsync(disk);
            await RemoteStorage.RemoveAsync(target);
            throw;
        }
    }

    /// <summary>Makes a new image of the disk as it was when the last of the backups was made.</summary>
    /// <param name="target">The new file, which must not exist.</param>
    /// <param name="full">Path of the full backup.</param>
    /// <param name="increments">Paths of the increments, oldest first.</param>
    /// <param name="passphrase">Passphrase of encrypted backups; the new image is encrypted with it if one of them is. Null: none.</param>
    /// <param name="progress">Receives how far the copy is.</param>
    /// <param name="cancellationToken">Stops it; no file is left behind.</param>
    public static async Task RestoreAsync(
        string target, string full, IReadOnlyList<string> increments, ReadOnlyMemory<byte>? passphrase, IProgress<CopyProgress>? progress,
        CancellationToken cancellationToken)
    {
        var options = new DiskOptions
        {
            ReadOnly = true, Format = "qcow2", Backing = BackingPolicy.SameDirectory, Passphrase = passphrase,
        };
        var opened = new List<Qcow2Disk>();
        try
        {
            opened.Add(await OpenAsync(full, options, cancellationToken));
            RequireFull(opened[0]);
            var chain = new List<(IBlockDevice, IDirtyBitmap)>();
            foreach (string path in increments)
            {
                var disk = await OpenAsync(path, options, cancellationToken);
                opened.Add(disk);
                RequireSameZones(opened[0], disk);
                chain.Add((disk, await ChangesOfAsync(disk, cancellationToken)));
                BackupSeries.RequireNext(opened[^2], disk);
            }

            var encryption = opened.Select(d => LikeEncryption.Of(d.Node, passphrase)).FirstOrDefault(static e => e is not null);
            var view = new ChainView(opened[0], [.. chain]);
            await WriteAsync(view, target, encryption, progress, static _ => default, cancellationToken);
        }
        finally
        {
            foreach (var disk in opened)
            {
                await disk.DisposeAsync();
            }
        }
    }

    // the format is given, so that nothing but a qcow2 image is opened
    private static async Task<Qcow2Disk> OpenAsync(string name, DiskOptions options, CancellationToken cancellationToken)
        => RbdTarget.IsName(name) ? (Qcow2Disk)await Disk.OpenAsync(name, options, cancellationToken)
            : await Qcow2Disk.OpenAsync(name, options, cancellationToken);

    private static void RequireFull(Qcow2Disk disk)
    {
        if (disk.Info.Bitmaps.Any(static b => b.Name == ChangesName))
        {
            throw new ToolException($"'{disk.Name}' is an increment: a restore begins with a full backup");
        }
    }

    private static void RequireSameZones(Qcow2Disk first, Qcow2Disk next)
    {
        if (first.Zones?.Limits.ZoneSize != next.Zones?.Limits.ZoneSize
            || first.Zones?.Limits.ConventionalZones != next.Zones?.Limits.ConventionalZones)
        {
            throw new ToolException($"'{next.Name}' has other zones than '{first.Name}': they are not backups of one disk");
        }
    }

    private static async ValueTask<IDirtyBitmap> ChangesOfAsync(Qcow2Disk disk, CancellationToken cancellationToken)
        => disk.Info.Bitmaps.Any(static b => b.Name == ChangesName)
            ? await disk.Bitmaps.OpenAsync(ChangesName, cancellationToken)
            : throw new ToolException($"'{disk.Name}' is not an increment: it has no bitmap '{ChangesName}'");

    private static async ValueTask TryCloseAsync(Qcow2Disk disk)
    {
        try
        {
            await disk.DisposeAsync();
        }
        catch (BlockException)
        {
            // the first failure is the one to report
        }
    }

    /// <summary>The changes of a view as one bitmap, which counts what is read from it.</summary>
    private sealed class ViewBitmap(ChangesView view, long granularity) : IDirtyBitmap
    {
        public string Name => ChangesName;

        public long Granularity => granularity;

        public long Length => view.Length;

        public long Changed { get; private set; }

        public DirtyRun Find(long offset, long length)
        {
            var run = view.Find(offset, length);
            Changed += run.IsDirty ? run.Length : 0;
            return run;
        }
    }
}
