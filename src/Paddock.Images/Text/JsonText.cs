using System.Globalization;
using System.Text;
using Paddock.Block;

namespace Paddock.Images.Text;

/// <summary>JSON as QEMU's tools write it: <c>", "</c> and <c>": "</c> as separators, four spaces a level when it is pretty.</summary>
internal static class JsonText
{
    // QEMU's: no other character stays as it is, and numbers have all their digits
    private static readonly Func<Rune, bool> Ascii = static _ => false;

    /// <summary>One line, in ASCII as QEMU's.</summary>
    public static string Compact(object? value) => Write(value, pretty: false, Ascii);

    /// <summary>Several lines, in ASCII as QEMU's.</summary>
    public static string Pretty(object? value) => Write(value, pretty: true, Ascii);

    /// <summary>One line in which every printable character stays as it is.</summary>
    public static string Readable(object? value) => Write(value, pretty: false, EscapedText.IsPrintable);

    /// <summary>Several lines in which every printable character stays as it is.</summary>
    public static string ReadableLines(object? value) => Write(value, pretty: true, EscapedText.IsPrintable);

    private static string Write(object? value, bool pretty, Func<Rune, bool> keeps)
    {
        var text = new StringBuilder();
        Append(text, value, pretty, 0, keeps);
        return text.ToString();
    }

    private static void Append(StringBuilder text, object? value, bool pretty, int level, Func<Rune, bool> keeps)
    {
        switch (value)
        {
            case null:
                text.Append("null");
                break;
            case bool b:
                text.Append(b ? "true" : "false");
                break;
            case string s:
                AppendString(text, s, keeps);
                break;
            case QDict dict:
                text.Append('{');
                AppendItems(text, dict.InOrder.Select(e => ((string?)e.Key, e.Value)), pretty, level + 1, keeps);
                text.Append('}');
                break;
            case JsonFields fields:
                text.Append('{');
                AppendItems(text, fields.Select(e => ((string?)e.Key, e.Value)), pretty, level + 1, keeps);
                text.Append('}');
                break;
            case List<object?> list:
                text.Append('[');
                AppendItems(text, list.Select(e => ((string?)null, e)), pretty, level + 1, keeps);
                text.Append(']');
                break;
            case double d:
                text.Append(d.ToString(ReferenceEquals(keeps, Ascii) ? "G17" : "R", CultureInfo.InvariantCulture));
                break;
            default:
                text.Append(Convert.ToString(value, CultureInfo.InvariantCulture));
                break;
        }
    }

    private static void AppendItems(
        StringBuilder text, IEnumerable<(string? Key, object? Value)> items, bool pretty, int level, Func<Rune, bool> keeps)
    {
        bool first = true;
        foreach (var (key, value) in items)
        {
            if (!first)
            {
                text.Append(pretty ? "," : ", ");
            }

            first = false;
            if (pretty)
            {
                text.Append('\n').Append(' ', 4 * level);
            }

            if (key is not null)
            {
                AppendString(text, key, keeps);
                text.Append(": ");
            }

            Append(text, value, pretty, level, keeps);
        }

        if (pretty)
        {
            text.Append('\n').Append(' ', 4 * (level - 1));
        }
    }

    private static void AppendString(StringBuilder text, string value, Func<Rune, bool> keeps)
    {
        text.Append('"');
        for (int at = 0; at < value.Length; at++)
        {
            char c = value[at];
            if (c >= 0x7f && Rune.TryGetRuneAt(value, at, out var rune) && keeps(rune))
            {
                text.Append(value, at, rune.Utf16SequenceLength);
                at += rune.Utf16SequenceLength - 1;
                continue;
            }

            _ = c switch
            {
                '"' => text.Append("\\\""),
                '\\' => text.Append("\\\\"),
                '\b' => text.Append("\\b"),
                '\f' => text.Append("\\f"),
                '\n' => text.Append("\\n"),
                '\r' => text.Append("\\r"),
                '\t' => text.Append("\\t"),
                < ' ' or (>= (char)0x7f) => text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:X4}"),
                _ => text.Append(c),
            };
        }

        text.Append('"');
    }
}
