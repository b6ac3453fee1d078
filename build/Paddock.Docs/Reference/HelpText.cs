using System.Text.RegularExpressions;

namespace Paddock.Docs.Reference;

/// <summary>
/// Help text as Markdown: lines that begin at the margin are paragraphs, indented lines <c>NAME  MEANING</c> are definition lists, and any
/// other indented lines are shown as they are.
/// </summary>
internal static partial class HelpText
{
    /// <summary>Converts help text to Markdown.</summary>
    public static string ToMarkdown(IEnumerable<string> lines) => string.Join("\n\n", Blocks(lines).Select(Block));

    /// <summary>Splits help text into runs of lines that are either at the margin or indented.</summary>
    public static IEnumerable<string[]> Blocks(IEnumerable<string> lines)
    {
        List<string> block = [];
        foreach (string line in lines)
        {
            if (block.Count > 0 && (line.Length == 0 || IsIndented(line) != IsIndented(block[0])))
            {
                yield return [.. block];
                block.Clear();
            }

            if (line.Length > 0)
            {
                block.Add(line);
            }
        }

        if (block.Count > 0)
        {
            yield return [.. block];
        }
    }

    private static bool IsIndented(string line) => line.StartsWith("  ", StringComparison.Ordinal);

    private static string Block(string[] lines) => !IsIndented(lines[0]) ? MarkdownText.Escape(string.Join(' ', lines))
        : Entries(lines) is { } entries
            ? string.Join("\n\n", entries.Select(e => MarkdownText.Definition(MarkdownText.Code(e.Term), e.Text)))
        : MarkdownText.Preformatted(lines);

    // null unless each line is an entry or continues one
    private static List<(string Term, string Text)>? Entries(string[] lines)
    {
        List<(string Term, string Text)> entries = [];
        int indent = lines.Min(Indent), column = TextColumn(lines);
        foreach (string line in lines)
        {
            if (entries.Count > 0 && Indent(line) > indent + 6)
            {
                var (term, text) = entries[^1];
                entries[^1] = (term, (text + " " + MarkdownText.Escape(line.Trim())).Trim());
                continue;
            }

            bool hasText = column > 0 && line.Length > column && line[column - 1] == ' ' && line[column] != ' ';
            entries.Add(hasText
                ? (Blanks().Replace(line[..column].Trim(), " "), MarkdownText.Escape(line[column..]))
                : (line.Trim(), ""));
        }

        return entries.Any(e => e.Text.Length == 0) ? null : entries;
    }

    // where most lines have their text, after at least two blanks
    private static int TextColumn(string[] lines)
        => lines.Select(l => LastGap().Match(l)).Where(m => m.Success).Select(m => m.Index + m.Length).CountBy(c => c)
            .OrderByDescending(c => c.Value).FirstOrDefault().Key;

    private static int Indent(string line) => line.Length - line.TrimStart().Length;

    [GeneratedRegex(" +")]
    private static partial Regex Blanks();

    [GeneratedRegex(@"(?<=\S)  +(?=\S(?:(?!  ).)*$)")]
    private static partial Regex LastGap();
}
