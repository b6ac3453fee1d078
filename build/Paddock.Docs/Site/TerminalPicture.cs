using System.Globalization;
using System.Net;
using System.Text;

namespace Paddock.Docs.Site;

/// <summary>What a terminal shows, as an SVG picture.</summary>
internal static class TerminalPicture
{
    private const double CellWidth = 8.4;
    private const double CellHeight = 18;
    private const double Margin = 12;

    /// <summary>Draws the final state of a terminal.</summary>
    /// <param name="title">Text for screen readers.</param>
    /// <param name="text">What was written to the terminal, with its escape sequences.</param>
    public static string Draw(string title, string text)
    {
        var rows = new TerminalText(text).Rows;
        double width = (2 * Margin) + (CellWidth * rows.Max(r => r.Count)), height = (2 * Margin) + (CellHeight * rows.Count);
        var svg = new StringBuilder();
        Add(svg, $"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:F0} {height:F0}" width="{width:F0}" """);
        Add(svg, $"""role="img" font-family="monospace" font-size="14"><title>{WebUtility.HtmlEncode(title)}</title>""");
        svg.Append("\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#1e2127\"/>\n");
        foreach (var (index, row) in rows.Index())
        {
            Row(svg, row, Margin + (CellHeight * index));
        }

        return svg.Append("</svg>\n").ToString();
    }

    private static void Row(StringBuilder svg, IReadOnlyList<TerminalCell> row, double top)
    {
        for (int first = 0; first < row.Count;)
        {
            // a run of letters in one colour, or of one block character, or of blanks
            int end = first + 1;
            while (end < row.Count && row[end].Colour == row[first].Colour
                && (IsBlock(row[first]) ? row[end] == row[first] : !IsBlock(row[end]) && IsBlank(row[end]) == IsBlank(row[first])))
            {
                end++;
            }

            if (IsBlock(row[first]))
            {
                Blocks(svg, row[first], first, end, top);
            }
            else if (!IsBlank(row[first]))
            {
                Letters(svg, string.Concat(row.Skip(first).Take(end - first).Select(c => c.Character)), row[first].Colour, first, top);
            }

            first = end;
        }
    }

    // U+2581 to U+2588 are eighths of the height, up to U+258F of the width; they are drawn, since fonts differ
    private static void Blocks(StringBuilder svg, TerminalCell cell, int first, int end, double top)
    {
        int code = cell.Character.Value;
        bool isFull = code > 0x2588;
        double height = isFull ? 16 : 16 * (code - 0x2580) / 8.0, width = isFull ? CellWidth * (0x2590 - code) / 8.0 : CellWidth;
        for (int column = first; column < end; column++)
        {
            Add(svg, $"""<rect x="{Left(column):F1}" y="{top + 17 - height:F1}" width="{width:F1}" height="{height:F1}" """);
            Add(svg, $"""fill="{cell.Colour}"/>{'\n'}""");
        }
    }

    private static void Letters(StringBuilder svg, string text, string colour, int column, double top)
    {
        double width = text.EnumerateRunes().Count() * CellWidth;
        Add(svg, $"""<text x="{Left(column):F1}" y="{top + 14:F1}" textLength="{width:F1}" fill="{colour}" """);
        Add(svg, $"""lengthAdjust="spacingAndGlyphs">{WebUtility.HtmlEncode(text)}</text>{'\n'}""");
    }

    private static double Left(int column) => Margin + (column * CellWidth);

    private static bool IsBlock(TerminalCell cell) => cell.Character.Value is >= 0x2581 and <= 0x258F;

    private static bool IsBlank(TerminalCell cell) => cell.Character.Value == ' ';

    private static void Add(StringBuilder svg, FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture));
}
