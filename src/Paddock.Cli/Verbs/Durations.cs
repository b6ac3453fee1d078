using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Paddock.Cli.Verbs;

/// <summary>Options whose value is a duration: seconds, or a number with ms, s, m or h.</summary>
internal static class Durations
{
    /// <summary>The longest duration.</summary>
    public static readonly TimeSpan Max = TimeSpan.FromDays(1);

    private static readonly (string Suffix, double Seconds)[] Units = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)];

    /// <summary>Creates an option; its errors name it, the value and what is expected.</summary>
    public static Option<TimeSpan?> Create(string name, string description) => Create(name, description, TimeSpan.Zero, Max, "at most 24h");

    /// <summary>Creates an option with limits of its own.</summary>
    /// <param name="name">Name.</param>
    /// <param name="description">Description.</param>
    /// <param name="min">Shortest duration.</param>
    /// <param name="max">Longest duration.</param>
    /// <param name="limits">The two in words.</param>
    public static Option<TimeSpan?> Create(string name, string description, TimeSpan min, TimeSpan max, string limits) => new(name)
    {
        Description = description, HelpName = "TIME", CustomParser = result => Parse(result, min, max, limits),
    };

    /// <summary>Parses a duration.</summary>
    /// <returns>The duration; null if the text is not a duration from 0 to <see cref="Max"/>.</returns>
    public static TimeSpan? Parse(string text)
    {
        foreach (var (suffix, seconds) in Units)
        {
            if (text.EndsWith(suffix, StringComparison.Ordinal))
            {
                return Of(text[..^suffix.Length], seconds);
            }
        }

        return Of(text, 1);
    }

    private static TimeSpan? Of(string number, double unit)
        => double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value)
            && value * unit <= Max.TotalSeconds ? TimeSpan.FromSeconds(value * unit) : null;

    private static TimeSpan? Parse(ArgumentResult result, TimeSpan min, TimeSpan max, string limits)
    {
        string text = result.Tokens is [var token] ? token.Value : "";
        if (Parse(text) is { } duration && duration >= min && duration <= max)
        {
            return duration;
        }

        string name = result.Parent is OptionResult option ? option.Option.Name : result.Argument.Name;
        result.AddError($"{name} '{text}': expected a duration such as 10, 10s, 500ms or 2m, {limits}");
        return null;
    }
}
