using System.Globalization;
using Paddock.Posix;

namespace Paddock.Tools.Serve.Faults;

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

    /// <summary>Reads a file; every line is checked before the first is used.</summary>
    /// <exception cref="ToolException">It cannot be read, or a line is wrong; the message begins with file and line.</exception>
    public static IReadOnlyList<ScriptedFault> Load(string path)
    {
        string[] lines;
        try
        {
            lines = FileNames.ReadAllText(path).TrimEnd('\n').Split('\n');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException($"cannot read '{path}': {e.Message}");
        }

        return lines.Length > MaxLines
            ? throw new ToolException($"'{path}' has more than {MaxLines} lines")
            : [.. lines.Select((line, i) => Parse(line, FormattableString.Invariant($"{path}:{i + 1}"))).OfType<ScriptedFault>()];
    }

    /// <summary>Reads a line; null for one without words.</summary>
    /// <exception cref="ToolException">It is wrong; the message begins with <paramref name="place"/>.</exception>
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
                ["at" or "after", ..] => throw new ToolException("a moment is written 'after 10s' or 'at command 1000'"),
                _ => new ScriptedFault(place, string.Join(' ', words), null, null),
            };
            return FaultSyntax.Parse(fault.Text).Command == "status" ? throw new ToolException("a script has nobody to tell the status to") : fault;
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

        throw new ToolException($"'{text}' is no time: write 10s, 500ms or 2m");
    }

    private static long CountOf(string text)
        => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long count) && count > 0
            ? count
            : throw new ToolException($"'{text}' is no count of commands: a number from 1 on is wanted");
}
