using System.Globalization;
using System.Text;

namespace Paddock.Images.Text;

/// <summary>JSON as QEMU's tools write it: <c>", "</c> and <c>": "</c> as separators, four spaces a level when it is pretty.</summary>
internal static class JsonText
{
    /// <summary>One line.</summary>
    public static string Compact(object? value) => Write(value, pretty: false);

    /// <summary>Several lines.</summary>
    public static string Pretty(object? value) => Write(value, pretty: true);

    private static string Write(object? value, bool pretty)
    {
        var text = new StringBuilder();
        Append(text, value, pretty, 0);
        return text.ToString();
    }

    private static void Append(StringBuilder text, object? value, bool pretty, int level)
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
                AppendString(text, s);
                break;
            case QDict dict:
                text.Append('{');
                AppendItems(text, dict.InOrder.Select(e => ((string?)e.Key, e.Value)), pretty, level + 1);
                text.Append('}');
                break;
            case List<object?> list:
                text.Append('[');
                AppendItems(text, list.Select(e => ((string?)null, e)), pretty, level + 1);
                text.Append(']');
                break;
            case double d:
                text.Append(d.ToString("G17", CultureInfo.InvariantCulture));
                break;
            default:
                text.Append(Convert.ToString(value, CultureInfo.InvariantCulture));
                break;
        }
    }

    private static void AppendItems(StringBuilder text, IEnumerable<(string? Key, object? Value)> items, bool pretty, int level)
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
                AppendString(text, key);
                text.Append(": ");
            }

            Append(text, value, pretty, level);
        }

        if (pretty)
        {
            text.Append('\n').Append(' ', 4 * (level - 1));
        }
    }

    private static void AppendString(StringBuilder text, string value)
    {
        text.Append('"');
        foreach (char c in value)
        {
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
