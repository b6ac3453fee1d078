namespace Paddock.Docs.Reference;

/// <summary>Help of a compatible tool, in parts.</summary>
/// <param name="Usage">Lines of the synopsis.</param>
/// <param name="Text">Markdown of the description.</param>
/// <param name="Options">Markdown of the options.</param>
/// <param name="Examples">Markdown of the examples; empty if there are none.</param>
internal sealed record ToolHelp(IReadOnlyList<string> Usage, string Text, string Options, string Examples)
{
    private static readonly string[] Headings = ["Options:", "Example:", "Examples:", "Commands:"];

    /// <summary>Sorts the lines of a help text.</summary>
    public static ToolHelp Parse(string[] lines)
    {
        List<string> usage = [], text = [], options = [], examples = [];
        var current = text;
        foreach (string line in lines)
        {
            if (Headings.Contains(line.Trim()))
            {
                current = line.StartsWith('O') ? options : line.StartsWith('E') ? examples : [];
            }
            else if (line.StartsWith("Usage: ", StringComparison.Ordinal) || line.StartsWith("  or: ", StringComparison.Ordinal))
            {
                usage.Add(line[7..].Trim());
            }
            else if (line.StartsWith("Example: ", StringComparison.Ordinal))
            {
                examples.Add(line["Example: ".Length..]);
            }
            else
            {
                // some list their options without a heading
                bool isIndented = line.StartsWith("  ", StringComparison.Ordinal);
                bool isOption = isIndented && (line.TrimStart().StartsWith('-') || options.Count > 0);
                (isOption && current == text ? options : current).Add(line);
            }
        }

        string[] commands = [.. examples.Select(e => e.Trim()).Where(e => e.Length > 0)];
        string console = commands.Length > 0 ? MarkdownText.Console(commands) : "";
        return new(usage, HelpText.ToMarkdown(text), HelpText.ToMarkdown(options), console);
    }
}
