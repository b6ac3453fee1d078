using Paddock.Block;
using Paddock.Crypto;
using Paddock.Qcow2;

namespace Paddock.Images.Backups;

/// <summary>
/// Backs up an image that no other program changes meanwhile, with a bitmap that records the changes until the next backup.
/// </summary>
internal static class ImageBackup
{
    /// <summary>Makes a backup; it is durable before the bitmap is cleared.</summary>
    /// <param name="disk">The image, open for reading and writing.</param>
    /// <param name="target">The new file, which must not exist.</param>
    /// <param name="since">The bitmap.</param>
    /// <param name="isFull">Whether everything is copied; the bitmap is added, or cleared.</param>
    /// <param name="encryption">Encryption of the backup; null: none.</param>
    /// <param name="progress">Receives how far the copy is.</param>
    /// <param name="cancellationToken">Stops it; no file is left behind, and the bitmap is as it was.</param>
    /// <returns>Bytes of the disk that have changed; the size of the disk in a full backup.</returns>
    /// <exception cref="ToolException">The bitmap does not have all changes since the last backup.</exception>
    public static async Task<long> RunAsync(
        Qcow2Disk disk, string target, string since, bool isFull, LuksOptions? encryption, IProgress<CopyProgress>? progress,
        CancellationToken cancellationToken)
    {
        string id = BackupSeries.NewId();
        if (isFull)
        {
            await DiskBackup.FullAsync(disk, target, id, encryption, progress, cancellationToken);
            if (disk.Bitmaps.List.Any(b => b.Name == since))
            {
                await disk.Bitmaps.RemoveAsync(since, cancellationToken);
            }

            await disk.Bitmaps.AddAsync(since, cancellationToken: cancellationToken);
            await BackupSeries.SetLastAsync(disk.Bitmaps, since, id, cancellationToken);
            return disk.Length;
        }

        BackupBitmap.RequireRecording(disk.Bitmaps, since);
        string before = BackupSeries.LastOf(disk.Bitmaps, since);
        var changes = await disk.Bitmaps.OpenAsync(since, cancellationToken);
        long changed = await DiskBackup.IncrementAsync(disk, [changes], target, (id, before), encryption, progress, cancellationToken);
        await BackupSeries.SetLastAsync(disk.Bitmaps, since, id, cancellationToken);
        await disk.Bitmaps.ClearAsync(since, cancellationToken);
        return changed;
    }
}
