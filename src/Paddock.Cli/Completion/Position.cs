using System.CommandLine;

namespace Paddock.Cli.Completion;

/// <summary>Where a command line has got to.</summary>
/// <param name="Command">The innermost command.</param>
/// <param name="Operands">Its words that are no options or values of options.</param>
/// <param name="Pending">An option whose value comes next; null: none.</param>
internal sealed record Position(Command Command, IReadOnlyList<string> Operands, Option? Pending)
{
    /// <summary>The position after some words.</summary>
    public static Position After(RootCommand root, IReadOnlyList<string> words)
    {
        Command command = root;
        var operands = new List<string>();
        Option? pending = null;
        foreach (string word in words)
        {
            if (pending is not null)
            {
                pending = null;
            }
            else if (word.Length > 1 && word[0] == '-')
            {
                pending = Find(command, word) is { Arity.MinimumNumberOfValues: > 0 } option ? option : null;
            }
            else if (operands.Count == 0 && command.Subcommands.FirstOrDefault(c => c.Name == word) is { } below)
            {
                command = below;
            }
            else
            {
                operands.Add(word);
            }
        }

        return new Position(command, operands, pending);
    }

    /// <summary>An option of a command by one of its names; null if it has none of that name.</summary>
    public static Option? Find(Command command, string name)
        => command.Options.FirstOrDefault(o => o.Name == name || o.Aliases.Contains(name));
}
