using Paddock.Block;

namespace Paddock.Cli.Native;

/// <summary>
/// The colour of each zone condition. The colours with 24 bits are those of Okabe and Ito, which colour-blind people can tell apart; the
/// two kinds of open zones are light blue and orange.
/// </summary>
internal static class ZonePalette
{
    /// <summary>Ends all colours.</summary>
    public const string Reset = "\u001b[0m";

    /// <summary>The escape sequence that starts the colour of a condition, after any other; empty without colour.</summary>
    public static string Start(ZoneCondition condition, ColorDepth depth) => depth switch
    {
        ColorDepth.None => "",
        ColorDepth.Basic => $"\u001b[0;{Basic(condition)}m",
        _ when condition == ZoneCondition.NotWritePointer => Reset,
        ColorDepth.Indexed => $"\u001b[0;38;5;{Indexed(condition)}m",
        _ => Full(condition) is var (red, green, blue) ? $"\u001b[0;38;2;{red};{green};{blue}m" : "",
    };

    /// <summary>Red, green and blue, each 0 to 255. Conventional zones have the terminal's own colour.</summary>
    public static (byte Red, byte Green, byte Blue) Full(ZoneCondition condition) => condition switch
    {
        ZoneCondition.ImplicitlyOpen => (86, 180, 233),
        ZoneCondition.ExplicitlyOpen => (230, 159, 0),
        ZoneCondition.Closed => (0, 158, 115),
        ZoneCondition.Full => (0, 114, 178),
        ZoneCondition.ReadOnly => (204, 121, 167),
        ZoneCondition.Offline => (213, 94, 0),
        _ => (128, 128, 128),
    };

    private static string Basic(ZoneCondition condition) => condition switch
    {
        ZoneCondition.NotWritePointer => "39",
        ZoneCondition.ImplicitlyOpen => "96",
        ZoneCondition.ExplicitlyOpen => "33",
        ZoneCondition.Closed => "32",
        ZoneCondition.Full => "34",
        ZoneCondition.ReadOnly => "35",
        ZoneCondition.Offline => "31;1",
        _ => "90",
    };

    // the nearest of the 6x6x6 cube and the greys
    private static int Indexed(ZoneCondition condition) => condition switch
    {
        ZoneCondition.ImplicitlyOpen => 74,
        ZoneCondition.ExplicitlyOpen => 178,
        ZoneCondition.Closed => 36,
        ZoneCondition.Full => 25,
        ZoneCondition.ReadOnly => 175,
        ZoneCondition.Offline => 166,
        _ => 244,
    };
}
