using Paddock.Block;
using Paddock.Cli.Native;

namespace Paddock.Cli.Tests;

/// <summary>Colours of zones: which are used when, and who can tell them apart.</summary>
public class ZonePaletteTests
{
    // Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB
    private static readonly Dictionary<string, double[]> Sight = new()
    {
        ["all cones"] = [1, 0, 0, 0, 1, 0, 0, 0, 1],
        ["protanopia"] = [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
        ["deuteranopia"] = [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881],
        ["tritanopia"] = [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900],
    };

    [Theory]
    [InlineData("all cones")]
    [InlineData("protanopia")]
    [InlineData("deuteranopia")]
    [InlineData("tritanopia")]
    public void Every_kind_of_sight_tells_the_colours_of_open_closed_and_full_zones_apart(string sight)
    {
        ZoneCondition[] shown = [ZoneCondition.ImplicitlyOpen, ZoneCondition.ExplicitlyOpen, ZoneCondition.Closed, ZoneCondition.Full];
        foreach (var a in shown)
        {
            foreach (var b in shown.Where(b => b != a))
            {
                double distance = Distance(Lab(ZonePalette.Full(a), Sight[sight]), Lab(ZonePalette.Full(b), Sight[sight]));
                Assert.True(distance > 10, $"{a} and {b} differ by {distance:0.0}");
            }
        }

        double open = Distance(
            Lab(ZonePalette.Full(ZoneCondition.ImplicitlyOpen), Sight[sight]),
            Lab(ZonePalette.Full(ZoneCondition.ExplicitlyOpen), Sight[sight]));
        Assert.True(open > 40, $"the two kinds of open zones differ by {open:0.0}");
    }

    [Theory]
    [InlineData(true, "", ColorDepth.Basic)]
    [InlineData(true, "TERM=xterm-256color", ColorDepth.Indexed)]
    [InlineData(true, "TERM=xterm-direct", ColorDepth.Full)]
    [InlineData(true, "TERM=xterm COLORTERM=truecolor", ColorDepth.Full)]
    [InlineData(true, "TERM=xterm COLORTERM=24bit", ColorDepth.Full)]
    [InlineData(true, "TERM=dumb", ColorDepth.None)]
    [InlineData(true, "NO_COLOR=1", ColorDepth.None)]
    [InlineData(true, "CLICOLOR=0", ColorDepth.None)]
    [InlineData(false, "", ColorDepth.None)]
    [InlineData(false, "CLICOLOR_FORCE=1", ColorDepth.Basic)]
    [InlineData(false, "CLICOLOR_FORCE=0", ColorDepth.None)]
    [InlineData(false, "CLICOLOR_FORCE=1 TERM=xterm-256color", ColorDepth.Indexed)]
    [InlineData(true, "CLICOLOR_FORCE=1 NO_COLOR=1", ColorDepth.None)]
    [InlineData(true, "CLICOLOR_FORCE=1 TERM=dumb", ColorDepth.Basic)]
    public void Environment_decides_about_colours(bool isTerminal, string environment, ColorDepth depth)
    {
        var variables = environment.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(v => v.Split('='))
            .ToDictionary(v => v[0], v => v[1]);
        Assert.Equal(depth, TerminalColors.Of(isTerminal, name => variables.GetValueOrDefault(name, "")).Auto);
    }

    [Theory]
    [InlineData(ColorDepth.Basic, "\u001b[0;96m")]
    [InlineData(ColorDepth.Indexed, "\u001b[0;38;5;74m")]
    [InlineData(ColorDepth.Full, "\u001b[0;38;2;86;180;233m")]
    [InlineData(ColorDepth.None, "")]
    public void Terminal_gets_only_sequences_that_it_has(ColorDepth depth, string sequence)
        => Assert.Equal(sequence, ZonePalette.Start(ZoneCondition.ImplicitlyOpen, depth));

    private static double[] Lab((byte Red, byte Green, byte Blue) colour, double[] sight)
    {
        double[] rgb = [Linear(colour.Red), Linear(colour.Green), Linear(colour.Blue)];
        double[] seen = [Row(sight, 0, rgb), Row(sight, 3, rgb), Row(sight, 6, rgb)];
        double x = F(((0.4124 * seen[0]) + (0.3576 * seen[1]) + (0.1805 * seen[2])) / 0.9505);
        double y = F((0.2126 * seen[0]) + (0.7152 * seen[1]) + (0.0722 * seen[2]));
        double z = F(((0.0193 * seen[0]) + (0.1192 * seen[1]) + (0.9505 * seen[2])) / 1.089);
        return [(116 * y) - 16, 500 * (x - y), 200 * (y - z)];
    }

    private static double Row(double[] matrix, int at, double[] rgb)
        => Math.Clamp((matrix[at] * rgb[0]) + (matrix[at + 1] * rgb[1]) + (matrix[at + 2] * rgb[2]), 0, 1);

    private static double Linear(byte value) => value / 255.0 is <= 0.04045 and var low ? low / 12.92
        : Math.Pow(((value / 255.0) + 0.055) / 1.055, 2.4);

    private static double F(double t) => t > 0.008856 ? Math.Cbrt(t) : (7.787 * t) + (16.0 / 116);

    private static double Distance(double[] a, double[] b) => Math.Sqrt(a.Zip(b, (p, q) => (p - q) * (p - q)).Sum());
}
