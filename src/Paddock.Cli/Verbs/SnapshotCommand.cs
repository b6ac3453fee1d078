using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;
using Paddock.Server.Snapshots;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock snapshot`.</summary>
internal static class SnapshotCommand
{
    /// <summary>Help text after the options.</summary>
    public static readonly string[] Details =
    [
        "ACTION is one of:",
        "  list    [IMAGE]        lists the snapshots",
        "  create  [IMAGE] NAME   takes a snapshot; of a zoned disk, with pointers, conditions and extensions",
        "  delete  [IMAGE] NAME   deletes a snapshot, by ID or name, and frees the space that only it uses",
        "  apply   [IMAGE] NAME   restores the disk, with its size and zones; the snapshot stays",
        "",
        "Without --control, IMAGE is a file that no program has open. With it, IMAGE is the NBD export name",
        "of a served image, or the path given to the server; it is required if there are several images.",
        "Taking a snapshot delays the requests of clients for about as long as a flush takes. A snapshot",
        "cannot be applied to a served disk: stop the server first.",
        "",
        "Exit codes: 0 success, 1 failure, 64 unknown command or option.",
        "",
    ];

    private static readonly string[] Actions = ["list", "create", "delete", "apply"];

    public static Command Create(NativeConsole console)
    {
        var words = new Argument<string[]>("ACTION [IMAGE] [NAME]")
        {
            HelpName = "ACTION",
            Description = "What to do, to which image, with which snapshot; see below.", Arity = new ArgumentArity(1, 3),
        };
        words.CompletionSources.Add(Actions);
        var control = new Option<string?>("--control")
        {
            Description = "Control socket of the server that has the image open (serve --control).", HelpName = "PATH",
        };
        var passphrase = PassphraseOption.Create();
        var json = JsonOption.Create();
        var command = new Command("snapshot", "Takes, lists, deletes and applies internal snapshots.") 
        {
            words, control, passphrase, json,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string[] given = parsed.GetRequiredValue(words);
            string? socket = parsed.GetValue(control);
            var (action, image, name) = Split(given, isServed: socket is not null);
            await SnapshotVerb.RunAsync(action, image, name, socket, parsed.GetValue(json), console, cancellationToken,
                passphrase.Read(parsed));
            return NativeExit.Success;
        });
        return command;
    }

    private static (SnapshotAction Action, string? Image, string? Name) Split(string[] words, bool isServed)
    {
        if (!Actions.Contains(words[0]))
        {
            throw new ToolException($"'{words[0]}': expected one of {string.Join(", ", Actions)}", NativeExit.Usage);
        }

        var action = Enum.Parse<SnapshotAction>(words[0], ignoreCase: true);
        int names = action == SnapshotAction.List ? 0 : 1;
        int images = words.Length - 1 - names;
        return images == 1 || (images == 0 && isServed)
            ? (action, images == 1 ? words[1] : null, names == 1 ? words[^1] : null)
            : throw new ToolException(
                $"'{words[0]}' takes {(isServed ? "[IMAGE]" : "IMAGE")}{(names == 1 ? " NAME" : "")}", NativeExit.Usage);
    }
}
