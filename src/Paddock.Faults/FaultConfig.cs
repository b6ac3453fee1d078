using System.Globalization;
using System.Numerics;
using Paddock.Block;

namespace Paddock.Faults;

/// <summary>Reads the text of a blkdebug configuration: sections [inject-error] and [set-state] with lines <c>key = "value"</c>.</summary>
/// <remarks>
/// Lines are parsed as strictly as in QEMU: a comment begins in the first column, a key ends at white space (so <c>errno="5"</c> is one
/// long, unknown key) and a value that is not quoted is empty. Errors are <see cref="BlockError.InvalidArgument"/> with QEMU's messages.
/// </remarks>
internal static class FaultConfig
{
    /// <summary>The section with rules that fail requests.</summary>
    public const string InjectError = "inject-error";

    /// <summary>The section with rules that change the state.</summary>
    public const string SetState = "set-state";

    /// <summary>Returns the rules in a text, with those that fail requests first.</summary>
    /// <param name="text">The whole file.</param>
    /// <param name="classOf">Maps an error number to its class.</param>
    public static IReadOnlyList<FaultRule> Parse(string text, Func<int, BlockError> classOf)
    {
        var sections = new List<(string Group, Dictionary<string, string> Options)>();
        var ids = new HashSet<(string Group, string Id)>();
        foreach (var line in text.AsSpan().EnumerateLines())
        {
            if (line.Length == 0 || line[0] == '#')
            {
                continue;
            }

            if (line[0] == '[')
            {
                var (group, id) = ParseHeader(line);
                if (group is not (InjectError or SetState))
                {
                    throw Refusal($"There is no option group '{group}'");
                }

                if (id is not null && !ids.Add((group, id)))
                {
                    throw Refusal($"Duplicate ID '{id}' for {group}");
                }

                sections.Add((group, new Dictionary<string, string>(StringComparer.Ordinal)));
                continue;
            }

            if (ParseLine(line) is { } pair)
            {
                if (sections.Count == 0)
                {
                    throw Refusal("no group defined");
                }

                sections[^1].Options[pair.Key] = pair.Value;
            }
        }

        return sections.Where(static s => s.Group == InjectError).Concat(sections.Where(static s => s.Group == SetState))
            .Select(s => ToRule(s.Group, s.Options, classOf)).ToArray();
    }

    /// <summary>Creates one rule from command-line options (<c>inject-error.0.event=l2_load</c>).</summary>
    /// <param name="group"><see cref="InjectError"/> or <see cref="SetState"/>.</param>
    /// <param name="options">Options by name.</param>
    /// <param name="classOf">Maps an error number to its class.</param>
    public static FaultRule ToRule(string group, IReadOnlyDictionary<string, string> options, Func<int, BlockError> classOf)
    {
        bool injects = group == InjectError;
        foreach (string name in options.Keys)
        {
            bool known = name is "event" or "state"
                || (injects ? name is "iotype" or "errno" or "sector" or "once" or "immediately" or "delay-ns" : name == "new_state");
            if (!known)
            {
                throw Refusal($"Invalid parameter '{name}'");
            }
        }

        // values are validated before a missing event is reported
        int state = (int)Number(options, "state", 0);
        if (!injects)
        {
            int newState = (int)Number(options, "new_state", 0);
            return new SetStateRule { Event = EventOf(options), State = state, NewState = newState };
        }

        int errno = (int)Number(options, "errno", 5);
        return new InjectErrorRule
        {
            State = state,
            Errno = errno,
            Error = classOf(errno),
            Sector = Number(options, "sector", -1),
            Once = Switch(options, "once"),
            Immediately = Switch(options, "immediately"),
            Delay = TimeSpan.FromMicroseconds(Number(options, "delay-ns", 0) / 1000.0),
            Event = EventOf(options),
            Io = IoOf(options),
        };
    }

    private static (string Group, string? Id) ParseHeader(ReadOnlySpan<char> line)
    {
        int end = line.IndexOf(']');
        var inside = end < 0 ? line[1..] : line[1..end];
        int quote = inside.IndexOf(" \"");
        return quote > 0 && inside.EndsWith("\"") && inside.Length > quote + 2
            ? (inside[..quote].ToString(), inside[(quote + 2)..^1].ToString())
            : (inside.ToString(), null);
    }

    private static (string Key, string Value)? ParseLine(ReadOnlySpan<char> line)
    {
        line = line.Trim();
        if (line.Length == 0)
        {
            return null;
        }

        int end = line.IndexOfAny(' ', '\t');
        string key = (end < 0 ? line : line[..end]).ToString();
        var rest = end < 0 ? [] : line[end..].TrimStart();
        if (rest is not ['=', ..])
        {
            return (key, "");
        }

        rest = rest[1..].TrimStart();
        if (rest is not ['"', ..])
        {
            return (key, "");
        }

        rest = rest[1..];
        int quote = rest.IndexOf('"');
        return (key, (quote < 0 ? rest : rest[..quote]).ToString());
    }

    private static string EventOf(IReadOnlyDictionary<string, string> options)
    {
        string name = options.TryGetValue("event", out var value) ? value : throw Refusal("Missing event name for rule");
        return FaultEvents.IsKnown(name) ? name : throw Refusal($"invalid parameter value: {name}");
    }

    private static FaultIo IoOf(IReadOnlyDictionary<string, string> options)
        => !options.TryGetValue("iotype", out var value) ? FaultIo.Default : value switch
        {
            "read" => FaultIo.Read,
            "write" => FaultIo.Write,
            "write-zeroes" => FaultIo.WriteZeroes,
            "discard" => FaultIo.Discard,
            "flush" => FaultIo.Flush,
            "block-status" => FaultIo.BlockStatus,
            _ => throw Refusal($"invalid parameter value: {value}"),
        };

    private static long Number(IReadOnlyDictionary<string, string> options, string name, long otherwise)
    {
        if (!options.TryGetValue(name, out var text))
        {
            return otherwise;
        }

        var digits = text.AsSpan().TrimStart();
        bool negative = digits is ['-', ..];
        digits = digits is ['-' or '+', ..] ? digits[1..] : digits;
        bool hex = digits.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        bool octal = !hex && digits is ['0', _, ..];
        ulong value = 0;
        bool parsed = hex
            ? ulong.TryParse(digits[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value)
            : octal ? TryParseOctal(digits, out value) : ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out value);
        return parsed ? (long)(negative ? 0 - value : value) : throw Refusal($"Parameter '{name}' expects a number");
    }

    private static bool TryParseOctal(ReadOnlySpan<char> digits, out ulong value)
    {
        value = 0;
        foreach (char digit in digits)
        {
            if (digit is < '0' or > '7' || BitOperations.LeadingZeroCount(value) < 3)
            {
                return false;
            }

            value = (value << 3) | (uint)(digit - '0');
        }

        return true;
    }

    private static bool Switch(IReadOnlyDictionary<string, string> options, string name)
        => options.TryGetValue(name, out var text) && text switch
        {
            "on" or "yes" or "true" or "y" => true,
            "off" or "no" or "false" or "n" => false,
            _ => throw Refusal($"Parameter '{name}' expects 'on' or 'off'"),
        };

    private static BlockException Refusal(string message) => new(BlockError.InvalidArgument, message) { Errno = 22 };
}
