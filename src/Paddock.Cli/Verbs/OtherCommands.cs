using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;

namespace Paddock.Cli.Verbs;

/// <summary>The command lines of `paddock demo` and `completion`, and help entries for the QEMU-compatible tools.</summary>
internal static class OtherCommands
{
    public static Command Demo(NativeConsole console)
    {
        var command = new Command("demo", "Demonstrates a zoned image step by step, in a temporary directory.");
        command.SetAction(async (_, cancellationToken) =>
        {
            await Cli.Native.Demo.RunAsync(console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }

    public static Command Completion(NativeConsole console)
    {
        var shell = new Argument<string>("SHELL") { Description = "Name of the shell." };
        shell.OneOf("bash", "zsh", "fish");
        var command = new Command("completion", "Prints a shell completion script.") { shell };
        command.SetAction(parsed => console.Out.Write(CompletionScript.For(parsed.GetRequiredValue(shell))));
        return command;
    }

    /// <summary>An entry for help and completion; the tool itself parses its command line before this tree is built.</summary>
    public static Command Compatible(string name, string description) => new(name, description) { TreatUnmatchedTokensAsErrors = false };
}
