using System.CommandLine;
using System.Text;
using Paddock.Cli;
using Paddock.Compat;
using Paddock.Compat.Img;
using Paddock.Compat.Io;
using Paddock.Compat.Nbd;

namespace Paddock.Docs.Reference;

/// <summary>The pages of the compatible tools, from the help that they print.</summary>
internal static class ToolPages
{
    /// <summary>Whether a verb is a compatible tool.</summary>
    public static bool IsTool(string verb) => verb is "img" or "io" or "nbd";

    /// <summary>The page of a tool.</summary>
    /// <exception cref="InvalidDataException">The tool has no help.</exception>
    public static ManualPage Page(Command verb, Fragments fragments)
    {
        string name = VerbPages.NameOf(verb), path = CommandTree.PathOf(verb);
        var fragment = fragments.Of(name);
        var help = ToolHelp.Parse(Run(verb.Name, "--help"));
        List<ManualSection> sections = [new("Synopsis", MarkdownText.Preformatted(help.Usage))];
        Add("Description", MarkdownText.Escape(verb.Description ?? ""), fragment.Of("Description"), verb.Name == "img" ? null : help.Text);
        Add("Commands", verb.Name switch
        {
            "img" => string.Join("\n\n", Commands().Select(Subcommand)),
            "io" => string.Join(
                "\n\n", Run("io", "-c", "help").Where(l => l.Contains(" -- ", StringComparison.Ordinal)).Select(Interactive)),
            _ => null,
        });
        Add("Options", help.Options, fragment.Of("Options"));
        Add("Examples", fragment.Of("Examples"), MarkdownText.Console(CommandTree.ExamplesOf(verb)));
        Add("Exit status", fragment.Of("Exit status") ?? "0 for success, 1 for failure.");
        Add("Environment", fragment.Of("Environment"));
        Add("Files", fragment.Of("Files") ?? "None.");
        Add("Notes", fragment.Of("Notes"));
        Add("See also", VerbPages.SeeAlso(fragment.Of("See also"), name));
        return new ManualPage(name, path, verb.Description ?? "", sections);

        void Add(string title, params string?[] parts)
        {
            string text = string.Join("\n\n", parts.Where(p => !string.IsNullOrEmpty(p)));
            if (text.Length > 0)
            {
                sections.Add(new(title, text));
            }
        }
    }

    /// <summary>Names of the commands of <c>paddock img</c>, as its help lists them.</summary>
    public static IReadOnlyList<string> Commands()
        => [.. Run("img", "--help").SkipWhile(l => l != "Commands:").Skip(1).TakeWhile(l => l.Length > 0)
            .Select(l => l.Trim().Split(' ')[0])];

    private static string Subcommand(string command)
    {
        var help = ToolHelp.Parse(Run("img", command, "--help"));
        string[] parts = [$"### paddock img {command}", help.Text, MarkdownText.Preformatted(help.Usage), help.Options, help.Examples];
        return string.Join("\n\n", parts.Where(p => p.Length > 0));
    }

    private static string Interactive(string line)
    {
        string[] parts = line.Split(" -- ", 2);
        string text = char.ToUpperInvariant(parts[1][0]) + parts[1][1..] + ".";
        return MarkdownText.Definition(MarkdownText.Code(parts[0].Trim()), MarkdownText.Escape(text));
    }

    private static string[] Run(string tool, params string[] args)
    {
        using var output = new MemoryStream();
        var context = ToolContext.Over("paddock " + tool, Stream.Null, output, Stream.Null);
        int code = (tool switch
        {
            "img" => ImgTool.RunAsync(args, context),
            "io" => IoTool.RunAsync(args, context),
            _ => NbdTool.RunAsync(args, context, respawn: []),
        }).GetAwaiter().GetResult();
        context.Out.Flush();
        string text = Encoding.UTF8.GetString(output.ToArray());
        return code == 0 && text.Length > 0 ? text.TrimEnd().Split('\n')
            : throw new InvalidDataException(
                $"paddock {tool} {string.Join(' ', args)}: exit code {code}, {text.Length} characters of help");
    }
}
