using System.Globalization;
using Paddock.Block;
using Paddock.Images.Text;

namespace Paddock.Cli.Native.Watch;

/// <summary>Draws a model: from the most important at the top to what is left out first where there is little room.</summary>
/// <param name="glyphs">How zones are drawn.</param>
internal sealed class WatchView(ZoneGlyphs glyphs)
{
    // rows from which panels are set apart
    private const int Roomy = 24;

    private static readonly string[] HelpLines =
    [
        "arrows, PgUp, PgDn   move the cursor",
        "Enter, z, +          zoom in: from a part of the disk to one zone",
        "Esc, Z, -            zoom out",
        "s                    list of zones; again: by change, index, bytes, state, writes, resets, reads",
        "m                    map",
        "f, F                 next filter; all zones",
        "space, p             pause: the view stands still",
        "?, h                 this help",
        "q, Ctrl-C            quit",
    ];

    /// <summary>Draws the whole screen.</summary>
    public Frame Draw(WatchModel model, WatchState state, int width, int height)
    {
        var frame = new Frame(width, height);
        Title(frame, model, state);
        int y = Gauges(frame, 1, model);
        int gap = height >= Roomy ? 1 : 0, free = height - y - 1 - gap;
        var rates = model.Traffic.Rates();
        if (free >= 12 && rates.Count > 0)
        {
            TrafficPanel.Draw(frame, y + gap, rates);
            y += gap + rates.Count + 1;
            free -= gap + rates.Count + 1;
        }

        int events = free >= 12 && model.Events.Count > 0 ? Math.Min(Math.Clamp(free / 5, 2, 6), model.Events.Count + 1) : 0;
        int active = state.Page == WatchPage.Map && free >= 12 ? Math.Clamp(free / 4, 3, 9) : 0;
        y = Main(frame, y + gap, free - events - active, model, state) + gap;
        if (active > 0)
        {
            // what the map does not need is for the zones that change
            active = Math.Max(active - gap, height - 1 - events - y);
            ActivePanel.Draw(frame, y, active, model, glyphs.Blocks);
        }

        if (events > 0)
        {
            Events(frame, height - 1 - events, events, model);
        }

        Footer(frame, state);
        return frame;
    }

    private static void Title(Frame frame, WatchModel model, WatchState state)
    {
        var zones = model.Zones;
        string size = $"{SizeText.Human(zones.DiskLength)}, {zones.Count} zones of {SizeText.Human(zones.Limits.ZoneSize)}";
        int x = frame.Text(0, 0, $"{model.Title}: {size}", Style.Bold);
        x = model.Inactive is { } inactive ? frame.Text(x, 0, $", {inactive}", Style.Alarm) : x;
        string right = model.Problem is { } problem ? $" {problem}" : state.IsPaused ? " PAUSED" : $" {model.Source}";
        int start = Math.Max(x + 1, frame.Width - right.Length);
        frame.Text(start, 0, right, model.Problem is null && !state.IsPaused ? Style.Faint : Style.Alarm);
    }

    private int Gauges(Frame frame, int y, WatchModel model)
    {
        var zones = model.Zones;
        var (open, active) = (zones.Open, zones.Active.Count);
        int x = 0;
        void Add(string text, Style style)
        {
            if (x > 0 && x + text.Length > frame.Width && y < 3)
            {
                (x, y) = (0, y + 1);
            }

            x = frame.Text(x, y, text, style) + 3;
        }

        Add(Gauge("open", open, zones.Limits.MaxOpenZones), StyleOf(open, zones.Limits.MaxOpenZones));
        Add(Gauge("active", active, zones.Limits.MaxActiveZones), StyleOf(active, zones.Limits.MaxActiveZones));
        Add($"written {Human.Of(zones.WrittenBytes, zones.CapacityBytes)}", Style.Plain);
        if (model.OnDisk is { } bytes)
        {
            Add($"{SizeText.Human(bytes)} on disk", Style.Plain);
        }

        if (model.Amplification is { } factor)
        {
            Add($"write amplification {factor.ToString("0.00", CultureInfo.InvariantCulture)}", Style.Plain);
        }

        return y + 1;
    }

    private string Gauge(string name, int used, uint limit)
        => name + (limit == 0 ? " " : $" {Human.Bar((double)used / limit, 12, glyphs.Blocks)} ") + Human.Limit(used, limit);

    private static Style StyleOf(int used, uint limit) => limit > 0 && used >= limit ? Style.Alarm : Style.Plain;

