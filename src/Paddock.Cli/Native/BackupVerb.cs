using System.Globalization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Backups;
using Paddock.Images.Text;
using Paddock.Rbd;
using Paddock.Server.Backups;

namespace Paddock.Cli.Native;

/// <summary>`paddock backup`: full and incremental backups of an image, and disks restored from them.</summary>
public static class BackupVerb
{
    /// <summary>Backs up an image that no other program has open.</summary>
    /// <param name="path">The image.</param>
    /// <param name="target">The new file.</param>
    /// <param name="since">The bitmap with the changes since the last backup; null: none.</param>
    /// <param name="full">Whether everything is copied; the bitmap is added, or cleared.</param>
    /// <param name="backing">Which backing files the image may name.</param>
    /// <param name="json">Whether to print the result as JSON.</param>
    /// <param name="console">Receives progress and the result.</param>
    /// <param name="cancellationToken">Stops it; no file is left behind, and the bitmap is as it was.</param>
    /// <param name="passphrase">Passphrase of the image, if it is encrypted; the backup is then encrypted with it too.</param>
    /// <exception cref="ToolException">The backup is not possible.</exception>
    public static async Task RunAsync(
        string path, string target, string? since, bool full, string? backing, bool json, NativeConsole console,
        CancellationToken cancellationToken, ReadOnlyMemory<byte>? passphrase = null)
    {
        var options = new DiskOptions
        {
            ReadOnly = since is null, Format = since is null ? null : "qcow2", Backing = Policy(backing), Passphrase = passphrase,
        };
        await using var disk = await Disk.OpenAsync(path, options, cancellationToken);
        foreach (string warning in disk.Warnings)
        {
            console.Tell($"warning: {warning}");
        }

        var progress = new Shown(console);
        var encryption = LikeEncryption.Of(disk.Node, passphrase);
        long changed = disk.Length;
        if (since is null)
        {
            await DiskBackup.FullAsync(disk, target, null, encryption, progress, cancellationToken);
        }
        else
        {
            changed = await ImageBackup.RunAsync((Qcow2Disk)disk, target, since, full, encryption, progress, cancellationToken);
        }

        console.EndProgress();
        Print(target, since is null || full, changed, json, console);
    }

    /// <summary>Has a running server back up an image that it serves.</summary>
    /// <param name="socket">The control socket.</param>
    /// <param name="image">Name or path of the image.</param>
    /// <param name="target">The new file.</param>
    /// <param name="since">The bitmap with the changes since the last backup; null: none.</param>
    /// <param name="full">Whether everything is copied; the bitmap is added, or cleared.</param>
    /// <param name="json">Whether to print the answer as JSON.</param>
    /// <param name="console">Receives the answer.</param>
    /// <param name="cancellationToken">Cancels waiting, not the backup.</param>
    /// <exception cref="ToolException">No server, or it rejected the command.</exception>
    public static async Task RunOnServerAsync(
        string socket, string image, string target, string? since, bool full, bool json, NativeConsole console,
        CancellationToken cancellationToken)
    {
        string line = new BackupLine(image, RbdTarget.IsName(target) ? target : Path.GetFullPath(target), since, full).Format();
        await ControlVerb.RunAsync(socket, line, json, console, cancellationToken);
    }

    /// <summary>Makes a new image of a disk as it was at the time of its last backup.</summary>
    /// <param name="target">The new file.</param>
    /// <param name="backups">The full backup, then the increments, oldest first.</param>
    /// <param name="json">Whether to print the result as JSON.</param>
    /// <param name="console">Receives progress and the result.</param>
    /// <param name="cancellationToken">Stops it; no file is left behind.</param>
    /// <param name="passphrase">Passphrase of encrypted backups; the new image is then encrypted with it too.</param>
    /// <exception cref="ToolException">They are not backups of one disk.</exception>
    public static async Task RestoreAsync(
        string target, IReadOnlyList<string> backups, bool json, NativeConsole console, CancellationToken cancellationToken,
        ReadOnlyMemory<byte>? passphrase = null)
    {
        await DiskBackup.RestoreAsync(target, backups[0], [.. backups.Skip(1)], passphrase, new Shown(console), cancellationToken);
        console.EndProgress();
        console.Out.WriteLine(
            json ? JsonText.Readable(new JsonFields().With("restored", target).With("backups", (long)backups.Count))
                : $"restored '{EscapedText.Escape(target)}' from {backups.Count} backup{(backups.Count == 1 ? "" : "s")}");
    }

    private static BackingPolicy Policy(string? text) => text switch
    {
        null or "same-directory" => BackingPolicy.SameDirectory,
        "any" => BackingPolicy.Any,
        "none" => BackingPolicy.None,
        _ => throw new ToolException($"--backing {text}: expected none, same-directory or any", NativeExit.Usage),
    };

    private static void Print(string target, bool isFull, long changed, bool json, NativeConsole console)
        => console.Out.WriteLine(
            json
                ? JsonText.Readable(new JsonFields().With("backup", target).With("full", isFull).With("bytes", changed))
                : string.Create(
                    CultureInfo.InvariantCulture,
                    $"{(isFull ? "full backup" : "increment")} '{EscapedText.Escape(target)}': {SizeText.Human(changed)} "
                    + $"{(isFull ? "of disk" : "changed")}"));

    private sealed class Shown(NativeConsole console) : IProgress<CopyProgress>
    {
        public void Report(CopyProgress value) => console.Progress("copying", value.Total == 0 ? 1 : (double)value.Copied / value.Total);
    }
}
