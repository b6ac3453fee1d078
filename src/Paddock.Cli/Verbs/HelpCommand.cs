using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;

namespace Paddock.Cli.Verbs;

/// <summary>The command lines of `paddock help` and `paddock version`, and of the options that mean the same.</summary>
internal static class HelpCommand
{
    private const string HelpName = "help", VersionName = "version";

    public static Command Help(NativeConsole console)
    {
        var words = new Argument<string[]>("COMMAND")
        {
            Description = "A command, and a command below it, such as 'zone reset'.", Arity = ArgumentArity.ZeroOrMore,
        };
        var command = new Command(HelpName, "Shows the help of a command.") { words };
        command.SetAction((parsed, cancellationToken) => ShowAsync(parsed, parsed.GetValue(words) ?? [], console, cancellationToken));
        return command;
    }

    public static Command Version(NativeConsole console)
    {
        var json = JsonOption.Create();
        var command = new Command(VersionName, "Shows the version.") { json };
        command.SetAction(parsed => VersionVerb.Run(parsed.GetValue(json), console));
        return command;
    }

    /// <summary>`--version` and `-V` in first place are the verb, which has options of its own.</summary>
    public static string[] WithVersionVerb(string[] args)
        => args is ["--version" or "-V", ..] ? [VersionName, .. args[1..]] : args;

    private static async Task<int> ShowAsync(
        ParseResult parsed, string[] words, NativeConsole console, CancellationToken cancellationToken)
    {
        Command command = parsed.RootCommandResult.Command;
        for (int i = 0; i < words.Length; i++)
        {
            if (CompatibleTools.Names.Contains(words[i]) && command is RootCommand)
            {
                return (await CompatibleTools.TryRunAsync([.. words[i..], "--help"]))!.Value;
            }

            command = command.Subcommands.FirstOrDefault(c => c.Name == words[i])
                ?? throw new ToolException(ParseErrors.Unknown(command, words[i]), NativeExit.Usage);
        }

        return await CommandTree.Build(console).Parse([.. words, "--help"]).InvokeAsync(
            new InvocationConfiguration { Output = console.Out, Error = console.Error }, cancellationToken);
    }
}
