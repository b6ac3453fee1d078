using Paddock.Block;
using Paddock.Crypto;
using Paddock.Images.Nodes;
using Paddock.Qcow2;
using Paddock.Qcow2.Snapshots;

namespace Paddock.Images.Backups;

/// <summary>
/// Backs up an image that is in use: the backup is read from an internal snapshot, which is deleted at the end, so that requests go on
/// meanwhile.
/// </summary>
internal static class LiveBackup
{
    private const string SnapshotName = "paddock-backup";

    /// <summary>Makes a backup.</summary>
    /// <param name="image">The image, open for reading and writing.</param>
    /// <param name="target">The new file.</param>
    /// <param name="since">The bitmap with the changes since the last backup; null: none.</param>
    /// <param name="isFull">Whether everything is copied; the bitmap is added, or cleared.</param>
    /// <param name="encryption">Encryption of the backup, with the passphrase of the image; null: neither is encrypted.</param>
    /// <param name="time">Clock.</param>
    /// <param name="cancellationToken">Stops it; no file is left behind, and the bitmap has its bits again; a new one is removed.</param>
    /// <returns>Bytes of the disk that have changed; the size of the disk in a full backup.</returns>
    public static async Task<long> RunAsync(
        IQcow2Device image, string target, string? since, bool isFull, LuksOptions? encryption, TimeProvider time,
        CancellationToken cancellationToken)
    {
        string id = BackupSeries.NewId();
        isFull |= since is null;

        // changes before the snapshot are in the bits that are taken before it, or in those that the bitmap has after it: what comes
        // between is in this backup and in the next
        bool isNew = since is not null && isFull && !image.Bitmaps.List.Any(b => b.Name == since && !b.InUse);
        var before = since is null ? null : await TakeAsync(image, since, isFull, isNew, cancellationToken);
        try
        {
            var snapshot = await image.Snapshots.CreateAsync(SnapshotName, time.GetUtcNow(), cancellationToken);
            try
            {
                var after = isFull ? null : await CopyAsync(image, since!, cancellationToken);
                await using var disk = await OpenAsync(image, snapshot, encryption?.Passphrase, cancellationToken);
                long bytes = disk.Length;
                if (after is null)
                {
                    await DiskBackup.FullAsync(disk, target, since is null ? null : id, encryption, null, cancellationToken);
                }
                else
                {
                    string last = BackupSeries.LastOf(image.Bitmaps, since!);
                    bytes = await DiskBackup.IncrementAsync(
                        disk, [before!, after], target, (id, last), encryption, null, cancellationToken);
                }

                await NoteAsync(image, since, id, target);
                return bytes;
            }
            finally
            {
                await image.Snapshots.DeleteAsync(snapshot, CancellationToken.None);
            }
        }
        catch when (since is not null)
        {
            // a bitmap without its full backup would be the start of increments that miss data
            await (isNew ? image.Bitmaps.RemoveAsync(since, CancellationToken.None)
                : image.Bitmaps.MergeAsync(since, before!, CancellationToken.None));
            throw;
        }
    }

    private static async ValueTask NoteAsync(IQcow2Device image, string? since, string id, string target)
    {
        try
        {
            await (since is null ? default : BackupSeries.SetLastAsync(image.Bitmaps, since, id, CancellationToken.None));
        }
        catch
        {
            await RemoteStorage.RemoveAsync(target);
            throw;
        }
    }

    private static async ValueTask<IDirtyBitmap?> TakeAsync(
        IQcow2Device image, string since, bool isFull, bool isNew, CancellationToken cancellationToken)
    {
        if (isNew)
        {
            // an inconsistent bitmap is of no use any more
            if (image.Bitmaps.List.Any(b => b.Name == since))
            {
                await image.Bitmaps.RemoveAsync(since, cancellationToken);
            }

            await image.Bitmaps.AddAsync(since, cancellationToken: cancellationToken);
            return null;
        }

        BackupBitmap.RequireRecording(image.Bitmaps, since);
        _ = isFull ? "" : BackupSeries.LastOf(image.Bitmaps, since);
        return await image.Bitmaps.TakeAsync(since, cancellationToken);
    }

    private static async ValueTask<IDirtyBitmap> CopyAsync(IQcow2Device image, string since, CancellationToken cancellationToken)
    {
        var copy = await image.Bitmaps.TakeAsync(since, cancellationToken);
        await image.Bitmaps.MergeAsync(since, copy, CancellationToken.None);
        return copy;
    }

    private static async ValueTask<IQcow2Device> OpenAsync(
        IQcow2Device image, Qcow2SnapshotInfo snapshot, ReadOnlyMemory<byte>? passphrase, CancellationToken cancellationToken)
        => await Qcow2Image.OpenAsync(
            new SharedStorage(image.Storage),
            new Qcow2OpenOptions
            {
                ReadOnly = true,
                Snapshot = new SnapshotChoice(snapshot.Id, snapshot.Name),
                Gate = new SharedBacking(image.Backing),
                Passphrase = passphrase,
            },
            cancellationToken);

    private sealed class SharedStorage(IStorage storage) : DelegatingStorage(storage, owns: false);

    private sealed class SharedDevice(IBlockDevice device) : DelegatingDevice(device, owns: false);

    private sealed class SharedBacking(IBlockDevice? device) : IImageGate
    {
        public ValueTask<IBlockDevice?> OpenBackingAsync(
            string name, string? format, IStorage overlay, CancellationToken cancellationToken)
            => new(device is null ? null : new SharedDevice(device));
    }
}
