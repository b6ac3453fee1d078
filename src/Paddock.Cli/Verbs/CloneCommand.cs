using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock clone`.</summary>
internal static class CloneCommand
{
    /// <summary>Help between the options and the examples.</summary>
    public static readonly string[] Details =
    [
        "An overlay stores only changed data and reads everything else from BASE. On a zoned base",
        "it begins with the base's zones: write pointers, conditions and descriptor extensions. Its zones",
        "are written and reset independently of the base.",
        "",
        "BASE must not be written while it has overlays: they would read the new data. 'paddock img commit'",
        "writes an overlay's changes into its base, 'paddock img rebase -b \"\"' makes it independent.",
        "",
        "Overlays of an encrypted base are encrypted with the same passphrase.",
    ];

    public static Command Build(NativeConsole console)
    {
        var image = new Argument<string>("BASE") { Description = "Image that the overlays read from: a file, or rbd:POOL/IMAGE." };
        var names = new Argument<string[]>("NAME")
        {
            Description = "New overlays: files, or rbd:POOL/IMAGE.", Arity = ArgumentArity.OneOrMore,
        };
        var format = new Option<string?>("--format") { Description = "Format of BASE (default: qcow2).", HelpName = "qcow2|raw" };
        format.OneOf("qcow2", "raw");
        var passphrase = PassphraseOption.Create();
        var json = JsonOption.Create();
        var command = new Command("clone", "Creates overlays of an image: copies that share unchanged data.")
        {
            image, names, format, passphrase, json,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await CloneVerb.RunAsync(
                parsed.GetRequiredValue(image), parsed.GetValue(format), parsed.GetRequiredValue(names), parsed.GetValue(json), console,
                cancellationToken, passphrase.Read(parsed));
            return NativeExit.Success;
        });
        return command;
    }
}
