using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Paddock.Cli.Verbs;

namespace Paddock.Cli;

/// <summary>The default help, followed by the command's details and examples.</summary>
internal sealed class HelpWithExamples(HelpAction usual) : SynchronousCommandLineAction
{
    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        var output = parseResult.InvocationConfiguration.Output;
        using var text = new StringWriter { NewLine = output.NewLine };
        parseResult.InvocationConfiguration.Output = text;
        int code = usual.Invoke(parseResult);
        parseResult.InvocationConfiguration.Output = output;
        output.Write(Plain(WithoutParent(text.ToString(), parseResult.CommandResult.Command)));
        foreach (string line in CommandTree.DetailsOf(parseResult.CommandResult.Command))
        {
            output.WriteLine(line);
        }

        if (CommandTree.ExamplesOf(parseResult.CommandResult.Command) is { Length: > 0 } examples)
        {
            output.WriteLine("Examples:");
            foreach (string line in examples)
            {
                output.WriteLine("  " + line);
            }

            output.WriteLine();
        }

        if (parseResult.CommandResult.Command is RootCommand)
        {
            output.WriteLine(
                "Exit codes: 0 success, 1 failure, 64 unknown command or option; check: 2 corruption, 3 leaks.");
            output.WriteLine();
        }

        return code;
    }

    // `paddock backup restore` has none of the arguments of `paddock backup`, which the default help lists first
    private static string WithoutParent(string help, Command command)
    {
        foreach (string name in command.Parents.OfType<Command>().SelectMany(parent => parent.Arguments).Select(a => $"<{a.Name}>"))
        {
            int usage = help.IndexOf(name + " ", StringComparison.Ordinal);
            help = usage < 0 ? help : help.Remove(usage, name.Length + 1);
            int line = help.IndexOf("  " + name, help.IndexOf("Arguments:", StringComparison.Ordinal), StringComparison.Ordinal);
            help = line < 0 ? help : help.Remove(line, help.IndexOf('\n', line) + 1 - line);
        }

        return help;
    }

    // `paddock resize` has one argument for two values, since the first is optional
    private static string Plain(string help)
    {
        const string Given = $"<{ResizeCommand.Arguments}>", Wanted = "[<IMAGE>] <SIZE>";
        string padding = new(' ', Wanted.Length - Given.Length);
        return help
            .Replace(Given + "...", Wanted, StringComparison.Ordinal)
            .Replace(Given + padding + "  ", Wanted + "  ", StringComparison.Ordinal)
            .Replace(Given, Wanted, StringComparison.Ordinal);
    }
}
