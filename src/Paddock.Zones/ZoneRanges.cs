using Paddock.Block;

namespace Paddock.Zones;

/// <summary>Open, close, finish and reset over ranges: checked whole, then applied (zoned-qcow2.md 3, range requests).</summary>
internal sealed class ZoneRanges(ZoneStates zones)
{
    /// <summary>See <see cref="ZoneSet.CheckRange"/>.</summary>
    public ZoneResult Check(ZoneAction action, long offset, long length, out ZoneRange range)
    {
        ref readonly var geometry = ref zones.Geometry;
        range = new ZoneRange(0, -1);
        if (offset < 0 || length <= 0 || length > geometry.DiskLength - offset)
        {
            return ZoneResult.Refused(ZoneError.OutOfRange, zones.NearestZone(offset));
        }

        long end = offset + length;
        int first = geometry.ZoneOf(offset), last = geometry.ZoneOf(end - 1);
        if (!geometry.IsZoneStart(offset) || (end != geometry.DiskLength && !geometry.IsZoneStart(end)))
        {
            return ZoneResult.Refused(ZoneError.Unaligned, geometry.IsZoneStart(offset) ? last : first);
        }

        if (action == ZoneAction.Reset && length == geometry.DiskLength)
        {
            first = geometry.ConventionalZones;
        }

        ZoneResult result = CheckTransitions(action, first, last);
        if (result.IsOk && action is ZoneAction.Open or ZoneAction.OpenWithRandomArea)
        {
            ZoneResult resources = CheckOpenResources(first, last);
            result = !resources.IsOk ? resources
                : action == ZoneAction.OpenWithRandomArea ? RandomAreas.CheckAllocation(zones, first, last, result) : result;
        }

        if (result.IsOk)
        {
            range = new ZoneRange(first, last);
        }

        return result;
    }

    /// <summary>See <see cref="ZoneSet.NextChange"/>.</summary>
    public int NextChange(ZoneAction action, ZoneRange range, int from)
    {
        ZoneCondition stays = ConditionAfter(action);
        for (int zone = Math.Max(from, range.First); zone <= range.Last; zone++)
        {
            ZoneCondition condition = zones.ConditionOf(zone);
            bool changes = action == ZoneAction.Close
                ? condition is ZoneCondition.ImplicitlyOpen or ZoneCondition.ExplicitlyOpen
                : condition != stays;
            if (changes)
            {
                return zone;
            }
        }

        return -1;
    }

    /// <summary>See <see cref="ZoneSet.Apply"/>.</summary>
    public int Apply(ZoneAction action, ZoneRange range)
    {
        if (action is ZoneAction.Open or ZoneAction.OpenWithRandomArea)
        {
            return ApplyOpen(range, allocates: action == ZoneAction.OpenWithRandomArea);
        }

        int changed = 0;
        for (int zone = NextChange(action, range, range.First); zone >= 0; zone = NextChange(action, range, zone + 1))
        {
            changed++;
            switch (action)
            {
                case ZoneAction.Close:
                    zones.MakeClosed(zone);
                    break;
                case ZoneAction.Finish:
                    zones.RequireIdle(zone);
                    zones.MakeFull(zone);
                    break;
                default:
                    zones.RequireIdle(zone);
                    zones.MakeEmpty(zone);
                    break;
            }
        }

        return changed;
    }

    private static ZoneCondition ConditionAfter(ZoneAction action) => action switch
    {
        ZoneAction.Open or ZoneAction.OpenWithRandomArea => ZoneCondition.ExplicitlyOpen,
        ZoneAction.Close => ZoneCondition.Closed,
        ZoneAction.Finish => ZoneCondition.Full,
        _ => ZoneCondition.Empty,
    };

    /// <summary>The rows of the state table, without resources.</summary>
    private static ZoneError CheckTransition(ZoneAction action, ZoneCondition from) => from switch
    {
        ZoneCondition.NotWritePointer => ZoneError.Conventional,
        ZoneCondition.ReadOnly => ZoneError.ReadOnly,
        ZoneCondition.Offline => ZoneError.Offline,
        ZoneCondition.Full when action is ZoneAction.Open or ZoneAction.OpenWithRandomArea => ZoneError.Full,
        ZoneCondition.Full when action == ZoneAction.Close => ZoneError.InvalidTransition,
        _ => ZoneError.None,
    };

    private ZoneResult CheckTransitions(ZoneAction action, int first, int last)
    {
        int notMoved = -1;
        for (int zone = first; zone <= last; zone++)
        {
            // A conventional zone that is READ ONLY is rejected as a conventional one.
            ZoneError error = zones.Geometry.IsSequential(zone) ? CheckTransition(action, zones.ConditionOf(zone)) : ZoneError.Conventional;
            if (error != ZoneError.None)
            {
                return ZoneResult.Refused(error, zone);
            }

            if (notMoved < 0 && action == ZoneAction.Close && zones.ConditionOf(zone) == ZoneCondition.Empty)
            {
                notMoved = zone;
            }
        }

        return ZoneResult.Done(notMoved >= 0 ? notMoved : Math.Min(first, last), noTransition: notMoved >= 0);
    }

    /// <summary>
    /// The range is opened as a whole: implicitly open zones in it keep the resource they have, CLOSED and EMPTY ones take an open one
    /// each, EMPTY ones an active one too, and only implicitly open zones outside the range can be evicted for them.
    /// </summary>
    private ZoneResult CheckOpenResources(int first, int last)
    {
        uint maxOpen = zones.Resources.MaxOpen, maxActive = zones.Resources.MaxActive;
        long active = zones.Resources.Active, open = zones.Resources.ExplicitlyOpen;
        for (int zone = first; zone <= last && maxOpen != 0; zone++)
        {
            open += zones.ConditionOf(zone) == ZoneCondition.ImplicitlyOpen ? 1 : 0;
        }

        for (int zone = first; zone <= last; zone++)
        {
            ZoneCondition condition = zones.ConditionOf(zone);
            if (condition == ZoneCondition.Empty && maxActive != 0 && ++active > maxActive)
            {
                return ZoneResult.Refused(ZoneError.TooManyActive, zone);
            }

            if (condition is ZoneCondition.Empty or ZoneCondition.Closed && maxOpen != 0 && ++open > maxOpen)
            {
                return ZoneResult.Refused(ZoneError.TooManyOpen, zone);
            }
        }

        return ZoneResult.Done(first);
    }

    private int ApplyOpen(ZoneRange range, bool allocates)
    {
        int changed = 0;

        // Implicitly open zones of the range first: they have their resource, and must not be evicted for their neighbours.
        for (int zone = range.First; zone <= range.Last; zone++)
        {
            if (zones.ConditionOf(zone) == ZoneCondition.ImplicitlyOpen)
            {
                zones.Change(zone, ZoneCondition.ExplicitlyOpen);
                changed++;
            }
        }

        for (int zone = range.First; zone <= range.Last; zone++)
        {
            if (zones.ConditionOf(zone) != ZoneCondition.ExplicitlyOpen)
            {
                zones.MakeRoom();
                zones.Change(zone, ZoneCondition.ExplicitlyOpen);
                changed++;
            }

            if (allocates)
            {
                zones.SetArea(zone, true);
            }
        }

        return changed;
    }
}
