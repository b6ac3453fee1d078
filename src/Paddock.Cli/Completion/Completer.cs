using System.CommandLine;
using System.CommandLine.Completions;
using System.CommandLine.Parsing;
using Paddock.Cli.Native;
using Paddock.Cli.Verbs;

namespace Paddock.Cli.Completion;

/// <summary>Completes a command line from the command tree. Where it finds nothing, shells offer files.</summary>
internal static class Completer
{
    /// <summary>First argument with which the scripts of the shells call the executable.</summary>
    public const string Request = "[complete]";

    /// <summary>Prints the candidates for the end of a command line, one per line, with a tab before the description.</summary>
    /// <param name="line">The line up to the cursor, with the name of the program.</param>
    /// <param name="console">Receives the candidates.</param>
    public static async ValueTask PrintAsync(string line, NativeConsole console)
    {
        var words = CommandLineParser.SplitCommandLine(line).Skip(1).ToList();
        if (line.Length == 0 || char.IsWhiteSpace(line[^1]))
        {
            words.Add("");
        }

        foreach (var candidate in await FindAsync(CommandTree.Build(console), words))
        {
            console.Out.WriteLine(candidate.Description.Length == 0 ? candidate.Word : $"{candidate.Word}\t{candidate.Description}");
        }
    }

    /// <summary>The candidates for the last of some words.</summary>
    public static async ValueTask<IReadOnlyList<Candidate>> FindAsync(RootCommand root, IReadOnlyList<string> words)
    {
        if (words.Count == 0)
        {
            return [];
        }

        if (words.Count > 1 && CompatibleTools.Names.Contains(words[0]))
        {
            return Matching(await ToolCandidates.FindAsync(words[0], [.. words.Skip(1)]), words[^1]);
        }

        if (words[0] == "help" && words.Count > 1)
        {
            return words.Count == 3 && words[1] == "img" ? Matching(await ToolCandidates.FindAsync("img", [""]), words[^1])
                : Matching(Subcommands(Position.After(root, [.. words.Skip(1).SkipLast(1)]).Command), words[^1]);
        }

        var position = Position.After(root, [.. words.SkipLast(1)]);
        return Matching(At(position, words[^1]), words[^1]);
    }

    private static IEnumerable<Candidate> At(Position position, string typed)
    {
        int equals = typed.StartsWith("--", StringComparison.Ordinal) ? typed.IndexOf('=', StringComparison.Ordinal) : -1;
        if (position.Pending is { } option)
        {
            return Values(option);
        }

        if (equals > 0)
        {
            string name = typed[..equals];
            return Position.Find(position.Command, name) is { } given
                ? Values(given).Select(v => v with { Word = $"{name}={v.Word}" }) : [];
        }

        return typed.StartsWith('-') ? Options(position.Command)
            : position.Command.Subcommands.Count > 0 && position.Operands.Count == 0 ? Subcommands(position.Command)
            : position.Command.Name == "fault" && position.Operands.Count > 0 ? FaultCandidates.At(position.Operands, typed)
            : ArgumentAt(position) is { } argument ? Values(argument) : [];
    }

    private static Argument? ArgumentAt(Position position)
    {
        var arguments = position.Command.Arguments;
        return arguments.Count == 0 ? null : arguments[Math.Min(position.Operands.Count, arguments.Count - 1)];
    }

    private static IEnumerable<Candidate> Subcommands(Command command)
        => command.Subcommands.Where(static c => !c.Hidden).Select(static c => new Candidate(c.Name, Brief(c.Description)));

    private static IEnumerable<Candidate> Options(Command command)
    {
        var inherited = command.Parents.OfType<Command>().SelectMany(static p => p.Options).Where(static o => o.Recursive);
        return command.Options.Concat(inherited).Where(static o => !o.Hidden).DistinctBy(static o => o.Name)
            .Select(static o => new Candidate(o.Name, Brief(o.Description)));
    }

    private static IEnumerable<Candidate> Values(Symbol symbol)
        => symbol.GetCompletions(CompletionContext.Empty).Where(static i => !i.Label.StartsWith('-'))
            .Select(static i => new Candidate(i.InsertText ?? i.Label, i.Detail ?? ""));

    private static List<Candidate> Matching(IEnumerable<Candidate> candidates, string typed)
        => [.. candidates.Where(c => c.Word.StartsWith(typed, StringComparison.Ordinal))];

    private static string Brief(string? description) => (description ?? "").TrimEnd('.');
}
