using System.Globalization;
using Paddock.Block;
using Paddock.Images;

namespace Paddock.Cli.Native;

/// <summary>The zones that a command shows: `--range` and `--state`.</summary>
/// <param name="First">Index of the first zone.</param>
/// <param name="Last">Index of the last zone, included; null: the last one of the disk.</param>
/// <param name="States">Conditions of the zones.</param>
public readonly record struct ZoneFilter(int First, int? Last, ZoneConditionSet States)
{
    private const ZoneConditionSet Conventional = (ZoneConditionSet)(1 << (int)ZoneCondition.NotWritePointer);

    private static readonly Dictionary<string, ZoneConditionSet> Words = new(StringComparer.Ordinal)
    {
        ["empty"] = ZoneConditionSet.Empty,
        ["open"] = ZoneConditionSet.Open,
        ["implicit"] = ZoneConditionSet.ImplicitlyOpen,
        ["explicit"] = ZoneConditionSet.ExplicitlyOpen,
        ["closed"] = ZoneConditionSet.Closed,
        ["active"] = ZoneConditionSet.Open | ZoneConditionSet.Closed,
        ["full"] = ZoneConditionSet.Full,
        ["readonly"] = ZoneConditionSet.ReadOnly,
        ["offline"] = ZoneConditionSet.Offline,
        ["conventional"] = Conventional,
    };

    /// <summary>All zones.</summary>
    public static ZoneFilter All { get; } = new(0, null, ZoneConditionSet.All);

    /// <summary>Words of <c>--state</c>.</summary>
    public static IReadOnlyCollection<string> StateWords => Words.Keys;

    /// <summary>Whether every zone of the disk is shown.</summary>
    public bool IsAll => this == All;

    /// <summary>Parses the two options.</summary>
    /// <param name="range">FIRST-LAST, FIRST- or one index; null: all.</param>
    /// <param name="states">Words with commas between; null: all.</param>
    /// <exception cref="ToolException">Invalid value (exit code 64).</exception>
    public static ZoneFilter Parse(string? range, string? states)
    {
        var filter = All with { States = StatesOf(states) };
        if (range is null)
        {
            return filter;
        }

        int dash = range.IndexOf('-', StringComparison.Ordinal);
        string first = dash < 0 ? range : range[..dash], last = dash < 0 ? range : range[(dash + 1)..];
        if (!TryIndex(first, out int from) || (last.Length > 0 && !TryIndex(last, out _)))
        {
            throw new ToolException($"--range '{range}': expected FIRST-LAST, such as 0-63, or one zone", NativeExit.Usage);
        }

        int? to = last.Length == 0 ? null : int.Parse(last, CultureInfo.InvariantCulture);
        return to < from
            ? throw new ToolException($"--range '{range}': the first zone must not be above the last", NativeExit.Usage)
            : filter with { First = from, Last = to };
    }

    /// <summary>Checks the range against a disk and completes it.</summary>
    /// <exception cref="ToolException">The disk does not have all these zones.</exception>
    public ZoneFilter On(int zoneCount)
    {
        int last = Last ?? zoneCount - 1;
        return First < zoneCount && last < zoneCount
            ? this with { Last = last }
            : throw new ToolException(
                $"--range: zone {Math.Max(First, last)} does not exist; this disk has zones 0 to {zoneCount - 1}", NativeExit.Usage);
    }

    /// <summary>Whether zones in a condition are shown.</summary>
    public bool Includes(ZoneCondition condition) => ((int)States >> (int)condition & 1) != 0;

    private static bool TryIndex(string text, out int index)
        => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out index);

    private static ZoneConditionSet StatesOf(string? text)
    {
        if (text is null)
        {
            return ZoneConditionSet.All;
        }

        var set = ZoneConditionSet.None;
        foreach (string word in text.Split(','))
        {
            set |= Words.TryGetValue(word, out var states) ? states
                : throw new ToolException($"--state '{word}': expected one or more of {string.Join(",", Words.Keys)}", NativeExit.Usage);
        }

        return set;
    }
}
