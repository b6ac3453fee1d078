using System.Globalization;
using Paddock.Images.Text;

namespace Paddock.Cli.Native.Watch;

/// <summary>The map: all zones of a range, with the cursor and what is under it.</summary>
internal static class MapPanel
{
    private const int Narrow = 40, Below = 2;

    // milliseconds for which a changed zone is marked
    private const long Hot = 1000;

    /// <summary>Draws the map, its legend and the line of the cursor.</summary>
    /// <returns>The row after it.</returns>
    public static int Draw(Frame frame, int y, int height, WatchModel model, WatchState state, ZoneGlyphs glyphs)
    {
        var zones = model.Zones;
        int first = state.First, last = state.LastOf(zones.Count);
        int label = Math.Max(frame.Width < Narrow ? 1 : 4, last.ToString(CultureInfo.InvariantCulture).Length);
        int room = frame.Width - label - 2, columns = ZoneMap.Columns(room);
        int rows = Math.Max(1, height - (height > 4 ? Below : 0));
        int perCell = ZoneMap.ZonesPerCell(last - first + 1L, columns * rows);
        rows = Math.Min(rows, (int)(((last - first) / ((long)perCell * columns)) + 1));
        state.Layout = new MapLayout(columns, rows, perCell);
        bool grouped = ZoneGlyphs.Columns(columns) <= room;
        for (int row = 0; row < rows; row++)
        {
            int start = first + (row * columns * perCell);
            frame.TextBefore(label, y + row, start.ToString(CultureInfo.InvariantCulture), Style.Faint);
            for (int column = 0; column < columns; column++)
            {
                int zone = start + (column * perCell);
                if (zone > last)
                {
                    break;
                }

                int x = label + 2 + column + (grouped ? column / ZoneGlyphs.Group : 0);
                var (cell, isHot) = CellOf(model, state, zone, Math.Min(zone + perCell - 1, last));
                var style = cell.Zones == 0 ? Style.Plain
                    : new Style(cell.Condition, isHot ? Weight.Bold | Weight.Underlined : Weight.None);
                frame.Put(x, y + row, glyphs.Of(cell), style);
                if (state.Cursor >= zone && state.Cursor < (long)zone + perCell)
                {
                    frame.Mark(x, y + row);
                }
            }
        }

        if (height > 4)
        {
            Legend(frame, y + rows, zones, glyphs);
            frame.Text(0, y + rows + 1, UnderCursor(model, state, perCell, last), Style.Bold);
            rows += Below;
        }

        return y + rows;
    }

    private static (ZoneCell Cell, bool IsHot) CellOf(WatchModel model, WatchState state, int first, int last)
    {
        var filter = ZoneFilter.All with { States = state.States };
        var cell = default(ZoneCell);
        bool isHot = false;
        for (int zone = first; zone <= last; zone++)
        {
            if (filter.Includes(model.Zones.ConditionOf(zone)))
            {
                cell = cell.With(model.Zones.CellOf(zone));
                isHot |= model.Zones.ChangedAt(zone) > model.Now - Hot;
            }
        }

        return (cell, isHot);
    }

    private static void Legend(Frame frame, int y, ZoneStore zones, ZoneGlyphs glyphs)
    {
        int x = 0;
        foreach (var condition in ZoneNames.All.Where(c => zones[c] > 0))
        {
            var sample = new ZoneCell(1, condition, 1, ZoneNames.IsActive(condition) ? 2 : 1);
            frame.Put(x, y, glyphs.Of(sample), Style.Of(condition));
            string count = zones[condition].ToString(CultureInfo.InvariantCulture);
            x = frame.Text(x + 2, y, $"{ZoneNames.Name(condition)} {count}") + 3;
        }
    }

    private static string UnderCursor(WatchModel model, WatchState state, int perCell, int last)
    {
        var zones = model.Zones;
        int first = state.First + ((state.Cursor - state.First) / perCell * perCell);
        if (perCell == 1)
        {
            var cell = zones.CellOf(first);
            string written = cell.Capacity == 0 ? "" : $", {Human.Of(cell.Written, cell.Capacity)}";
            return $"zone {first}: {ZoneNames.Name(cell.Condition)}{written}";
        }

        int end = Math.Min(first + perCell - 1, last);
        var all = default(ZoneCell);
        int active = 0;
        for (int zone = first; zone <= end; zone++)
        {
            all = all.With(zones.CellOf(zone));
            active += ZoneNames.IsActive(zones.ConditionOf(zone)) ? 1 : 0;
        }

        return $"zones {first} to {end}: {active} active, {Human.Of(all.Written, all.Capacity)}";
    }
}

/// <summary>Open and closed zones, the latest change first: their write pointers move.</summary>
internal static class ActivePanel
{
    /// <summary>Draws the panel.</summary>
    public static void Draw(Frame frame, int y, int height, WatchModel model, bool blocks)
    {
        var zones = model.Zones;
        frame.Text(0, y, "Active zones", Style.Bold);
        int[] shown = [.. zones.Active.OrderByDescending(zones.ChangedAt).ThenBy(z => z).Take(height - 1)];
        if (shown.Length == 0)
        {
            frame.Text(0, y + 1, "none", Style.Faint);
        }

        int bar = Math.Clamp(frame.Width - 62, 8, 40);
        for (int i = 0; i < shown.Length; i++)
        {
            int x = ZoneLine.Draw(frame, 0, y + 1 + i, zones, shown[i], bar, blocks);
            frame.Text(x + 2, y + 1 + i, SizeText.Human(zones.WrittenIn(shown[i])));
        }
    }
}

/// <summary>A zone on a line: index, bar of its write pointer, share and state.</summary>
internal static class ZoneLine
{
    /// <summary>Draws a zone.</summary>
    /// <returns>The column after it.</returns>
    public static int Draw(Frame frame, int x, int y, ZoneStore zones, int zone, int bar, bool blocks)
    {
        var cell = zones.CellOf(zone);
        frame.TextBefore(x + 8, y, zone.ToString(CultureInfo.InvariantCulture));
        double share = cell.Capacity == 0 ? 0 : (double)cell.Written / cell.Capacity;
        frame.Text(x + 9, y, Human.Bar(share, bar, blocks), Style.Of(cell.Condition));
        frame.TextBefore(x + 9 + bar + 7, y, cell.Capacity == 0 ? "-" : Human.Percent(cell.Written, cell.Capacity));
        return frame.Text(x + 9 + bar + 9, y, ZoneNames.Name(cell.Condition).PadRight(15), Style.Of(cell.Condition));
    }
}
