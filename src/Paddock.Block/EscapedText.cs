using System.Buffers;
using System.Globalization;
using System.Text;

namespace Paddock.Block;

/// <summary>
/// Makes text that an image, a peer or a file name supplies safe to print on a terminal or in a text log: control characters, line breaks,
/// escape sequences and characters that reorder or hide text are written as escapes; everything else stays as it is.
/// </summary>
internal static class EscapedText
{
    // bytes of a file name that are not UTF-8, as lone surrogates (U+DC80 to U+DCFF, as Python's surrogateescape has them)
    private const int FirstByte = 0xdc80, LastByte = 0xdcff;

    private static readonly SearchValues<char> Plain = SearchValues.Create(
        " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~");

    // these would make the end of a value ambiguous
    private static readonly SearchValues<char> NeedsQuotes = SearchValues.Create(" \"=\\");

    /// <summary>The text with escapes such as <c>\n</c>, <c>\x1b</c> or <c>\u202e</c> in place of unprintable characters.</summary>
    public static string Escape(string text)
        => text.AsSpan().IndexOfAnyExcept(Plain) < 0 ? text : Build(text, quoted: false, keepLines: false);

    /// <summary>As <see cref="Escape"/>, for a message of several lines: line feeds stay.</summary>
    public static string EscapeLines(string text)
        => text.AsSpan().IndexOfAnyExcept(Plain) < 0 ? text : Build(text, quoted: false, keepLines: true);

    /// <summary>
    /// A value of a text log: as it is where it is a plain word, otherwise escaped and between double quotes, in which quotes and
    /// backslashes are escaped too, so that it can be read back unambiguously.
    /// </summary>
    public static string Quote(string value)
        => value.Length > 0 && value.AsSpan().IndexOfAnyExcept(Plain) < 0 && value.AsSpan().IndexOfAny(NeedsQuotes) < 0
            ? value : Build(value, quoted: true, keepLines: false);

    /// <summary>
    /// Whether a character is printed as it is: no control character and no format character, which reorders text (bidi overrides) or
    /// hides in it (zero width, tags).
    /// </summary>
    public static bool IsPrintable(Rune rune) => Rune.GetUnicodeCategory(rune) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.OtherNotAssigned
        or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);

    private static string Build(string text, bool quoted, bool keepLines)
    {
        var result = new StringBuilder(text.Length + 16);
        if (quoted)
        {
            result.Append('"');
        }

        for (int at = 0; at < text.Length;)
        {
            if (Rune.TryGetRuneAt(text, at, out var rune))
            {
                Append(result, rune, quoted, keepLines);
                at += rune.Utf16SequenceLength;
            }
            else
            {
                int lone = text[at++];
                _ = lone is >= FirstByte and <= LastByte
                    ? result.Append(CultureInfo.InvariantCulture, $"\\x{lone & 0xff:x2}")
                    : result.Append(CultureInfo.InvariantCulture, $"\\u{lone:x4}");
            }
        }

        return (quoted ? result.Append('"') : result).ToString();
    }

    private static void Append(StringBuilder result, Rune rune, bool quoted, bool keepLines)
    {
        int value = rune.Value;
        _ = value switch
        {
            '\n' when keepLines => result.Append('\n'),
            '\n' => result.Append("\\n"),
            '\r' => result.Append("\\r"),
            '\t' => result.Append("\\t"),
            '"' when quoted => result.Append("\\\""),
            '\\' when quoted => result.Append("\\\\"),
            _ when IsPrintable(rune) => result.Append(rune.ToString()),
            < 0x100 => result.Append(CultureInfo.InvariantCulture, $"\\x{value:x2}"),
            < 0x10000 => result.Append(CultureInfo.InvariantCulture, $"\\u{value:x4}"),
            _ => result.Append(CultureInfo.InvariantCulture, $"\\U{value:x8}"),
        };
    }
}
