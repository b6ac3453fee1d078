using System.Globalization;

namespace Paddock.Images.Text;

/// <summary>A run of zones, by index.</summary>
/// <param name="First">Index of the first.</param>
/// <param name="Count">How many, at least 1.</param>
internal readonly record struct ZoneRun(int First, int Count);

/// <summary>Parses lists of zones: <c>0,3-5</c> or <c>all</c>.</summary>
internal static class ZoneList
{
    /// <summary>Parses a list.</summary>
    /// <param name="text">Indices and ranges, both ends included, with commas between; or <c>all</c>.</param>
    /// <param name="zoneCount">Zones on the disk.</param>
    /// <returns>Sorted runs that neither overlap nor touch.</returns>
    /// <exception cref="ToolException">Not a list, or a zone that does not exist.</exception>
    public static IReadOnlyList<ZoneRun> Parse(string text, int zoneCount)
    {
        if (text == "all")
        {
            return [new ZoneRun(0, zoneCount)];
        }

        var runs = new List<ZoneRun>();
        foreach (string part in text.Split(','))
        {
            int dash = part.IndexOf('-', StringComparison.Ordinal);
            int first = Index(dash < 0 ? part : part[..dash], text, zoneCount);
            int last = dash < 0 ? first : Index(part[(dash + 1)..], text, zoneCount);
            if (last < first)
            {
                throw new ToolException($"zone range '{part}': the first zone must not be above the last");
            }

            runs.Add(new ZoneRun(first, last - first + 1));
        }

        return Merge(runs);
    }

    private static List<ZoneRun> Merge(List<ZoneRun> runs)
    {
        runs.Sort((a, b) => a.First.CompareTo(b.First));
        var merged = new List<ZoneRun>();
        foreach (var run in runs)
        {
            if (merged.Count > 0 && merged[^1] is var last && run.First <= last.First + last.Count)
            {
                int end = Math.Max(last.First + last.Count, run.First + run.Count);
                merged[^1] = new ZoneRun(last.First, end - last.First);
            }
            else
            {
                merged.Add(run);
            }
        }

        return merged;
    }

    private static int Index(string text, string list, int zoneCount)
    {
        if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int index))
        {
            throw new ToolException($"zone list '{list}': expected indices such as 0,3-5, or all");
        }

        return index < zoneCount
            ? index
            : throw new ToolException($"zone {index} does not exist: this disk has zones 0 to {zoneCount - 1}");
    }
}
