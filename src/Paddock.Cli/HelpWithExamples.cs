using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Paddock.Cli;

/// <summary>The usual help, with the examples of the command after it.</summary>
internal sealed class HelpWithExamples(HelpAction usual) : SynchronousCommandLineAction
{
    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        int code = usual.Invoke(parseResult);
        var output = parseResult.InvocationConfiguration.Output;
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
                "Exit codes: 0 done, 1 failed or refused, 64 wrong command line; check: 2 corruption is left, 3 leaks are left.");
            output.WriteLine();
        }

        return code;
    }
}
