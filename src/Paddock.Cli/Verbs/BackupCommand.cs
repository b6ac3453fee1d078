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
        "A full backup is a qcow2 image of the disk. With --since it also starts a series: the bitmap records",
        "later changes, whichever program writes to the image.",
        "",
        "An increment (--since without --full) is a qcow2 image that stores only the changes since the last",
        "backup with that bitmap, and clears the bitmap. 'paddock backup restore' creates a new image from a",
        "full backup and all increments after it, oldest first; it rejects other orders.",
        "",
        "A backup of an encrypted disk is encrypted with the same passphrase, and so is the restored disk.",
        "",
        "Every backup of a zoned disk has the write pointers, conditions and zone descriptor extensions at",
        "its time, and a restored disk has those of the last backup.",
        "",
        "With --control a running server backs up an image that it serves, under the name or path that the",
        "server has for it. The backup is consistent, and requests continue. The server creates the file.",
        "Without --control, no other program may have the image open for writing.",
        "",
        "A program that ends without closing the image leaves its bitmaps inconsistent: the next backup must",
        "be a full one, which replaces the bitmap.",
        "",
        "Exit codes: 0 success, 1 failure, 64 unknown command or option.",
        "",
    ];

    public static Command Create(NativeConsole console)
    {
        var image = new Argument<string>("IMAGE") { Description = "Image to back up: a file, or rbd:POOL/IMAGE." };
        var target = new Argument<string>("TARGET") { Description = "New file, or rbd:POOL/IMAGE, for the backup." };
        var since = new Option<string?>("--since")
        {
            Description = "Bitmap with the changes since the last backup.", HelpName = "BITMAP",
        };
        var full = new Option<bool>("--full") { Description = "Copies everything; adds or clears the bitmap." };
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
        var json = JsonOption.Create();
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

            if (socket is not null && (parsed.GetValue(backing) ?? parsed.GetValue(passphrase)) is not null)
            {
                throw new ToolException(
                    "--backing and --passphrase-file cannot be combined with --control: the server has its own settings", NativeExit.Usage);
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
        var json = JsonOption.Create();
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
