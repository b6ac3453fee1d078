using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Images;
using Paddock.Images.Backups;
using Paddock.Images.Text;
using Paddock.Server.Disks;
using Paddock.Server.Resize;

namespace Paddock.Server.Backups;

/// <summary>Backs up served images, one at a time.</summary>
internal sealed class BackupCommands(IReadOnlyList<ServedDisk> disks, ServeLog log, TimeProvider time)
{
    private readonly AsyncMutex _one = new();

    /// <summary>Executes a command line.</summary>
    /// <returns>The result, as text.</returns>
    /// <exception cref="ToolException">The backup is not possible.</exception>
    /// <exception cref="BlockException">The image or the new file failed.</exception>
    public async Task<string> RunAsync(BackupLine line)
    {
        var disk = ResizeCommands.Find(disks, line.Image);
        if (disk.Device.IsReadOnly)
        {
            throw new ToolException($"'{disk.Name}' is served read-only: back up its file");
        }

        var image = disk.Node.Qcow2 ?? throw new ToolException($"'{disk.Name}' is a raw image: only a qcow2 image can be backed up");
        await _one.AcquireAsync();
        try
        {
            // data in the volatile cache of the disk, or of its zones, is part of the backup
            await disk.Device.FlushAsync();
            var encryption = LikeEncryption.Of(disk.Node, disk.Settings.ReadPassphrase());
            long bytes = await LiveBackup.RunAsync(
                image, line.Target, line.Since, line.IsFull, encryption, time, CancellationToken.None);
            bool isFull = line.IsFull || line.Since is null;
            log.Write("backed up", ("image", disk.Node.Filename), ("target", line.Target), ("kind", isFull ? "full" : "increment"));
            return $"{(isFull ? "full backup" : "increment")} of {disk.Name} in {line.Target}: {SizeText.Human(bytes)} "
                + (isFull ? "of disk" : "changed");
        }
        finally
        {
            _one.Release();
        }
    }
}
