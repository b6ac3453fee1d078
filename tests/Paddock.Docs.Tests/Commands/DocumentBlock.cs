using System.Text.RegularExpressions;
using Markdig;
using Markdig.Syntax;

namespace Paddock.Docs.Tests.Commands;

/// <summary>A block of shell commands in a document, and what the comments before it say about it.</summary>
/// <param name="Page">Path of the document in the repository.</param>
/// <param name="Line">Line of its fence.</param>
/// <param name="Language"><c>sh</c> for a script; <c>console</c> for commands behind <c>$</c> and their output.</param>
/// <param name="Text">Its lines.</param>
/// <param name="NotRun">Why it is only parsed: <c>&lt;!-- not run: REASON --&gt;</c>; null if it is run.</param>
/// <param name="Before">Commands that prepare it and are not shown: <c>&lt;!-- before: COMMANDS --&gt;</c>.</param>
/// <param name="ExitCode">Its exit code: <c>&lt;!-- exit code: N --&gt;</c>, or 0.</param>
internal sealed partial record DocumentBlock(
    string Page, int Line, string Language, string Text, string? NotRun, string Before, int ExitCode)
{
    private static readonly string[] Shells = ["sh", "bash", "console"];

    /// <summary>The commands, without prompts and output.</summary>
    public string Script => Language == "console" ? string.Join('\n', Commands()) : Text;

    /// <summary>The output that the document shows, one entry for each line.</summary>
    public IReadOnlyList<string> Output => Language == "console" ? [.. Lines().Where(l => !l.IsCommand).Select(l => l.Text)] : [];

    /// <summary>The blocks of a document, in order.</summary>
    public static IReadOnlyList<DocumentBlock> Of(string page, string markdown)
    {
        List<DocumentBlock> found = [];
        List<string> comments = [];
        foreach (var block in Markdown.Parse(markdown).Descendants())
        {
            if (block is HtmlBlock html)
            {
                comments.Add(html.Lines.ToString());
            }
            else if (block is FencedCodeBlock code && Shells.Contains(code.Info))
            {
                found.Add(new(
                    page, code.Line + 1, code.Info!, code.Lines.ToString(), Mark(comments, NotRunMark()),
                    string.Join('\n', comments.Select(c => BeforeMark().Match(c)).Where(m => m.Success).Select(m => m.Groups[1].Value)),
                    int.Parse(Mark(comments, ExitMark()) ?? "0", System.Globalization.CultureInfo.InvariantCulture)));
                comments.Clear();
            }
            else if (block is LeafBlock)
            {
                comments.Clear();
            }
        }

        return found;
    }

    private static string? Mark(List<string> comments, Regex mark)
        => comments.Select(c => mark.Match(c)).FirstOrDefault(m => m.Success)?.Groups[1].Value.Trim();

    private IEnumerable<string> Commands() => Lines().Where(l => l.IsCommand).Select(l => l.Text);

    // a command continues on the next line behind a backslash
    private IEnumerable<(string Text, bool IsCommand)> Lines()
    {
        bool continues = false;
        foreach (string line in Text.Split('\n'))
        {
            bool isCommand = continues || line is ['$' or '#', ' ', ..];
            yield return (isCommand && !continues ? line[2..] : line, isCommand);
            continues = isCommand && line.EndsWith('\\');
        }
    }

    [GeneratedRegex(@"<!--\s*not run:(.*?)-->", RegexOptions.Singleline)]
    private static partial Regex NotRunMark();

    [GeneratedRegex(@"<!--\s*before:(.*?)-->", RegexOptions.Singleline)]
    private static partial Regex BeforeMark();

    [GeneratedRegex(@"<!--\s*exit code:(.*?)-->", RegexOptions.Singleline)]
    private static partial Regex ExitMark();
}
