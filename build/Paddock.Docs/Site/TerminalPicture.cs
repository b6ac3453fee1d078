using System.Globalization;
using System.Net;
using System.Text;
using System.Text.RegularExpressions;

namespace Paddock.Docs.Site;

/// <summary>Text with colours of a terminal as an SVG picture.</summary>
internal static partial class TerminalPicture
{
    private const double CellWidth = 8.4;
    private const double CellHeight = 18;
    private const double Margin = 12;
    private const string Foreground = "#d4d4d4";

    // colours 30 to 37, then their bright ones, 90 to 97
    private static readonly string[] Palette =
    [
        "#666666", "#e06c75", "#8cc265", "#d19a66", "#4aa5f0", "#c162de", "#42b3c2", "#d4d4d4",
        "#7f848e", "#ff616e", "#a5e075", "#f0a45d", "#6cb6ff", "#de73ff", "#4cd1e0", "#ffffff",
    ];

    /// <summary>Draws lines of text.</summary>
    /// <param name="title">Text for screen readers.</param>
    /// <param name="text">Lines with the escape sequences of colours; others are left out.</param>
    public static string Draw(string title, string text)
    {
        string[] lines = text.TrimEnd('\n').Split('\n');
        double width = (2 * Margin) + (CellWidth * lines.Max(l => Escape().Replace(l, "").EnumerateRunes().Count()));
        double height = (2 * Margin) + (CellHeight * lines.Length);
        var svg = new StringBuilder();
        Add(svg, $"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:F0} {height:F0}" width="{width:F0}" """);
        Add(svg, $"""role="img" font-family="monospace" font-size="14"><title>{WebUtility.HtmlEncode(title)}</title>""");
        svg.Append("\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#1e2127\"/>\n");
        string colour = Foreground;
        foreach (var (row, line) in lines.Index())
        {
            Line(svg, line, Margin + (CellHeight * row), ref colour);
        }

        return svg.Append("</svg>\n").ToString();
    }

    private static void Line(StringBuilder svg, string line, double top, ref string colour)
    {
        double left = Margin;
        int start = 0;
        foreach (var escape in Escape().Matches(line).Append(null))
        {
            left = Run(svg, line[start..(escape?.Index ?? line.Length)], left, top, colour);
            if (escape is { } found)
            {
                start = found.Index + found.Length;
                colour = found.Groups["colours"].Success ? Colour(found.Groups["colours"].Value, colour) : colour;
            }
        }
    }

    // block characters are drawn: fonts differ in how high they are
    private static double Run(StringBuilder svg, string text, double left, double top, string colour)
    {
        foreach (Match part in Part().Matches(text))
        {
            int cells = part.Value.EnumerateRunes().Count();
            double width = cells * CellWidth;
            if (part.Value[0] is >= '\u2581' and <= '\u2589')
            {
                for (int i = 0; i < cells; i++)
                {
                    char block = part.Value[i];
                    double height = block == '\u2589' ? 16 : 16 * (block - '\u2580') / 8.0;
                    Add(svg, $"""<rect x="{left + (i * CellWidth):F1}" y="{top + 17 - height:F1}" """);
                    double cell = block == '\u2589' ? 7.2 : CellWidth;
                    Add(svg, $"""width="{cell:F1}" height="{height:F1}" fill="{colour}"/>{'\n'}""");
                }
            }
            else if (!string.IsNullOrWhiteSpace(part.Value))
            {
                Add(svg, $"""<text x="{left:F1}" y="{top + 14:F1}" textLength="{width:F1}" fill="{colour}" """);
                Add(svg, $"""xml:space="preserve" lengthAdjust="spacingAndGlyphs">{WebUtility.HtmlEncode(part.Value)}</text>{'\n'}""");
            }

            left += width;
        }

        return left;
    }

    private static void Add(StringBuilder svg, FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture));

    private static string Colour(string codes, string current)
    {
        int[] numbers = [.. codes.Split(';').Select(c => c.Length == 0 ? 0 : int.Parse(c, CultureInfo.InvariantCulture))];
        if (numbers is [38, 5, var index])
        {
            return Indexed(index);
        }

        foreach (int number in numbers)
        {
            current = number switch
            {
                0 or 39 => Foreground,
                >= 30 and <= 37 => Palette[number - 30],
                >= 90 and <= 97 => Palette[number - 90 + 8],
                _ => current,
            };
        }

        return current;
    }

    // the cube of 6 x 6 x 6 colours and the greys of a terminal with 256 colours
    private static string Indexed(int index)
    {
        if (index < 16)
        {
            return Palette[index];
        }

        int grey = 8 + ((index - 232) * 10), cube = index - 16;
        return index >= 232 ? $"#{grey:x2}{grey:x2}{grey:x2}" : $"#{Level(cube / 36):x2}{Level(cube / 6 % 6):x2}{Level(cube % 6):x2}";

        static int Level(int step) => step == 0 ? 0 : 55 + (step * 40);
    }

    [GeneratedRegex("\u001b\\[(?:(?<colours>[0-9;]*)m|[0-9;?]*[A-Za-ln-z])")]
    private static partial Regex Escape();

    [GeneratedRegex("[\u2581-\u2589]+| +|[^\u2581-\u2589 ]+(?: [^\u2581-\u2589 ]+)*")]
    private static partial Regex Part();
}
