using System.Text.RegularExpressions;

namespace Paddock.Cli.Tests;

public partial class MapTests
{
    [Fact]
    public async Task Without_colour_a_letter_tells_the_condition()
    {
        using var bench = new Workbench();
        await PrepareAsync(bench);
        string map = (await bench.MustAsync("zones z.qcow2")).Out;
        Assert.Contains("z.qcow2: 64 MiB, 8 zones of 8 MiB (capacity 4 MiB)", map, StringComparison.Ordinal);
        Assert.Contains("    0  =.#c....\n", map, StringComparison.Ordinal);
        Assert.Contains("open 0 of 6, active 1 of 6", map, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', map);
        Assert.All(map, c => Assert.True(char.IsAscii(c)));
    }

    [Fact]
    public async Task With_colour_a_block_tells_how_far_a_zone_is_written_and_every_colour_is_ended()
    {
        using var bench = new Workbench { Color = true, Unicode = true };
        await PrepareAsync(bench);
        string map = (await bench.MustAsync("zones z.qcow2")).Out;
        Assert.Contains("\u001b[0;34m█", map, StringComparison.Ordinal);
        Assert.Contains("\u001b[0;33m▅", map, StringComparison.Ordinal);
        Assert.All(map.Split('\n')
            .Where(l => l.Contains('\u001b', StringComparison.Ordinal)), l => Assert.Contains("\u001b[0m", l, StringComparison.Ordinal));
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

    [GeneratedRegex(@"^ +[0-9]+  [.c]+$")]
    private static partial Regex Row();
}
