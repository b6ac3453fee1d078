using Paddock.Block;

namespace Paddock.Zones;

/// <summary>
/// Random write areas (ZNS command set 1.2, zone random write area). An area begins at the write pointer of its zone, and moves with it. A
/// write may begin anywhere in the area, and in as many bytes above it (the implicit commit region): then the pointer moves by whole units
/// of commit until the area holds the end of the write. A commit moves it explicitly.
/// </summary>
internal static class RandomAreas
{
    /// <summary>Whether a write lies in the area of a zone that has one, or in the region above it.</summary>
    public static bool Takes(ZoneStates zones, int zone, long offset, long length)
    {
        long inside = offset - zones.PointerOf(zone);
        return inside >= 0 && length <= (2 * zones.Area.Size) - inside;
    }

    /// <summary>The pointer after a write that was taken and ends at an offset.</summary>
    public static long PointerAfter(ZoneStates zones, int zone, long end)
    {
        long pointer = zones.PointerOf(zone), unit = zones.Area.Granularity;
        long beyond = end - pointer - zones.Area.Size;
        return beyond <= 0 ? pointer : Math.Min(pointer + ((beyond + unit - 1) / unit * unit), zones.CapacityEndOf(zone));
    }

    /// <summary>Whether each zone of a range has an area or can get one.</summary>
    /// <param name="zones">The zones.</param>
    /// <param name="first">Index of the first zone.</param>
    /// <param name="last">Index of the last zone.</param>
    /// <param name="passed">What the other checks have returned.</param>
    public static ZoneResult CheckAllocation(ZoneStates zones, int first, int last, ZoneResult passed)
    {
        long more = 0;
        for (int zone = first; zone <= last; zone++)
        {
            if (zones.HasArea(zone))
            {
                continue;
            }

            ZoneError error = zones.Area.Size == 0 || zones.ConditionOf(zone) != ZoneCondition.Empty ? ZoneError.InvalidZoneOperation
                : !zones.Resources.HasAreas(++more) ? ZoneError.TooManyRandomAreas
                : ZoneError.None;
            if (error != ZoneError.None)
            {
                return ZoneResult.Refused(error, zone);
            }
        }

        return passed;
    }

    /// <summary>See <see cref="ZoneSet.Commit"/>.</summary>
    public static ZoneResult Commit(ZoneStates zones, long end)
    {
        ref readonly var geometry = ref zones.Geometry;
        if (end <= 0 || end > geometry.DiskLength)
        {
            return ZoneResult.Refused(ZoneError.OutOfRange, zones.NearestZone(end));
        }

        int zone = geometry.ZoneOf(end - 1);
        ZoneError error = CheckCommit(zones, zone, end);
        if (error != ZoneError.None)
        {
            return ZoneResult.Refused(error, zone);
        }

        zones.RequireIdle(zone);
        int evicted = -1;
        if (zones.ConditionOf(zone) == ZoneCondition.Closed)
        {
            error = zones.Resources.CheckOpen(ZoneCondition.Closed);
            if (error != ZoneError.None)
            {
                return ZoneResult.Refused(error, zone);
            }

            evicted = zones.MakeRoom();
            zones.Change(zone, ZoneCondition.ImplicitlyOpen);
        }
        else if (zones.ConditionOf(zone) == ZoneCondition.ImplicitlyOpen)
        {
            zones.Resources.Touch(zone);
        }

        zones.SetPointer(zone, end);
        if (zones.IsFilled(zone))
        {
            zones.MakeFull(zone);
        }

        return ZoneResult.Done(zone, evicted);
    }

    private static ZoneError CheckCommit(ZoneStates zones, int zone, long end)
    {
        ZoneError error = zones.Geometry.IsSequential(zone) ? zones.CheckFixed(zone) : ZoneError.Conventional;
        if (error != ZoneError.None)
        {
            return error;
        }

        long length = end - zones.PointerOf(zone);
        bool fits = zones.HasArea(zone) && length > 0 && end <= zones.AreaEndOf(zone)
            && (length % zones.Area.Granularity == 0 || end == zones.CapacityEndOf(zone));
        return fits ? ZoneError.None : ZoneError.InvalidZoneOperation;
    }
}
