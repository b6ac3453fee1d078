using System.Globalization;
using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Server.Faults;

/// <summary>One line of a script, and when it is for.</summary>
/// <param name="Place">File and line, for messages.</param>
/// <param name="Text">The line without its moment.</param>
/// <param name="After">How long after the start; null: not by time.</param>
/// <param name="AtCommand">Which request of all images, counted from 1 since the start; null: not by count.</param>
internal sealed record ScriptedFault(string Place, string Text, TimeSpan? After, long? AtCommand);

/// <summary>
/// A script of faults: a line each, in the words of `paddock fault`; before them, perhaps, <c>after TIME</c> (10s, 500ms, 2m) or
/// <c>at command N</c>. A <c>#</c> begins a comment.
/// </summary>
internal static class FaultScript
{
    private const int MaxLines = 10_000;

    private static readonly (string Ending, double Seconds)[] Units = [("ms", 0.001), ("s", 1), ("m", 60)];

    /// <summary>Reads a file and checks the syntax of every line.</summary>
    /// <exception cref="ToolException">The file cannot be read, or a line is invalid; the message begins with file and line.</exception>
    public static IReadOnlyList<ScriptedFault> Load(string path)
    {
        string[] lines;
        try
        {
            lines = FileNames.ReadAllText(path).TrimEnd('\n').Split('\n');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException($"cannot read '{path}': {FileErrorText.Of(e, path)}");
        }

        return lines.Length > MaxLines
            ? throw new ToolException($"'{path}' has {lines.Length} lines; the limit is {MaxLines}")
            : [.. lines.Select((line, i) => Parse(line, FormattableString.Invariant($"{path}:{i + 1}"))).OfType<ScriptedFault>()];
    }

    /// <summary>Parses a line; null for a blank line or a comment.</summary>
    /// <exception cref="ToolException">The line is invalid; the message begins with <paramref name="place"/>.</exception>
    public static ScriptedFault? Parse(string line, string place)
    {
        int comment = line.IndexOf('#', StringComparison.Ordinal);
        string[] words = (comment < 0 ? line : line[..comment]).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (words is [])
        {
            return null;
        }

        try
        {
            var fault = words switch
            {
                ["after", var time, .. var rest] => new ScriptedFault(place, string.Join(' ', rest), TimeOf(time), null),
                ["at", "command", var count, .. var rest] => new ScriptedFault(place, string.Join(' ', rest), null, CountOf(count)),
                ["at" or "after", ..]
                    => throw new ToolException("expected 'after TIME COMMAND' or 'at command N COMMAND', such as 'after 10s drop'"),
                _ => new ScriptedFault(place, string.Join(' ', words), null, null),
            };
            return FaultSyntax.Parse(fault.Text).Command == "status" ? throw new ToolException("'status' cannot be used in a script")
                : fault;
        }
        catch (ToolException e)
        {
            throw new ToolException($"{place}: {e.Message}");
        }
    }

    private static TimeSpan TimeOf(string text)
    {
        foreach (var (ending, seconds) in Units)
        {
            if (text.EndsWith(ending, StringComparison.Ordinal)
                && double.TryParse(text[..^ending.Length], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value)
                && value * seconds <= TimeSpan.FromDays(30).TotalSeconds)
            {
                return TimeSpan.FromSeconds(value * seconds);
            }
        }

        throw new ToolException($"time '{text}': expected a number with ms, s or m, such as 10s, up to 30 days");
    }

    private static long CountOf(string text)
        => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long count) && count > 0
            ? count
            : throw new ToolException($"number of commands '{text}': expected a number above 0");
}
