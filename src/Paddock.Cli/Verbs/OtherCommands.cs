using System.CommandLine;
using Paddock.Tools.Native;

namespace Paddock.Cli.Verbs;

/// <summary>The command lines of `paddock demo` and `completion`, and places in the help for the compatible tools.</summary>
internal static class OtherCommands
{
    public static Command Demo(NativeConsole console)
    {
        var command = new Command("demo", "Shows the life of a zoned image, step by step, in a temporary folder.");
        command.SetAction(async (_, cancellationToken) =>
        {
            await Tools.Native.Demo.RunAsync(console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }

    public static Command Completion(NativeConsole console)
    {
        var shell = new Argument<string>("SHELL") { Description = "bash, zsh or fish." };
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        var command = new Command("completion", "Prints the script that completes paddock's words in a shell.") { shell };
        command.SetAction(parsed => console.Out.Write(CompletionScript.For(parsed.GetRequiredValue(shell))));
        return command;
    }

    /// <summary>A command that parses its own line before this tree is built; here so that help and completion know it.</summary>
    public static Command Compatible(string name, string description) => new(name, description) { TreatUnmatchedTokensAsErrors = false };
}
