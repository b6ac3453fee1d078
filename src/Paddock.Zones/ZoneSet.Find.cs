using Paddock.Block;

namespace Paddock.Zones;

/// <summary>Reports of the zones in some conditions: their cost is bounded by what they list, not by the number of zones.</summary>
public sealed partial class ZoneSet
{
    /// <summary>Describes the zones in some conditions, from the one that holds an offset on, as many as there are and fit.</summary>
    /// <param name="offset">A byte of the first zone that is looked at.</param>
    /// <param name="which">Which are wanted.</param>
    /// <param name="zones">Filled from its start.</param>
    /// <param name="count">Whether all of them are counted, or only those that fit.</param>
    public ZoneFindings Find(long offset, ZoneConditionSet which, Span<ZoneDescriptor> zones, bool count)
    {
        if (offset < 0 || offset >= _geometry.DiskLength)
        {
            return default;
        }

        int first = _geometry.ZoneOf(offset), filled = 0;
        for (int zone = first; filled < zones.Length && (zone = _tally.Next(_conditions, zone, which)) >= 0; zone++)
        {
            zones[filled++] = Describe(zone);
        }

        int matching = !count ? filled : which == ZoneConditionSet.All ? Count - first : _tally.Count(_conditions, first, which);
        return new ZoneFindings(filled, matching);
    }

    private void SetCondition(int zone, ZoneCondition condition)
    {
        _tally.Move(zone, _conditions[zone], (byte)condition);
        _conditions[zone] = (byte)condition;
    }
}
