using System.CommandLine;
using Paddock.Cli;
using Paddock.Cli.Native;

namespace Paddock.Docs.Reference;

/// <summary>The pages of the executable and of its verbs, from the command tree.</summary>
internal sealed class VerbPages(Fragments fragments)
{
    private static readonly string[] UsualExits =
    [
        MarkdownText.Definition("0", "Success."),
        MarkdownText.Definition("1", "Failure; the reason is on standard error."),
        MarkdownText.Definition("64", "Unknown command or option, or an invalid value."),
    ];

    /// <summary>The page of each command that is not hidden; the first one is about the executable.</summary>
    public IReadOnlyList<ManualPage> All()
    {
        var root = CommandTree.Build(new NativeConsole(Stream.Null, Stream.Null, Stream.Null));
        Command[] verbs = [.. root.Subcommands.Where(c => !c.Hidden)];
        return [Page(root, verbs), .. verbs.Select(v => ToolPages.IsTool(v.Name) ? ToolPages.Page(v, fragments) : Page(v, verbs))];
    }

    /// <summary>Name of the man page of a command.</summary>
    public static string NameOf(Command command) => command is RootCommand ? "paddock" : "paddock-" + command.Name;

    private ManualPage Page(Command command, Command[] verbs)
    {
        string name = NameOf(command);
        var fragment = fragments.Of(name);
        var (description, exits) = Details(command);
        bool isRoot = command is RootCommand;
        List<ManualSection> sections = [new("Synopsis", fragment.Of("Synopsis") ?? MarkdownText.Preformatted(Synopsis(command)))];
        Add("Description", MarkdownText.Escape(command.Description ?? ""), fragment.Of("Description"), description);
        if (isRoot)
        {
            Add("Commands", string.Join("\n\n", verbs.Select(v => MarkdownText.Definition(
                $"[{NameOf(v)}(1)]({NameOf(v)}.md)", MarkdownText.Escape(v.Description ?? "")))));
        }
        else
        {
            Add("Commands", [.. command.Subcommands.Where(c => !c.Hidden).Select(Subcommand)]);
        }

        Add("Arguments", Arguments(command));
        Add("Options", Options(command), fragment.Of("Options"));
        Add("Examples", fragment.Of("Examples"), MarkdownText.Console(CommandTree.ExamplesOf(command)));
        Add("Exit status", fragment.Of("Exit status") ?? (exits.Length > 0 ? MarkdownText.Escape(exits) : string.Join("\n\n", UsualExits)));
        Add("Environment", fragment.Of("Environment"));
        Add("Files", fragment.Of("Files") ?? FilesOf(command));
        Add("Notes", fragment.Of("Notes"));
        Add("See also", SeeAlso(fragment.Of("See also"), name));
        return new ManualPage(name, CommandTree.PathOf(command), command.Description ?? "", sections);

        void Add(string title, params string?[] parts)
        {
            string text = string.Join("\n\n", parts.Where(p => !string.IsNullOrEmpty(p)));
            if (text.Length > 0)
            {
                sections.Add(new(title, text));
            }
        }
    }

    /// <summary>The list at the end of a page.</summary>
    public static string SeeAlso(string? given, string name)
        => given ?? (name == "paddock" ? "The documentation of Paddock has guides for each task." : "[paddock(1)](paddock.md)");

    /// <summary>Options of a command as a definition list, those that it inherits included.</summary>
    public static string Options(Command command)
    {
        var inherited = command.Parents.OfType<Command>().SelectMany(p => p.Options).Where(o => o.Recursive);
        return string.Join("\n\n", command.Options.Concat(inherited).Where(o => !o.Hidden).Select(option => MarkdownText.Definition(
            string.Join(", ", Names(option)
                .Select(alias => MarkdownText.Code(alias + ValueOf(option)))),
            MarkdownText.Escape(Sentence(option.Description) + (option.Required ? " Required." : "")))));
    }

