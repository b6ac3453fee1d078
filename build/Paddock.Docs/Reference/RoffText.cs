using System.Globalization;
using System.Text;
using Markdig.Syntax;
using Markdig.Syntax.Inlines;

namespace Paddock.Docs.Reference;

/// <summary>Text in roff: characters that roff interprets are escaped, code is bold, emphasis is italic.</summary>
internal static class RoffText
{
    /// <summary>Inline Markdown as lines of roff.</summary>
    public static string Of(ContainerInline inline)
    {
        var text = new StringBuilder();
        Append(inline, text);
        return Wrap(text.ToString());
    }

    /// <summary>Breaks text at blanks into lines of at most 78 characters where that is possible.</summary>
    public static string Wrap(string text)
    {
        const int Width = 78;
        List<string> lines = [];
        foreach (string word in text.Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries).Select(Breakable))
        {
            if (lines.Count > 0 && lines[^1].Length + 1 + word.Length <= Width)
            {
                lines[^1] += " " + word;
            }
            else
            {
                lines.Add(word);
            }
        }

        return string.Join('\n', lines.Select(Guard));
    }

    /// <summary>Inline Markdown without fonts, for headings.</summary>
    public static string Plain(ContainerInline inline)
        => string.Concat(inline.Descendants<Inline>().Select(i => i switch
        {
            LiteralInline literal => Escape(literal.Content.ToString()),
            CodeInline code => Escape(code.Content),
            _ => "",
        }));

    /// <summary>Text whose characters all appear as they are.</summary>
    public static string Escape(string text)
    {
        var result = new StringBuilder();
        foreach (var rune in text.EnumerateRunes())
        {
            result.Append(rune.Value switch
            {
                '\\' => "\\e",
                '-' => "\\-",
                '\'' => "\\(aq",
                '`' => "\\(ga",
                '^' => "\\(ha",
                '~' => "\\(ti",
                < 0x80 => rune.ToString(),
                _ => string.Create(CultureInfo.InvariantCulture, $"\\[u{rune.Value:X4}]"),
            });
        }

        return result.ToString();
    }

    /// <summary>Keeps a line that begins with a dot or a quote from being a request.</summary>
    public static string Guard(string line) => line is ['.' or '\'', ..] ? "\\&" + line : line;

    // a list of options is one long word, which roff may break after a comma or a bar
    private static string Breakable(string word)
        => word.Length <= 30 ? word
            : word.Replace(",", ",\\:", StringComparison.Ordinal).Replace("|", "|\\:", StringComparison.Ordinal);

    private static void Append(ContainerInline container, StringBuilder text)
    {
        foreach (var inline in container)
        {
            switch (inline)
            {
                case LiteralInline literal:
                    text.Append(Escape(literal.Content.ToString()));
                    break;
                case CodeInline code:
                    text.Append("\\fB").Append(Escape(code.Content)).Append("\\fR");
                    break;
                case LineBreakInline:
                    text.Append('\n');
                    break;
                case LinkInline { IsImage: false } link:
                    text.Append("\\fB");
                    Append(link, text);
                    text.Append("\\fR");
                    break;
                case EmphasisInline emphasis:
                    text.Append("\\fI");
                    Append(emphasis, text);
                    text.Append("\\fR");
                    break;
                default:
                    throw new InvalidDataException($"{inline.GetType().Name}: man pages have no such text");
            }
        }
    }
}
