using Paddock.Block;

namespace Paddock.Cli.Native.Watch;

/// <summary>How a cell of the screen looks.</summary>
/// <param name="Condition">Colour of a zone condition; null: the terminal's own.</param>
/// <param name="Weight">Bold, faint, underlined or reversed.</param>
internal readonly record struct Style(ZoneCondition? Condition, Weight Weight)
{
    /// <summary>Text.</summary>
    public static Style Plain => default;

    /// <summary>Headings.</summary>
    public static Style Bold => new(null, Weight.Bold);

    /// <summary>Less important text.</summary>
    public static Style Faint => new(null, Weight.Faint);

    /// <summary>Errors.</summary>
    public static Style Alarm => new(ZoneCondition.Offline, Weight.Bold);

    /// <summary>The colour of a zone condition.</summary>
    public static Style Of(ZoneCondition condition) => new(condition, Weight.None);

    /// <summary>The escape sequence that starts this style, after any other.</summary>
    public string Sequence(ColorDepth depth)
    {
        string colour = Condition is { } condition && depth != ColorDepth.None ? ZonePalette.Start(condition, depth) : ZonePalette.Reset;
        return colour
            + ((Weight & Weight.Bold) != 0 ? "\u001b[1m" : "")
            + ((Weight & Weight.Faint) != 0 ? "\u001b[2m" : "")
            + ((Weight & Weight.Underlined) != 0 ? "\u001b[4m" : "")
            + ((Weight & Weight.Reversed) != 0 ? "\u001b[7m" : "");
    }
}

/// <summary>Attributes of a <see cref="Style"/>.</summary>
[Flags]
internal enum Weight
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Bold.</summary>
    Bold = 1,

    /// <summary>Faint.</summary>
    Faint = 2,

    /// <summary>Underlined.</summary>
    Underlined = 4,

    /// <summary>Foreground and background exchanged.</summary>
    Reversed = 8,
}
