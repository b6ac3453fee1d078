using System.Globalization;
using Paddock.Images;

namespace Paddock.Server.Control;

/// <summary>
/// One command line of the control socket or of a script: a command followed by <c>name=value</c> pairs in any order. Blanks and other
/// special characters of a value are escaped as in a URI (<c>%20</c>). Only the syntax is checked here.
/// </summary>
public sealed class ControlLine
{
    /// <summary>Maximum length of a line, in bytes.</summary>
    public const int MaxLength = 1024;

    private readonly Dictionary<string, string> _options;

    private ControlLine(string word, Dictionary<string, string> options)
    {
        Command = word;
        _options = options;
    }

    /// <summary>Name of the command.</summary>
    public string Command { get; }

    /// <summary>First word of a line; empty for a blank line.</summary>
    public static string CommandOf(string line)
        => line.Split((char[]?)null, 2, StringSplitOptions.RemoveEmptyEntries) is [var word, ..] ? word : "";

    /// <summary>A <c>name=value</c> pair as it is written in a line.</summary>
    public static string Pair(string name, string value) => $"{name}={Uri.EscapeDataString(value)}";

    /// <summary>Parses a line.</summary>
    /// <param name="line">The line.</param>
    /// <param name="words">The commands and their options.</param>
    /// <exception cref="ToolException">
    /// Unknown command or option, repeated option, or missing value; the message lists the valid ones.
    /// </exception>
    public static ControlLine Parse(string line, IReadOnlyDictionary<string, string[]> words)
    {
        if (line.Length > MaxLength)
        {
            throw new ToolException($"the command line has {line.Length} characters; the limit is {MaxLength}");
        }

        string[] parts = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        string word = parts is [] ? "" : parts[0];
        if (!words.TryGetValue(word, out string[]? known))
        {
            throw new ToolException(
                $"unknown command '{word}'{Spelling.Hint(word, words.Keys)}; expected one of {string.Join(", ", words.Keys.Order())}");
        }

        var options = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string part in parts.Skip(1))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? part : part[..equals];
            if (!known.Contains(name))
            {
                throw new ToolException(known.Length == 0
                    ? $"unknown option '{part}'; '{word}' has no options"
                    : $"unknown option '{name}' of '{word}'{Spelling.Hint(name, known)}; expected one of "
                    + $"{string.Join(", ", known.Select(k => k + "="))}");
            }

            if (equals < 0 || equals == part.Length - 1)
            {
                throw new ToolException($"option '{name}' requires a value: {name}=VALUE");
            }

            if (!options.TryAdd(name, Uri.UnescapeDataString(part[(equals + 1)..])))
            {
                throw new ToolException($"option '{name}' is given twice");
            }
        }

        return new ControlLine(word, options);
    }

    /// <summary>Value of an option; null if it is not given.</summary>
    public string? this[string name] => _options.GetValueOrDefault(name);

    /// <summary>Value of a numeric option.</summary>
    /// <exception cref="ToolException">Not a number, or out of range.</exception>
    public long Number(string name, long otherwise, long least, long most)
        => this[name] is not { } text ? otherwise
            : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long value) && value >= least
            && value <= most ? value
            : throw new ToolException($"{name}={text}: expected a number from {least} to {most}");
}
