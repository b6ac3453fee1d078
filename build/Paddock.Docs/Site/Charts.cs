using System.Globalization;
using System.Text;

namespace Paddock.Docs.Site;

/// <summary>Charts of the tables in <c>docs/benchmarks.md</c>: one for each table with a column <c>ratio</c>.</summary>
internal static class Charts
{
    private const string Ratio = "ratio";

    /// <summary>Writes a chart for each table with ratios, and returns the page with the charts behind their tables.</summary>
    /// <param name="markdown">The page.</param>
    /// <param name="folder">Folder of the page; the charts are in <c>charts</c> below it.</param>
    public static string AddTo(string markdown, string folder)
    {
        var page = new StringBuilder();
        List<string[]> table = [];
        string heading = "";
        int count = 0;
        foreach (string line in markdown.Split('\n'))
        {
            if (line.StartsWith('|'))
            {
                table.Add([.. line.Trim('|', ' ').Split('|').Select(c => c.Trim())]);
            }
            else
            {
                if (Bars(table) is { Count: > 1 } bars)
                {
                    string name = $"charts/ratio-{++count}.svg", title = $"{heading}: {Ratio}";
                    Directory.CreateDirectory(Path.Combine(folder, "charts"));
                    File.WriteAllText(Path.Combine(folder, name), BarChart.Draw(title, bars));
                    page.Append($"\n![{title}; the numbers are in the table above]({name})\n");
                }

                table.Clear();
                heading = line.StartsWith('#') ? line.TrimStart('#', ' ') : heading;
            }

            page.Append(line).Append('\n');
        }

        return page.ToString();
    }

    /// <summary>The last column of ratios, with the row's words and small numbers before the first measurement as labels.</summary>
    internal static List<(string Label, double Ratio)> Bars(List<string[]> table)
    {
        int column = table.Count < 3 ? -1 : Array.FindLastIndex(table[0], h => h == Ratio);
        return column < 1 ? [] : [.. from row in table.Skip(2)
                                     where row.Length > column
                                     let ratio = Number(row[column])
                                     where ratio > 0
                                     select (Label(table[0], row), ratio)];
    }

    private static string Label(string[] headings, string[] row)
        => string.Join(", ", row.Take(1).Concat(headings.Zip(row).Skip(1)
            .TakeWhile(c => c.First is "depth" or "connections" or "queues").Select(c => $"{c.First} {c.Second}")));

    private static double Number(string cell) => double.TryParse(cell, CultureInfo.InvariantCulture, out double value) ? value : 0;
}
