using Paddock.Block;

namespace Paddock.Zones;

/// <summary>Lists of zones; the cost of a search is bounded by the zones it lists, not by the number of zones.</summary>
internal sealed class ZoneReports(ZoneStates zones)
{
    /// <summary>See <see cref="ZoneSet.Report"/>.</summary>
    public int Report(long offset, Span<ZoneDescriptor> report)
    {
        if (offset < 0 || offset >= zones.Geometry.DiskLength)
        {
            return 0;
        }

        int first = zones.Geometry.ZoneOf(offset);
        int count = Math.Min(report.Length, zones.Count - first);
        for (int i = 0; i < count; i++)
        {
            report[i] = zones.Describe(first + i);
        }

        return count;
    }

    /// <summary>See <see cref="ZoneSet.Find"/>.</summary>
    public ZoneFindings Find(long offset, ZoneConditionSet which, Span<ZoneDescriptor> report, bool count)
    {
        if (offset < 0 || offset >= zones.Geometry.DiskLength)
        {
            return default;
        }

        int first = zones.Geometry.ZoneOf(offset), filled = 0;
        for (int zone = first; filled < report.Length && (zone = zones.Next(zone, which)) >= 0; zone++)
        {
            report[filled++] = zones.Describe(zone);
        }

        int matching = !count ? filled : which == ZoneConditionSet.All ? zones.Count - first : zones.CountFrom(first, which);
        return new ZoneFindings(filled, matching);
    }
}
