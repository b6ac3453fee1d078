using Paddock.Block;

namespace Paddock.Zones;

/// <summary>
/// A disk that changes its length (zoned-qcow2.md 3, Resize). Growing adds EMPTY zones and enlarges a smaller last one: if that one is FULL
/// it stays FULL (its new part reads as zeroes until a reset), since a finished zone must not become writable again by itself, nor take a
/// resource. Shrinking is rejected unless the zones to be removed are EMPTY; a zone that is cut keeps its data, and becomes FULL if the
/// data now fills it.
/// </summary>
internal sealed class ZoneResizing(ZoneStates zones)
{
    /// <summary>See <see cref="ZoneSet.CheckResize"/>.</summary>
    public ZoneResult Check(long length)
    {
        ref readonly var geometry = ref zones.Geometry;
        if (length < 0 || ZoneGeometry.CountFor(length, geometry.ZoneSize) > ZoneGeometry.MaxZones)
        {
            return ZoneResult.Refused(ZoneError.OutOfRange, zones.NearestZone(length));
        }

        if (length % ZoneGeometry.SectorSize != 0)
        {
            return ZoneResult.Refused(ZoneError.Unaligned, zones.NearestZone(length));
        }

        // The last zone first: a disk that is not EMPTY at its end is rejected without a walk.
        for (int zone = zones.Count - 1; zone >= 0 && geometry.EndOf(zone) > length; zone--)
        {
            ZoneError error = CheckCut(zone, length);
            if (error != ZoneError.None)
            {
                return ZoneResult.Refused(error, zone);
            }
        }

        return ZoneResult.Done(zones.NearestZone(length));
    }

    /// <summary>See <see cref="ZoneSet.Resize"/>.</summary>
    public ZoneResult Apply(long length)
    {
        ZoneResult result = Check(length);
        if (!result.IsOk || length == zones.Geometry.DiskLength)
        {
            return result;
        }

        int before = zones.Count, after = (int)ZoneGeometry.CountFor(length, zones.Geometry.ZoneSize);
        for (int zone = after; zone < before; zone++)
        {
            zones.RequireIdle(zone);
        }

        int last = Math.Min(before, after) - 1;
        bool filled = last >= 0 && zones.IsFilled(last);
        zones.Resize(length);
        FitLast(last, filled);
        return result;
    }

    private ZoneError CheckCut(int zone, long length)
    {
        if (!zones.Geometry.IsSequential(zone))
        {
            return ZoneError.Conventional;
        }

        ZoneError error = zones.CheckFixed(zone);
        if (error != ZoneError.None || zones.ConditionOf(zone) == ZoneCondition.Empty)
        {
            return error;
        }

        bool isRemoved = zones.Geometry.StartOf(zone) >= length;
        return isRemoved || zones.DataEndOf(zone) > length ? ZoneError.InvalidTransition : ZoneError.None;
    }

    /// <summary>
    /// Adapts the last zone that was there before, which may have another length: a FULL one moves its pointer, and a cut may have made it
    /// FULL.
    /// </summary>
    private void FitLast(int zone, bool filled)
    {
        if (zone < 0 || !zones.Geometry.IsSequential(zone))
        {
            return;
        }

        ZoneCondition condition = zones.ConditionOf(zone);
        if (filled && condition is (ZoneCondition.ReadOnly or ZoneCondition.Offline))
        {
            // it was FULL before, and will be when it is restored
            zones.SetPointer(zone, zones.Geometry.EndOf(zone));
        }

        bool writable = condition is ZoneCondition.ImplicitlyOpen or ZoneCondition.ExplicitlyOpen or ZoneCondition.Closed;
        if (condition == ZoneCondition.Full || (writable && zones.IsFilled(zone)))
        {
            zones.RequireIdle(zone);
            zones.MakeFull(zone);
        }
    }
}