    private int Main(Frame frame, int y, int height, WatchModel model, WatchState state)
    {
        switch (state.Page)
        {
            case WatchPage.List:
                ListPanel.Draw(frame, y, height, model, state, glyphs.Blocks);
                return y + height;
            case WatchPage.Zone:
                ZonePanel.Draw(frame, y, model, state.Cursor, glyphs.Blocks);
                return y + height;
            case WatchPage.Help:
                for (int i = 0; i < Math.Min(HelpLines.Length, height); i++)
                {
                    frame.Text(0, y + i, HelpLines[i]);
                }

                return y + height;
            default:
                return MapPanel.Draw(frame, y, height, model, state, glyphs);
        }
    }

    private static void Events(Frame frame, int y, int height, WatchModel model)
    {
        frame.Text(0, y, "Events", Style.Bold);
        int first = Math.Max(0, model.Events.Count - (height - 1));
        for (int i = first; i < model.Events.Count; i++)
        {
            var (time, text) = model.Events[i];
            int x = frame.Text(0, y + 1 + i - first, time.ToString("HH:mm:ss ", CultureInfo.InvariantCulture), Style.Faint);
            frame.Text(x, y + 1 + i - first, text);
        }
    }

    private static void Footer(Frame frame, WatchState state)
    {
        int y = frame.Height - 1;
        string keys = frame.Width < 60 ? "q quit  ? help" : "q quit  ? help  space pause  s sort  f filter  arrows, Enter, Esc zoom";
        frame.Text(0, y, keys, Style.Faint);
        string right = (state.FilterName == "all" ? "" : $" filter: {state.FilterName}")
            + (state.Page == WatchPage.List ? $" sort: {ListPanel.Name(state.Order)}" : "");
        frame.TextBefore(frame.Width, y, right, Style.Bold);
    }
}

/// <summary>Rates and latencies by kind of request.</summary>
internal static class TrafficPanel
{
    /// <summary>Draws the table.</summary>
    public static void Draw(Frame frame, int y, IReadOnlyList<TrafficRate> rates)
    {
        string[] heads = ["", "IOPS", "throughput", "errors", "p50", "p99", "p99.9"];
        int[] ends = [8, 16, 30, 38, 47, 56, 65];
        for (int i = 1; i < heads.Length; i++)
        {
            frame.TextBefore(ends[i], y, heads[i], Style.Bold);
        }

        for (int i = 0; i < rates.Count; i++)
        {
            var rate = rates[i];
            frame.Text(0, y + 1 + i, rate.Kind);
            string[] values =
            [
                rate.RequestsPerSecond < 0 ? "-" : Human.Count(rate.RequestsPerSecond),
                Human.Rate(rate.BytesPerSecond),
                Human.Count(rate.Errors),
                Human.Microseconds(rate.P50),
                Human.Microseconds(rate.P99),
                Human.Microseconds(rate.P999),
            ];
            for (int v = 0; v < values.Length; v++)
            {
                frame.TextBefore(ends[v + 1], y + 1 + i, values[v]);
            }
        }
    }
}

/// <summary>Everything about one zone.</summary>
internal static class ZonePanel
{
    /// <summary>Draws the zone.</summary>
    public static void Draw(Frame frame, int y, WatchModel model, int zone, bool blocks)
    {
        var zones = model.Zones;
        var cell = zones.CellOf(zone);
        var counts = zones.CountsOf(zone);
        long start = zone * zones.Limits.ZoneSize;
        frame.Text(frame.Text(0, y, $"Zone {zone}  ", Style.Bold), y, ZoneNames.Name(cell.Condition), Style.Of(cell.Condition));
        int line = y + 1;
        void Line(string name, string value)
        {
            frame.Text(0, line, name, Style.Faint);
            frame.Text(15, line++, value);
        }

        Line("start", $"0x{start:x} ({start})");
        if (cell.Condition != ZoneCondition.NotWritePointer)
        {
            Line("write pointer", $"0x{start + cell.Written:x} ({start + cell.Written})");
            Line("written", Human.Of(cell.Written, cell.Capacity));
            double share = cell.Capacity == 0 ? 0 : (double)cell.Written / cell.Capacity;
            frame.Text(15, line++, Human.Bar(share, Math.Clamp(frame.Width - 15, 8, 66), blocks), Style.Of(cell.Condition));
        }

        if (model.HasRequests)
        {
            Line("writes", $"{Human.Count(counts.Writes)}, resets {Human.Count(counts.Resets)}, reads {Human.Count(counts.Reads)}");
        }

        long changed = zones.ChangedAt(zone);
        Line(
            "last change",
            changed == long.MinValue ? "before the view began"
                : string.Create(CultureInfo.InvariantCulture, $"{Math.Max(0, model.Now - changed) / 1000.0:0.0} s ago"));
    }
}
