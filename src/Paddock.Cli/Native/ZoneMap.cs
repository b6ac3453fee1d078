using System.Globalization;
using System.Text;
using Paddock.Block;
using Paddock.Images.Text;

namespace Paddock.Cli.Native;

/// <summary>Draws the zones of a disk: a cell for each zone, or for several where there are more than fit.</summary>
/// <param name="console">Receives the map.</param>
/// <param name="colors">Its colours.</param>
public sealed class ZoneMap(NativeConsole console, ColorDepth colors)
{
    private const int MaxRows = 16, MaxColumns = 128, Narrow = 40;

    private readonly ZoneGlyphs _glyphs = new(colors, console.Unicode);

    /// <summary>Writes the map with its heading, legend, space and resources in use.</summary>
    /// <param name="device">The disk.</param>
    /// <param name="title">Its name.</param>
    /// <param name="filter">The zones to show.</param>
    /// <param name="cancellationToken">Stops the walk over the zones.</param>
    public async ValueTask DrawAsync(
        IBlockDevice device, string title, ZoneFilter filter, CancellationToken cancellationToken = default)
    {
        var zoned = device.Zones!.Limits;
        var shown = filter.On(zoned.ZoneCount);
        int label = (zoned.ZoneCount - 1).ToString(CultureInfo.InvariantCulture).Length;
        label = console.Width < Narrow ? label : Math.Max(4, label);
        int room = console.Width - label - 2, columns = Columns(room);
        int perCell = ZonesPerCell(shown.Last!.Value - shown.First + 1L, columns * MaxRows);
        var survey = await ZoneSurvey.TakeAsync(device, shown, perCell, cancellationToken);

        WriteLines(Heading(title, device.Length, zoned), ", ");
        if (perCell > 1)
        {
            console.Out.WriteLine($"each cell shows the most important state of {perCell} zones");
        }

        console.Out.WriteLine();
        WriteRows([.. survey.Cells], shown.First, perCell, columns, label, grouped: ZoneGlyphs.Columns(columns) <= room);
        console.Out.WriteLine();
        WriteLegend(survey);
        WriteLines(Space(survey, ZoneSurvey.SpaceOnDisk(device)), ", ");
        List<string> resources = [$"open {Of(survey.Open, zoned.MaxOpenZones)}", $"active {Of(survey.Active, zoned.MaxActiveZones)}"];
        if (zoned.RandomArea.Size > 0)
        {
            resources.Add($"random write areas {Of(await ZoneSurvey.AreasAsync(device, cancellationToken), zoned.RandomArea.MaxZones)}");
        }

        WriteLines(resources, ", ");
    }

    /// <summary>
    /// Cells of a row: a power of two, so that the eye can count; 64 is as much as a terminal of 80 columns holds.
    /// </summary>
    internal static int Columns(int room)
    {
        int columns = MaxColumns;
        while (columns > 1 && columns > room)
        {
            columns /= 2;
        }

        return columns;
    }

    /// <summary>Zones of a cell, a power of two, so that rows start at round numbers.</summary>
    internal static int ZonesPerCell(long zones, int cells)
    {
        int perCell = 1;
        while (perCell * (long)cells < zones)
        {
            perCell *= 2;
        }

        return perCell;
    }

    private static List<string> Heading(string title, long length, ZonedLimits zoned)
    {
        string capacity = zoned.ZoneCapacity == zoned.ZoneSize ? "" : $" (capacity {SizeText.Human(zoned.ZoneCapacity)})";
        return [$"{title}: {SizeText.Human(length)}", $"{zoned.ZoneCount} zones of {SizeText.Human(zoned.ZoneSize)}{capacity}"];
    }

    private static List<string> Space(ZoneSurvey survey, long? onDisk)
    {
        double percent = survey.Capacity == 0 ? 0 : 100.0 * survey.Written / survey.Capacity;
        List<string> parts =
        [
            $"written {SizeText.Human(survey.Written)} of {SizeText.Human(survey.Capacity)} "
                + $"({percent.ToString("0.#", CultureInfo.InvariantCulture)}%)",
        ];
        if (onDisk is { } bytes)
        {
            parts.Add($"{SizeText.Human(bytes)} on disk");
        }

        return parts;
    }

    private void WriteRows(ReadOnlySpan<ZoneCell> cells, int first, int perCell, int columns, int label, bool grouped)
    {
        var row = new StringBuilder();
        for (int at = 0; at < cells.Length; at += columns)
        {
            row.Clear().Append((first + ((long)at * perCell)).ToString(CultureInfo.InvariantCulture).PadLeft(label)).Append("  ");
            _glyphs.AppendRow(row, cells[at..Math.Min(at + columns, cells.Length)], grouped);
            console.Out.WriteLine(row.ToString().TrimEnd(' '));
        }
    }

    private void WriteLegend(ZoneSurvey survey)
    {
        var entries = new List<string>();
        foreach (var condition in ZoneNames.All.Where(c => survey[c] > 0))
        {
            entries.Add($"{ZoneNames.Name(condition)} {survey[condition]}");
        }

        var samples = ZoneNames.All.Where(c => survey[c] > 0).Select(c => _glyphs.Sample(c) + " ").ToList();
        WriteLines(entries, "   ", samples, 2);
    }

    /// <summary>Writes parts on one line, or on several where they do not fit.</summary>
    private void WriteLines(List<string> parts, string between, List<string>? before = null, int beforeColumns = 0)
    {
        var line = new StringBuilder();
        int width = 0;
        for (int i = 0; i < parts.Count; i++)
        {
            int columns = beforeColumns + parts[i].Length;
            if (width > 0 && width + between.Length + columns > console.Width)
            {
                console.Out.WriteLine(line.Append(between.TrimEnd()).ToString());
                line.Clear();
                width = 0;
            }

            line.Append(width > 0 ? between : "").Append(before?[i]).Append(parts[i]);
            width += (width > 0 ? between.Length : 0) + columns;
        }

        console.Out.WriteLine(line.ToString());
    }

    private static string Of(int used, uint limit) => limit == 0 ? $"{used} (no limit)" : $"{used} of {limit}";
}
