using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Images;
using Paddock.Images.Backups;
using Paddock.Images.Text;
using Paddock.Server.Control;
using Paddock.Server.Disks;
using Paddock.Server.Resize;

namespace Paddock.Server.Backups;

/// <summary>Backs up served images, one at a time.</summary>
/// <param name="disks">The served images.</param>
/// <param name="log">Receives a line for each backup.</param>
/// <param name="time">Clock.</param>
/// <param name="stopping">Cancels the running backup and those that wait: the images are about to be closed.</param>
internal sealed class BackupCommands(IReadOnlyList<ServedDisk> disks, ServeLog log, TimeProvider time, CancellationToken stopping)
{
    private readonly AsyncMutex _one = new();

    /// <summary>Executes a command line.</summary>
    /// <exception cref="ToolException">The backup is not possible.</exception>
    /// <exception cref="BlockException">The image or the new file failed.</exception>
    public async Task<ControlAnswer> RunAsync(BackupLine line)
    {
        var disk = ResizeCommands.Find(disks, line.Image);
        if (disk.Device.IsReadOnly)
        {
            throw new ToolException($"'{disk.Name}' is served read-only: back up its file");
        }

        using var use = disk.Hold();
        var image = use.Node.Qcow2 ?? throw new ToolException($"'{disk.Name}' is a raw image: only a qcow2 image can be backed up");
        using var ends = CancellationTokenSource.CreateLinkedTokenSource(stopping, disk.Removing);
        bool isFirst = false;
        try
        {
            await _one.AcquireUntilAsync(ends.Token);
            isFirst = true;

            // data in the volatile cache of the disk, or of its zones, is part of the backup
            await disk.Device.FlushAsync(ends.Token);
            var encryption = LikeEncryption.Of(use.Node, disk.Settings.ReadPassphrase());
            long bytes = await LiveBackup.RunAsync(image, line.Target, line.Since, line.IsFull, encryption, time, ends.Token);
            bool isFull = line.IsFull || line.Since is null;
            log.Write("backed up", ("image", disk.Filename), ("target", line.Target), ("kind", isFull ? "full" : "increment"));
            return new(
                $"{(isFull ? "full backup" : "increment")} of {disk.Name} in {line.Target}: {SizeText.Human(bytes)} "
                + (isFull ? "of disk" : "changed"),
                new JsonFields { { "image", disk.Name }, { "backup", line.Target }, { "full", isFull }, { "bytes", bytes } });
        }
        catch (OperationCanceledException e)
        {
            string why = stopping.IsCancellationRequested ? "the server is stopping" : "its namespace is deleted";
            throw new ToolException($"{why}: '{disk.Name}' was not backed up", inner: e);
        }
        finally
        {
            if (isFirst)
            {
                _one.Release();
            }
        }
    }
}
