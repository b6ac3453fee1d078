using System.Text;
using System.Text.RegularExpressions;

namespace Paddock.Docs.Reference;

/// <summary>Markdown made from plain text.</summary>
internal static partial class MarkdownText
{
    /// <summary>Plain text as Markdown that shows the same characters; options and names in capitals become code.</summary>
    public static string Escape(string text)
    {
        var result = new StringBuilder();
        int end = 0;
        foreach (Match option in Option().Matches(text))
        {
            result.Append(EscapeCharacters(text[end..option.Index])).Append(Code(option.Value));
            end = option.Index + option.Length;
        }

        return result.Append(EscapeCharacters(text[end..])).ToString();
    }

    /// <summary>Text as inline code.</summary>
    public static string Code(string text) => text.Contains('`', StringComparison.Ordinal) ? $"`` {text} ``" : $"`{text}`";

    /// <summary>An entry of a definition list.</summary>
    /// <param name="term">Markdown of the term.</param>
    /// <param name="text">Markdown of the definition, which is not empty.</param>
    public static string Definition(string term, string text)
        => $"{term}\n:   {text.Replace("\n", "\n    ", StringComparison.Ordinal)}";

    /// <summary>A block of commands.</summary>
    public static string Console(IEnumerable<string> commands) => $"```console\n{string.Join('\n', commands.Select(c => "$ " + c))}\n```";

    /// <summary>A block of text that is shown as it is.</summary>
    public static string Preformatted(IEnumerable<string> lines) => $"```text\n{string.Join('\n', lines)}\n```";

    private static string EscapeCharacters(string text) => Special().Replace(text, @"\$0");

    [GeneratedRegex(@"(?<![\w-])--?[a-z][\w-]*")]
    private static partial Regex Option();

    [GeneratedRegex(@"[\\`*_{}\[\]<>#|~&]")]
    private static partial Regex Special();
}
