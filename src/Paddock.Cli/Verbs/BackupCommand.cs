using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock backup`.</summary>
internal static class BackupCommand
{
    /// <summary>Help text after the options.</summary>
    public static readonly string[] Details =
    [
        "A full backup is a qcow2 image of the disk. With --since it also begins a series: the bitmap records",
        "what changes from then on, whichever program writes to the image.",
        "",
        "An increment (--since without --full) is a qcow2 image that holds only what has changed since the",
        "last backup with that bitmap, which begins again. 'paddock backup restore' makes a new image of a",
        "full backup and all increments after it, oldest first; it rejects other orders.",
        "",
        "A backup of an encrypted disk is encrypted with the same passphrase, and so is the restored disk.",
        "",
        "Every backup of a zoned disk has the write pointers, conditions and zone descriptor extensions of",
        "its moment, and a restored disk has those of the last backup.",
        "",
        "With --control a running server backs up an image that it serves, under the name or path that the",
        "server knows it by. The backup is of one moment; requests go on meanwhile. The file is written by",
        "the server. Without it, no other program may have the image open for writing.",
        "",
        "A program that ends without closing the image leaves its bitmaps inconsistent: the next backup must",
        "be a full one.",
        "",
        "Exit codes: 0 success, 1 failure, 64 unknown command or option.",
        "",
    ];

    public static Command Create(NativeConsole console)
    {
        var image = new Argument<string>("IMAGE") { Description = "Image to back up." };
        var target = new Argument<string>("TARGET") { Description = "New file for the backup." };
        var since = new Option<string?>("--since")
        {
            Description = "Bitmap with the changes since the last backup.", HelpName = "BITMAP",
        };
        var full = new Option<bool>("--full") { Description = "Copies everything; the bitmap is added, or begins again." };
        var control = new Option<string?>("--control")
        {
            Description = "Control socket of the server that serves the image.", HelpName = "PATH",
        };
        var backing = new Option<string?>("--backing")
        {
            Description = "Backing files it may use: none, same-directory (default) or any.", HelpName = "POLICY",
        };
        backing.CompletionSources.Add("none", "same-directory", "any");
        var passphrase = PassphraseOption.Create();
        var json = new Option<bool>("--json") { Description = "Prints the result as JSON." };
        var command = new Command("backup", "Makes full and incremental backups, and restores them.")
        {
            image, target, since, full, control, backing, passphrase, json, Restore(console),
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string from = parsed.GetRequiredValue(image), to = parsed.GetRequiredValue(target);
            string? socket = parsed.GetValue(control), bitmap = parsed.GetValue(since);
            if (bitmap is { Length: 0 })
            {
                throw new ToolException("--since requires the name of a bitmap", NativeExit.Usage);
            }

            await (socket is null
                ? BackupVerb.RunAsync(
                    from, to, bitmap, parsed.GetValue(full), parsed.GetValue(backing), parsed.GetValue(json), console, cancellationToken,
                    passphrase.Read(parsed))
                : BackupVerb.RunOnServerAsync(
                    socket, from, to, bitmap, parsed.GetValue(full), parsed.GetValue(json), console, cancellationToken));
            return NativeExit.Success;
        });
        return command;
    }

    private static Command Restore(NativeConsole console)
    {
        var target = new Argument<string>("TARGET") { Description = "New image for the restored disk." };
        var backups = new Argument<string[]>("BACKUP")
        {
            Description = "The full backup, then its increments, oldest first.", Arity = ArgumentArity.OneOrMore,
        };
        var passphrase = PassphraseOption.Create();
        var json = new Option<bool>("--json") { Description = "Prints the result as JSON." };
        var command = new Command("restore", "Makes a new image from a full backup and increments.")
        {
            target, backups, passphrase, json,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await BackupVerb.RestoreAsync(
                parsed.GetRequiredValue(target), parsed.GetRequiredValue(backups), parsed.GetValue(json), console, cancellationToken,
                passphrase.Read(parsed));
            return NativeExit.Success;
        });
        return command;
    }
}
