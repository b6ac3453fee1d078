using System.Text.Json;
using System.Text.RegularExpressions;
using Paddock.Block;
using Paddock.Cli.Native;

namespace Paddock.Cli.Tests;

public partial class MapTests
{
    private static readonly TerminalColors Basic = new(ColorDepth.Basic, ColorDepth.Basic);

    [Fact]
    public async Task Without_colour_a_letter_tells_the_condition()
    {
        using var bench = new Workbench();
        await PrepareAsync(bench);
        string map = (await bench.MustAsync("zones z.qcow2")).Out;
        Assert.Contains("z.qcow2: 64 MiB, 8 zones of 8 MiB (capacity 4 MiB)", map, StringComparison.Ordinal);
        Assert.Contains("   0  =.#c....\n", map, StringComparison.Ordinal);
        Assert.Contains("open 0 of 6, active 1 of 6", map, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', map);
        Assert.All(map, c => Assert.True(char.IsAscii(c)));
    }

    [Fact]
    public async Task With_colour_a_block_tells_how_far_a_zone_is_written_and_every_colour_is_ended()
    {
        using var bench = new Workbench { Colors = Basic, Unicode = true };
        await PrepareAsync(bench);
        string map = (await bench.MustAsync("zones z.qcow2")).Out;
        Assert.Contains("\u001b[0;34m▉", map, StringComparison.Ordinal);
        Assert.Contains("\u001b[0;32m▄", map, StringComparison.Ordinal);
        Assert.All(map.Split('\n')
            .Where(l => l.Contains('\u001b', StringComparison.Ordinal)), l => Assert.Contains("\u001b[0m", l, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Map_shows_groups_of_cells_space_and_resources()
    {
        using var bench = new Workbench();
        await PrepareAsync(bench);
        await bench.MustAsync("zone offline z.qcow2 7");
        string[] lines = (await bench.MustAsync("zones z.qcow2")).Out.Split('\n');
        Assert.Equal("   0  =.#c...x", lines[2]);
        Assert.Equal("= conventional 1   . empty 4   c closed 1   # full 1   x offline 1", lines[4]);
        Assert.StartsWith("written 6 MiB of 28 MiB (21.4%), ", lines[5], StringComparison.Ordinal);
        Assert.EndsWith(" on disk", lines[5], StringComparison.Ordinal);
        Assert.Equal("open 0 of 6, active 1 of 6", lines[6]);
    }

    [Theory]
    [InlineData(10, 2)]
    [InlineData(40, 32)]
    [InlineData(80, 64)]
    [InlineData(134, 64)]
    [InlineData(135, 128)]
    [InlineData(300, 128)]
    public void Rows_have_a_power_of_two_of_cells(int width, int columns) => Assert.Equal(columns, ZoneMap.Columns(width - 7));

    [Fact]
    public async Task Full_zones_side_by_side_have_gaps_and_open_zones_differ()
    {
        using var bench = new Workbench { Colors = new TerminalColors(ColorDepth.Full, ColorDepth.Full), Unicode = true };
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M");
        await bench.MustAsync("zone finish z.qcow2 0-2");
        string map = (await bench.MustAsync("zones z.qcow2")).Out;
        Assert.Contains("▉▉▉", map, StringComparison.Ordinal);
        Assert.DoesNotContain('█', map);
        var glyphs = new ZoneGlyphs(ColorDepth.Full, true);
        Assert.NotEqual(glyphs.Sample(ZoneCondition.ImplicitlyOpen), glyphs.Sample(ZoneCondition.ExplicitlyOpen));
        Assert.Equal("▁▂▄▆▇▉", string.Concat(new[] { 0, 20, 50, 75, 99, 100 }
            .Select(part => glyphs.Of(new ZoneCell(1, ZoneCondition.Closed, part, 100)))));
    }

    [Theory]
    [InlineData("--range 2-3", "   2  #c")]
    [InlineData("--range 6-", "   6  ..")]
    [InlineData("--range 3", "   3  c")]
    [InlineData("--state full,closed", "   0    #c")]
    [InlineData("--state conventional", "   0  =")]
    [InlineData("--range 2-5 --state empty", "   2    ..")]
    public async Task Map_shows_the_zones_of_a_filter(string options, string row)
    {
        using var bench = new Workbench();
        await PrepareAsync(bench);
        string map = (await bench.MustAsync("zones z.qcow2 " + options)).Out;
        Assert.Equal(row, map.Split('\n')[2]);
        Assert.Contains("open 0 of 6, active 1 of 6", map, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--range 2-3", "2 3")]
    [InlineData("--state active", "3")]
    [InlineData("--state empty --range 3-5", "4 5")]
    [InlineData("--state readonly", "")]
    public async Task Table_and_json_list_the_zones_of_a_filter(string options, string zones)
    {
        using var bench = new Workbench();
        await PrepareAsync(bench);
        var json = (await bench.MustAsync("zones z.qcow2 --json " + options)).Json();
        Assert.Equal(zones, string.Join(' ', json.GetProperty("zones").EnumerateArray().Select(z => z.GetProperty("zone").GetInt32())));
        Assert.Equal(json.GetProperty("zones").GetArrayLength(), json.GetProperty("shown_zones").GetInt32());
        Assert.Equal((0, 1), (json.GetProperty("open_zones").GetInt32(), json.GetProperty("active_zones").GetInt32()));
        string[] rows = (await bench.MustAsync("zones z.qcow2 --table " + options)).Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(zones, string.Join(' ', rows.Skip(1).Select(r => r.TrimStart().Split(' ')[0])));
    }

    [Fact]
    public async Task Json_has_the_bytes_written_and_a_line_per_zone()
    {
        using var bench = new Workbench();
        await PrepareAsync(bench);
        var outcome = await bench.MustAsync("zones z.qcow2 --json");
        var json = outcome.Json();
        Assert.Equal((6 << 20, 28 << 20), (json.GetProperty("written").GetInt32(), json.GetProperty("capacity").GetInt32()));
        Assert.True(json.GetProperty("allocated").GetInt64() > 0);
        Assert.Equal(2 << 20, json.GetProperty("zones")[3].GetProperty("written").GetInt64());
        Assert.Equal(JsonValueKind.Null, json.GetProperty("zones")[0].GetProperty("written").ValueKind);
        Assert.Contains(
            "\n    {\"zone\":3,\"start\":25165824,\"length\":8388608,\"capacity\":4194304,\"write_pointer\":27262976,"
            + "\"written\":2097152,\"condition\":\"closed\",\"type\":\"sequential\"},\n",
            outcome.Out,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--range 5-2", "--range '5-2': the first zone must not be above the last")]
    [InlineData("--range x", "--range 'x': expected FIRST-LAST, such as 0-63, or one zone")]
    [InlineData("--range 0-8", "--range: zone 8 does not exist; this disk has zones 0 to 7")]
    [InlineData("--state ful", "--state 'ful': expected one or more of empty,open,")]
    [InlineData("--color=sometimes", "--color 'sometimes': expected one of always, never, auto")]
    public async Task Invalid_filter_is_a_usage_error(string option, string message)
    {
        using var bench = new Workbench();
        await PrepareAsync(bench);
        Assert.Contains(message, await bench.RefusedAsync("zones z.qcow2 " + option, code: 64), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Option_decides_about_colours_before_the_environment()
    {
        using var bench = new Workbench { Colors = new TerminalColors(ColorDepth.None, ColorDepth.Indexed), Unicode = true };
        await PrepareAsync(bench);
        Assert.DoesNotContain('\u001b', (await bench.MustAsync("zones z.qcow2")).Out);
        Assert.Contains("\u001b[0;38;5;25m▉", (await bench.MustAsync("zones z.qcow2 --color=always")).Out, StringComparison.Ordinal);
        using var terminal = new Workbench { Colors = Basic, Unicode = true };
        await PrepareAsync(terminal);
        Assert.DoesNotContain('\u001b', (await terminal.MustAsync("zones z.qcow2 --color never")).Out);
    }

    [Theory]
    [InlineData(10)]
    [InlineData(40)]
    [InlineData(80)]
    [InlineData(200)]
    public async Task Map_of_many_zones_fits_the_terminal(int width)
    {
        using var bench = new Workbench { Width = width };
        await bench.MustAsync("create z.qcow2 40G --zone-size 1M");
        await bench.MustAsync("append z.qcow2 40959", Workbench.Bytes(512, 1));
        string[] lines = (await bench.MustAsync("zones z.qcow2")).Out.Split('\n');
        string[] rows = lines.Where(line => Row().IsMatch(line)).ToArray();
        Assert.InRange(rows.Length, 1, 16);
        Assert.All(rows, row => Assert.True(row.Length <= Math.Max(width, 12), row));
        Assert.EndsWith("c", rows[^1], StringComparison.Ordinal);
        Assert.Contains("each cell shows ", string.Join('\n', lines), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Table_has_a_line_per_zone()
    {
        using var bench = new Workbench();
        await PrepareAsync(bench);
        string[] lines = (await bench.MustAsync("zones z.qcow2 --table")).Out.TrimEnd().Split('\n');
        Assert.Equal(9, lines.Length);
        Assert.EndsWith("-  conventional", lines[1], StringComparison.Ordinal);
        Assert.EndsWith("0x1a00000  closed", lines[4], StringComparison.Ordinal);
        Assert.Contains("cannot be combined", await bench.RefusedAsync("zones z.qcow2 --table --json", code: 64), StringComparison.Ordinal);
    }

    // conventional, empty, full, half written, then empty zones
    private static async Task PrepareAsync(Workbench bench)
    {
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M --zone-capacity 4M --conventional 1 --max-active 6");
        await bench.MustAsync("zone finish z.qcow2 2");
        await bench.MustAsync("append z.qcow2 3", Workbench.Bytes(2 << 20, 1));
    }

    [GeneratedRegex(@"^ *[0-9]+  [.c ]+$")]
    private static partial Regex Row();
}
