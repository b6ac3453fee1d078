namespace Paddock.Cli.Native;

/// <summary>How many colours may be printed.</summary>
public enum ColorDepth
{
    /// <summary>No escape sequences for colour.</summary>
    None,

    /// <summary>The 16 colours that every terminal with colour has.</summary>
    Basic,

    /// <summary>256 colours (TERM ends in 256color).</summary>
    Indexed,

    /// <summary>24 bits for each colour (COLORTERM is truecolor or 24bit).</summary>
    Full,
}

/// <summary>A choice by <c>--color</c>.</summary>
public enum ColorChoice
{
    /// <summary>As the terminal and the environment say.</summary>
    Auto,

    /// <summary>Colour, even in a pipe.</summary>
    Always,

    /// <summary>No colour.</summary>
    Never,
}

/// <summary>The colours of a terminal, by its environment.</summary>
/// <param name="Auto">Colours without <c>--color</c>.</param>
/// <param name="Forced">Colours with <c>--color=always</c>.</param>
public readonly record struct TerminalColors(ColorDepth Auto, ColorDepth Forced)
{
    /// <summary>
    /// Reads NO_COLOR, CLICOLOR_FORCE, CLICOLOR, COLORTERM and TERM. NO_COLOR wins over CLICOLOR_FORCE, since it is the more specific wish.
    /// </summary>
    /// <param name="isTerminal">Whether standard output is a terminal.</param>
    /// <param name="variable">Value of an environment variable; empty: not set.</param>
    internal static TerminalColors Of(bool isTerminal, Func<string, string> variable)
    {
        string term = variable("TERM");
        var forced = variable("COLORTERM") is "truecolor" or "24bit" || term.EndsWith("-direct", StringComparison.Ordinal) ? ColorDepth.Full
            : term.Contains("256color", StringComparison.Ordinal) ? ColorDepth.Indexed : ColorDepth.Basic;
        bool wanted = variable("NO_COLOR").Length == 0
            && (variable("CLICOLOR_FORCE") is not ("" or "0") || (isTerminal && term != "dumb" && variable("CLICOLOR") != "0"));
        return new TerminalColors(wanted ? forced : ColorDepth.None, forced);
    }

    /// <summary>The colours for a choice.</summary>
    public ColorDepth For(ColorChoice choice) => choice switch
    {
        ColorChoice.Always => Forced,
        ColorChoice.Never => ColorDepth.None,
        _ => Auto,
    };
}
