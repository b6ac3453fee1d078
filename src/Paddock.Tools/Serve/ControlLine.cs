using System.Globalization;

namespace Paddock.Tools.Serve;

/// <summary>
/// One line of the control socket or of a script: a word, then <c>name=value</c> in any order. What a line may say is checked here, what it
/// means for the images is not.
/// </summary>
public sealed class ControlLine
{
    /// <summary>Longest line, in bytes.</summary>
    public const int MaxLength = 1024;

    private readonly Dictionary<string, string> _options;

    private ControlLine(string word, Dictionary<string, string> options)
    {
        Command = word;
        _options = options;
    }

    /// <summary>What to do.</summary>
    public string Command { get; }

    /// <summary>The word that a line begins with; empty where there is none.</summary>
    public static string CommandOf(string line) => line.Split((char[]?)null, 2, StringSplitOptions.RemoveEmptyEntries) is [var word, ..] ? word : "";

    /// <summary>Reads a line.</summary>
    /// <param name="line">The line.</param>
    /// <param name="words">The words that there are, and what each may have behind it.</param>
    /// <exception cref="ToolException">A word or an option that there is not, one twice, or one without a value; the message says what there is.</exception>
    public static ControlLine Parse(string line, IReadOnlyDictionary<string, string[]> words)
    {
        if (line.Length > MaxLength)
        {
            throw new ToolException($"a line has at most {MaxLength} characters");
        }

        string[] parts = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        string word = parts is [] ? "" : parts[0];
        if (!words.TryGetValue(word, out string[]? known))
        {
            throw new ToolException($"there is no word '{word}'{Hint(word, words.Keys)}: say {string.Join(", ", words.Keys.Order())}");
        }

        var options = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string part in parts.Skip(1))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? part : part[..equals];
            if (!known.Contains(name))
            {
                throw new ToolException(known.Length == 0
                    ? $"'{word}' takes nothing behind it, not '{part}'"
                    : $"'{word}' has no '{name}'{Hint(name, known)}: it takes {string.Join(", ", known.Select(k => k + "="))}");
            }

            if (equals < 0 || equals == part.Length - 1)
            {
                throw new ToolException($"'{name}' takes a value: {name}=...");
            }

            if (!options.TryAdd(name, part[(equals + 1)..]))
            {
                throw new ToolException($"'{name}' is there twice");
            }
        }

        return new ControlLine(word, options);
    }

    /// <summary>An option's text; null where it is not there.</summary>
    public string? this[string name] => _options.GetValueOrDefault(name);

    /// <summary>A whole number within limits.</summary>
    /// <exception cref="ToolException">It is none, or outside.</exception>
    public long Number(string name, long otherwise, long least, long most)
        => this[name] is not { } text ? otherwise
            : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long value) && value >= least && value <= most ? value
            : throw new ToolException($"{name}={text}: a number from {least} to {most} is wanted");

    // the nearest word, where one is near
    private static string Hint(string given, IEnumerable<string> known)
    {
        var (near, distance) = known.Select(k => (k, Distance(given, k))).MinBy(static p => p.Item2);
        return given.Length > 0 && distance <= (near.Length + 2) / 3 ? $" (did you mean '{near}'?)" : "";
    }

    // Levenshtein's, over words of a few letters
    private static int Distance(string a, string b)
    {
        a = a.Length > 32 ? a[..32] : a;
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(change, 1 + Math.Min(row[j], row[j - 1]));
            }
        }

        return row[b.Length];
    }
}
