using System.Globalization;
using System.Text;
using Paddock.Block;
using Paddock.Images.Text;

namespace Paddock.Cli.Native;

/// <summary>
/// Draws the zones of a disk: a cell for each zone, or for several where there are more than fit. On a terminal the colour is the
/// condition and the block's height how far the zone is written; elsewhere a letter is the condition.
/// </summary>
public static class ZoneMap
{
    private const int MaxRows = 16;
    private const string Blocks = "▁▂▃▄▅▆▇█";

    /// <summary>Writes the map with its heading, legend and resources in use.</summary>
    public static async ValueTask DrawAsync(
        IBlockDevice device, string title, NativeConsole console, CancellationToken cancellationToken = default)
    {
        var zoned = device.Zones!.Limits;
        int label = Math.Max(4, (zoned.ZoneCount - 1).ToString(CultureInfo.InvariantCulture).Length);
        int columns = Columns(console.Width - label - 3);
        int perCell = (int)(((long)zoned.ZoneCount + (columns * MaxRows) - 1) / (columns * MaxRows));
        var survey = await ZoneSurvey.TakeAsync(device, perCell, cancellationToken);

        console.Out.WriteLine(Heading(title, device.Length, zoned));
        if (perCell > 1)
        {
            console.Out.WriteLine($"each cell shows the most important state of {perCell} zones");
        }

        console.Out.WriteLine();
        for (int at = 0; at < survey.Cells.Count; at += columns)
        {
            console.Out.Write(((long)at * perCell).ToString(CultureInfo.InvariantCulture).PadLeft(label + 1));
            console.Out.Write("  ");
            console.Out.WriteLine(Row(survey.Cells, at, Math.Min(columns, survey.Cells.Count - at), console));
        }

        console.Out.WriteLine();
        WriteLegend(survey, console);
        console.Out.WriteLine($"open {Of(survey.Open, zoned.MaxOpenZones)}, active {Of(survey.Active, zoned.MaxActiveZones)}");
    }

    private static string Heading(string title, long length, ZonedLimits zoned)
    {
        string capacity = zoned.ZoneCapacity == zoned.ZoneSize ? "" : $" (capacity {SizeText.Human(zoned.ZoneCapacity)})";
        return $"{title}: {SizeText.Human(length)}, {zoned.ZoneCount} zones of {SizeText.Human(zoned.ZoneSize)}{capacity}";
    }

    // a multiple of 8 lets the eye count; 64 is as many as an 80-column terminal takes
    private static int Columns(int room) => room >= 16 ? Math.Min(room & ~7, 128) : Math.Max(room, 1);

    private static string Row(List<ZoneCell> cells, int first, int count, NativeConsole console)
    {
        var text = new StringBuilder();
        string colour = "";
        for (int i = first; i < first + count; i++)
        {
            if (console.Color && ZoneNames.Colour(cells[i].Condition) is var next && next != colour)
            {
                text.Append("\u001b[0;").Append(next).Append('m');
                colour = next;
            }

            text.Append(Glyph(cells[i], console));
        }

        return text.Append(console.Color ? "\u001b[0m" : "").ToString();
    }

    // without colour a block's height alone would not say the condition
    private static char Glyph(ZoneCell cell, NativeConsole console)
        => !console.Color || !console.Unicode
            || cell.Condition is ZoneCondition.Empty or ZoneCondition.NotWritePointer or ZoneCondition.Offline
            ? ZoneNames.Letter(cell.Condition)
            : Blocks[cell.Capacity == 0 ? 0 : (int)Math.Clamp((double)cell.Written * 8 / cell.Capacity, 0, 7)];

    private static void WriteLegend(ZoneSurvey survey, NativeConsole console)
    {
        var line = new StringBuilder();
        int width = 0;
        foreach (var condition in ZoneNames.All.Where(c => survey[c] > 0))
        {
            string entry = $"{ZoneNames.Name(condition)} {survey[condition]}";
            if (width > 0 && width + entry.Length + 4 > console.Width)
            {
                console.Out.WriteLine(line.ToString().TrimEnd());
                line.Clear();
                width = 0;
            }

            var sample = new ZoneCell(condition, 1, 1);
            line.Append(console.Color ? $"\u001b[{ZoneNames.Colour(condition)}m{Glyph(sample, console)}\u001b[0m" : Glyph(sample, console))
                .Append(' ').Append(entry).Append("   ");
            width += entry.Length + 5;
        }

        console.Out.WriteLine(line.ToString().TrimEnd());
    }

    private static string Of(int used, uint limit) => limit == 0 ? $"{used} (no limit)" : $"{used} of {limit}";
}
