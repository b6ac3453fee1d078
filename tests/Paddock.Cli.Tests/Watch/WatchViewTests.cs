using Paddock.Block;
using Paddock.Cli.Native;
using Paddock.Cli.Native.Watch;

namespace Paddock.Cli.Tests.Watch;

/// <summary>What the live view shows, frame by frame.</summary>
public class WatchViewTests
{
    private const long MiB = 1 << 20;

    [Fact]
    public void Frame_shows_map_gauges_traffic_active_zones_and_events()
        => AssertFrame(
            """
            demo.qcow2: 256 MiB, 64 zones of 4 MiB                                 live feed
            open [######....] 2 of 3   active [#####.....] 3 of 6
            written 8.5 MiB of 180 MiB (4.7%)   12 MiB on disk   write amplification 1.03

                        IOPS    throughput  errors      p50      p99    p99.9
            read          50   200.0 KiB/s       0        -        -        -
            append     12.5k    48.8 MiB/s       2    100us    1.0ms    1.0ms

               0  ====.ic# #....e.x ........ ........ ........ ........ ........ ........
            = conventional 4   . empty 54   i implicitly open 1   e explicitly open 1   c cl
            zone 6: closed, 1.5 MiB of 3 MiB (50.0%)

            Active zones
                   6 [########........]  50.0%  closed           1.5 MiB
                   5 [#####...........]  33.3%  implicitly open  1 MiB
                  13 [................]   0.0%  explicitly open  0 B





            Events
            12:00:00 zone offline zones=15
            q quit  ? help  space pause  s sort  f filter  arrows, Enter, Esc zoom
            """,
            Draw(Model(), new WatchState(ZoneFilter.All) { Cursor = 6 }, 80, 24));

    [Fact]
    public void Disk_that_another_server_owns_is_named_as_such()
    {
        var model = Model();
        model.Inactive = "standby";
        Assert.Equal(
            "demo.qcow2: 256 MiB, 64 zones of 4 MiB, standby                        live feed",
            Lines(Draw(model.Clone(), new WatchState(ZoneFilter.All), 80, 24))[0]);
    }

    [Fact]
    public void Small_terminal_has_the_map_first()
        => AssertFrame(
            """
            demo.qcow2: 256 MiB, 64 zones of 4 MiB
            open [######....] 2 of 3
            active [#####.....] 3 of 6
            written 8.5 MiB of 180 MiB (4.7%)   12 M
               0  ====.ic##....e.x................
              32  ................................
            = conventional 4   . empty 54   i implic
            zone 0: conventional

            q quit  ? help
            """,
            Draw(Model(), new WatchState(ZoneFilter.All), 40, 10));

    [Theory]
    [InlineData(1, 1)]
    [InlineData(10, 3)]
    [InlineData(10, 40)]
    [InlineData(300, 5)]
    [InlineData(200, 100)]
    public void Every_size_of_terminal_gets_every_page(int width, int height)
    {
        var state = new WatchState(ZoneFilter.All);
        foreach (var key in new[] { Key.Map, Key.Sort, Key.In, Key.Help })
        {
            state.Press(key, 64);
            var frame = Draw(Model(), state, width, height);
            Assert.Equal((width, height), (frame.Width, frame.Height));
        }
    }

    [Fact]
    public void List_is_sorted_and_zoom_shows_one_zone()
    {
        var model = Model();
        var state = new WatchState(ZoneFilter.All);
        state.Press(Key.Sort, 64);
        Assert.Equal(ZoneOrder.Changed, state.Order);
        string[] lines = Lines(Draw(model, state, 120, 30));
        int head = Array.FindIndex(lines, l => l.Contains("state            written", StringComparison.Ordinal));
        Assert.StartsWith("       6 ", lines[head + 1], StringComparison.Ordinal);
        Assert.Contains("sort: latest change", lines[^1], StringComparison.Ordinal);

        state.Press(Key.Sort, 64);
        state.Press(Key.Sort, 64);
        Assert.Equal(ZoneOrder.Written, state.Order);
        lines = Lines(Draw(model, state, 120, 30));
        Assert.StartsWith("       7 [", lines[head + 1], StringComparison.Ordinal);
        Assert.StartsWith("       8 [", lines[head + 2], StringComparison.Ordinal);
        Assert.StartsWith("       6 [", lines[head + 3], StringComparison.Ordinal);

        state.Press(Key.Down, 64);
        state.Press(Key.Down, 64);
        Draw(model, state, 120, 30);
        state.Press(Key.In, 64);
        string zone = Draw(model, state, 120, 30).ToString();
        Assert.Contains("Zone 6  closed", zone, StringComparison.Ordinal);
        Assert.Contains("write pointer  0x1980000 (26738688)", zone, StringComparison.Ordinal);
        Assert.Contains("writes         24, resets 1, reads 7", zone, StringComparison.Ordinal);
        Assert.Contains("last change    0.1 s ago", zone, StringComparison.Ordinal);
        state.Press(Key.Out, 64);
        Assert.Equal(WatchPage.List, state.Page);
    }

    [Fact]
    public void Filter_leaves_cells_blank_and_is_named()
    {
        var state = new WatchState(ZoneFilter.All);
        state.Press(Key.Filter, 64);
        string[] lines = Lines(Draw(Model(), state, 80, 24));
        Assert.Contains(lines, l => l == "   0       i        e");
        Assert.EndsWith("filter: open", lines[^1], StringComparison.Ordinal);
        state.Press(Key.Unfilter, 64);
        Assert.Contains(Lines(Draw(Model(), state, 80, 24)), l => l.StartsWith("   0  ====.ic#", StringComparison.Ordinal));
    }

