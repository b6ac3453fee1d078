using System.Globalization;
using System.Net;
using System.Text;

namespace Paddock.Docs.Site;

/// <summary>A horizontal bar chart of ratios as SVG, readable on light and dark pages, with a line at 1.</summary>
internal static class BarChart
{
    private const int LabelWidth = 330;
    private const int PlotWidth = 420;
    private const int RowHeight = 20;
    private const int Top = 30;

    /// <summary>Draws a chart.</summary>
    /// <param name="title">What the bars are; also the text for screen readers.</param>
    /// <param name="bars">A label and a ratio above 0 for each bar.</param>
    public static string Draw(string title, IReadOnlyList<(string Label, double Ratio)> bars)
    {
        double most = Math.Max(1.5, bars.Max(b => b.Ratio));
        int height = Top + (bars.Count * RowHeight) + 24, width = LabelWidth + PlotWidth + 60;
        var svg = new StringBuilder();
        Add($"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">""");
        Add($"<title>{WebUtility.HtmlEncode(title)}</title>");
        svg.Append("""
            <style>
            text { font: 12px system-ui, sans-serif; fill: #222 } .ahead { fill: #2a78b8 } .behind { fill: #c8641e } .one { stroke: #222 }
            @media (prefers-color-scheme: dark) { text { fill: #ddd } .one { stroke: #ddd } }
            </style>

            """);
        Add($"""<text x="0" y="16">{WebUtility.HtmlEncode(title)}</text>""");
        foreach (var (row, (label, ratio)) in bars.Index())
        {
            int y = Top + (row * RowHeight);
            double length = X(ratio, most) - LabelWidth;
            Add($"""<text x="{LabelWidth - 8}" y="{y + 13}" text-anchor="end">{WebUtility.HtmlEncode(label)}</text>""");
            string kind = ratio >= 1 ? "ahead" : "behind";
            Add($"""<rect class="{kind}" x="{LabelWidth}" y="{y + 3}" width="{length:F1}" height="{RowHeight - 6}"/>""");
            Add($"""<text x="{LabelWidth + length + 4:F1}" y="{y + 13}">{ratio:0.00}</text>""");
        }

        double one = X(1, most);
        Add($"""<line class="one" x1="{one:F1}" y1="{Top}" x2="{one:F1}" y2="{height - 20}"/>""");
        Add($"""<text x="{one:F1}" y="{height - 6}" text-anchor="middle">1</text>""");
        svg.Append("</svg>\n");
        return svg.ToString();

        void Add(FormattableString line) => svg.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
    }

    private static double X(double ratio, double most) => LabelWidth + (ratio / most * PlotWidth);
}
