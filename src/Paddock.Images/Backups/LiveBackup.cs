using Paddock.Block;
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
    /// <param name="time">Clock.</param>
    /// <param name="cancellationToken">Stops it; no file is left behind, and the bitmap has its bits again; a new one is removed.</param>
    /// <returns>Bytes of the disk that have changed; the size of the disk in a full backup.</returns>
    public static async Task<long> RunAsync(
        IQcow2Device image, string target, string? since, bool isFull, TimeProvider time, CancellationToken cancellationToken)
    {
        // changes before the snapshot are in the bits that are taken before it, or in those that the bitmap has after it: what comes
        // between is in this backup and in the next
        bool isNew = since is not null && isFull && image.Bitmaps.List.All(b => b.Name != since);
        var before = since is null ? null : await TakeAsync(image, since, isNew, cancellationToken);
        try
        {
            var snapshot = await image.Snapshots.CreateAsync(SnapshotName, time.GetUtcNow(), cancellationToken);
            try
            {
                var after = since is null || isFull ? null : await CopyAsync(image, since, cancellationToken);
                await using var disk = await OpenAsync(image, snapshot, cancellationToken);
                if (isFull || since is null)
                {
                    await DiskBackup.FullAsync(disk, target, null, cancellationToken);
                    return disk.Length;
                }

                return await DiskBackup.IncrementAsync(disk, [before!, after!], target, null, cancellationToken);
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

    private static async ValueTask<IDirtyBitmap?> TakeAsync(
        IQcow2Device image, string since, bool isNew, CancellationToken cancellationToken)
    {
        if (isNew)
        {
            await image.Bitmaps.AddAsync(since, cancellationToken: cancellationToken);
            return null;
        }

        BackupBitmap.RequireRecording(image.Bitmaps, since);
        return await image.Bitmaps.TakeAsync(since, cancellationToken);
    }

    private static async ValueTask<IDirtyBitmap> CopyAsync(IQcow2Device image, string since, CancellationToken cancellationToken)
    {
        var copy = await image.Bitmaps.TakeAsync(since, cancellationToken);
        await image.Bitmaps.MergeAsync(since, copy, CancellationToken.None);
        return copy;
    }

    private static async ValueTask<IQcow2Device> OpenAsync(
        IQcow2Device image, Qcow2SnapshotInfo snapshot, CancellationToken cancellationToken)
        => await Qcow2Image.OpenAsync(
            new SharedStorage(image.Storage),
            new Qcow2OpenOptions
            {
                ReadOnly = true,
                Snapshot = new SnapshotChoice(snapshot.Id, snapshot.Name),
                Gate = new SharedBacking(image.Backing),
                DataFile = image.DataFile,
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