    [Fact]
    public void Zones_that_changed_just_now_and_the_cursor_stand_out()
    {
        var frame = Draw(Model(), new WatchState(ZoneFilter.All) { Cursor = 5 }, 80, 24);
        int row = Array.FindIndex(Lines(frame), l => l.StartsWith("   0  ====", StringComparison.Ordinal));
        Assert.Equal(new Style(ZoneCondition.Closed, Weight.Bold | Weight.Underlined), frame[6 + 6, row].Style);
        Assert.Equal(new Style(ZoneCondition.ImplicitlyOpen, Weight.Reversed), frame[6 + 5, row].Style);
        Assert.Equal(Style.Of(ZoneCondition.Full), frame[6 + 7, row].Style);
    }

    [Fact]
    public void Map_of_a_million_zones_zooms_to_one_and_back()
    {
        const int Count = 1 << 20;
        var model = new WatchModel("m", "live feed", new ZoneStore(new ZonedLimits(MiB, MiB, Count, 0, 0, 0, 0), Count * MiB));
        model.Zones.Set(777_777, ZoneCondition.Offline, 0, null, null);
        var state = new WatchState(ZoneFilter.All);
        string whole = Draw(model, state, 80, 24).ToString();
        Assert.Contains(whole.Split('\n'), l => l.Contains(".x.", StringComparison.Ordinal));
        state.Cursor = 777_777;
        var spans = new List<int>();
        while (state.Page == WatchPage.Map)
        {
            spans.Add(state.Layout.PerCell);
            state.Press(Key.In, Count);
            Draw(model, state, 80, 24);
        }

        Assert.Equal([.. spans.OrderDescending()], spans);
        Assert.Equal(1, spans[^1]);
        Assert.Contains("Zone 777777  offline", Draw(model, state, 80, 24).ToString(), StringComparison.Ordinal);
        while (state.Page != WatchPage.Map || state.First > 0)
        {
            state.Press(Key.Out, Count);
        }

        Assert.Equal(whole.Split('\n')[5], Draw(model, state, 80, 24).ToString().Split('\n')[5]);
    }

    [Fact]
    public void Cursor_moves_by_cells_and_rows_and_stays_on_the_disk()
    {
        var state = new WatchState(ZoneFilter.All) { Layout = new MapLayout(16, 4, 2) };
        int After(Key key)
        {
            state.Press(key, 100);
            return state.Cursor;
        }

        Key[] keys = [Key.Right, Key.Down, Key.Left, Key.Up, Key.Up, Key.End, Key.Down, Key.Home];
        Assert.Equal([2, 34, 32, 0, 0, 99, 99, 0], keys.Select(After));
    }

    [Fact]
    public void Paused_model_stands_still()
    {
        var model = Model();
        var copy = model.Clone();
        string before = Draw(copy, new WatchState(ZoneFilter.All), 100, 30).ToString();
        model.Zones.Set(20, ZoneCondition.Full, 3 * MiB, null, 5000);
        model.Add(new WatchEvent(Noon, "reset"));
        model.Traffic.Add(6000, Counters(1000, 1000));
        Assert.Equal(before, Draw(copy, new WatchState(ZoneFilter.All), 100, 30).ToString());
        Assert.NotEqual(before, Draw(model, new WatchState(ZoneFilter.All), 100, 30).ToString());
    }

    private static DateTimeOffset Noon => new(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);

    internal static WatchModel Model()
    {
        var zones = new ZoneStore(new ZonedLimits(4 * MiB, 3 * MiB, 64, 4, 3, 6, 0), 256 * MiB);
        zones.Set(5, ZoneCondition.ImplicitlyOpen, MiB, null, null);
        zones.Set(6, ZoneCondition.Closed, MiB * 3 / 2, new ZoneCounts(24, 1, 7), 4900);
        zones.Set(7, ZoneCondition.Full, 3 * MiB, null, null);
        zones.Set(8, ZoneCondition.Full, 3 * MiB, null, null);
        zones.Set(13, ZoneCondition.ExplicitlyOpen, 0, null, null);
        zones.Set(15, ZoneCondition.Offline, 0, null, null);
        var model = new WatchModel("demo.qcow2", "live feed", zones)
        {
            HasRequests = true, Amplification = 1.031, OnDisk = 12 * MiB, Now = 5000,
        };
        model.Traffic.SetBounds([10, 100, 1000]);
        model.Traffic.Add(4000, Counters(0, 0));
        model.Traffic.Add(5000, Counters(50, 12500));
        model.Add(new WatchEvent(Noon, "zone offline zones=15"));
        return model;
    }

    private static TrafficCounters[] Counters(long reads, long appends) =>
    [
        new("read", reads, reads * 4096, 0, []),
        new("append", appends, appends * 4096, appends > 0 ? 2 : 0, [0, appends * 9 / 10, appends / 10, 0]),
    ];

    private static Frame Draw(WatchModel model, WatchState state, int width, int height)
        => new WatchView(new ZoneGlyphs(ColorDepth.None, false)).Draw(model, state, width, height);

    private static string[] Lines(Frame frame) => frame.ToString().TrimEnd('\n').Split('\n');

    private static void AssertFrame(string expected, Frame frame)
        => Assert.Equal(expected.ReplaceLineEndings("\n") + "\n", frame.ToString());
}