    // the parser also accepts /h and /?, which are names of files elsewhere
    private static IEnumerable<string> Names(Option option)
        => new[] { option.Name }.Concat(option.Aliases.Order(StringComparer.Ordinal)).Distinct().Where(n => !n.StartsWith('/'));

    private static string ValueOf(Option option)
        => option.Arity.MaximumNumberOfValues == 0 || option.ValueType == typeof(bool) || option.HelpName is null ? ""
            : " " + option.HelpName;

    private static IEnumerable<string> Synopsis(Command command)
    {
        string path = CommandTree.PathOf(command);
        if (command.Subcommands.Any(c => !c.Hidden))
        {
            yield return $"{path} COMMAND [ARGUMENT]... [OPTION]...";
        }

        if (command.Action is not null || command.Arguments.Count > 0)
        {
            yield return string.Join(' ', new[] { path }.Concat(command.Arguments.Where(a => !a.Hidden).Select(Usage))) + " [OPTION]...";
        }
        else if (command is RootCommand)
        {
            yield return $"{path} --help|--version";
        }
    }

    // an argument that stands for several words has their usage as its name
    private static string Usage(Argument argument)
    {
        string repeated = argument.Arity.MaximumNumberOfValues > 1 ? "..." : "";
        return argument.Name.Contains(' ', StringComparison.Ordinal) ? argument.Name
            : argument.Arity.MinimumNumberOfValues == 0 ? $"[{argument.Name}{repeated}]"
            : argument.Name + repeated;
    }

    private static string Arguments(Command command)
        => string.Join("\n\n", command.Arguments.Where(a => !a.Hidden).Select(a => MarkdownText.Definition(
            MarkdownText.Code(a.Name), MarkdownText.Escape(Sentence(a.Description)))));

    // the help lists arguments before the text that explains them
    private static string Sentence(string? description)
        => (description ?? "").Replace("; see below", "", StringComparison.Ordinal).TrimEnd('.') + ".";

    private string Subcommand(Command command)
    {
        var (description, _) = Details(command);
        string[] parts =
        [
            $"### {CommandTree.PathOf(command)}", MarkdownText.Escape(command.Description ?? ""),
            MarkdownText.Preformatted(Synopsis(command)), description, Arguments(command), Options(command),
            CommandTree.ExamplesOf(command) is { Length: > 0 } examples ? MarkdownText.Console(examples) : "",
        ];
        return string.Join("\n\n", parts.Where(p => p.Length > 0));
    }

    // the help's own text about exit codes belongs into a section of its own
    private static (string Description, string Exits) Details(Command command)
    {
        const string Exits = "Exit codes:";
        var blocks = HelpText.Blocks(CommandTree.DetailsOf(command)).ToList();
        string[] exits = blocks.Find(b => b[0].StartsWith(Exits, StringComparison.Ordinal)) ?? [];
        blocks.Remove(exits);
        string text = exits.Length == 0 ? "" : string.Join(' ', exits)[Exits.Length..].Trim();
        string sentence = text.Length == 0 ? "" : char.ToUpperInvariant(text[0]) + text[1..];
        return (HelpText.ToMarkdown(blocks.SelectMany(b => b.Append(""))), sentence);
    }

    private static string FilesOf(Command command)
    {
        string[] files = ["FILE", "PATH", "IMAGE", "SOCKET", "DIR", "BASE", "TARGET"];
        var entries = command.Arguments.Where(a => files.Contains(a.Name)).Select(a => (Name: MarkdownText.Code(a.Name), a.Description))
            .Concat(command.Options.Where(o => o.HelpName is { } value && files.Contains(value))
                .Select(o => (Name: MarkdownText.Code($"{o.Name} {o.HelpName}"), o.Description)));
        string text = string.Join("\n\n", entries.Select(e => MarkdownText.Definition(e.Name, MarkdownText.Escape(e.Description ?? ""))));
        return text.Length == 0 ? "None." : text;
    }
}
