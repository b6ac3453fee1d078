using System.Text;

namespace Paddock.Images.Text;

/// <summary>Lists such as <c>a=b,c=d</c>: a doubled comma is a comma in a value; a bare name is "on", with "no" before it "off".</summary>
internal static class KeyValueOptions
{
    /// <summary>Parses a list; a key that comes again replaces the earlier one.</summary>
    public static List<KeyValuePair<string, string>> Parse(string text)
    {
        var found = new List<KeyValuePair<string, string>>();
        foreach (string part in Split(text))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            if (equals >= 0)
            {
                found.Add(KeyValuePair.Create(part[..equals], part[(equals + 1)..]));
            }
            else if (part.Length != 0)
            {
                bool off = part.StartsWith("no", StringComparison.Ordinal) && part.Length > 2;
                found.Add(off ? KeyValuePair.Create(part[2..], "off") : KeyValuePair.Create(part, "on"));
            }
        }

        return found;
    }

    /// <summary>Parses a list into a dictionary of strings.</summary>
    public static QDict ParseToDict(string text)
    {
        var dict = new QDict();
        foreach (var (key, value) in Parse(text))
        {
            dict[key] = value;
        }

        return dict;
    }

    /// <summary>Whether the list asks for help: <c>help</c> or <c>?</c> stands in it as an item.</summary>
    public static bool AsksForHelp(string text) => Split(text).Any(p => p is "help" or "?");

    /// <summary>A value with its commas doubled, as it would stand in a list.</summary>
    public static string Escape(string value) => value.Replace(",", ",,", StringComparison.Ordinal);

    private static List<string> Split(string text)
    {
        var parts = new List<string>();
        var part = new StringBuilder();
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] != ',')
            {
                part.Append(text[i]);
            }
            else if (i + 1 < text.Length && text[i + 1] == ',')
            {
                part.Append(',');
                i++;
            }
            else
            {
                parts.Add(part.ToString());
                part.Clear();
            }
        }

        parts.Add(part.ToString());
        return parts;
    }
}
