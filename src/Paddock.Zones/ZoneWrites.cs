using Paddock.Block;

namespace Paddock.Zones;

/// <summary>Writes and appends: the write rule, and the resources that a write acquires and frees (zoned-qcow2.md 3).</summary>
internal sealed class ZoneWrites(ZoneStates zones)
{
    /// <summary>See <see cref="ZoneSet.BeginWrite"/>.</summary>
    public ZoneResult BeginWrite(long offset, long length)
    {
        ref readonly var geometry = ref zones.Geometry;
        if (offset < 0 || length <= 0 || length > geometry.DiskLength - offset)
        {
            return ZoneResult.Refused(ZoneError.OutOfRange, zones.NearestZone(offset));
        }

        int zone = geometry.ZoneOf(offset);
        if (!geometry.IsSequential(zone))
        {
            return CheckConventional(zone, geometry.ZoneOf(offset + length - 1));
        }

        ZoneError error = CheckSequential(zone, length);
        if (error == ZoneError.None && (offset != zones.PointerOf(zone) || zones.HasArea(zone)))
        {
            error = offset % ZoneGeometry.SectorSize != 0 ? ZoneError.Unaligned
                : zones.HasArea(zone) && RandomAreas.Takes(zones, zone, offset, length) ? ZoneError.None
                : ZoneError.NotAtWritePointer;
        }

        if (error == ZoneError.None && length > geometry.StartOf(zone) + geometry.CapacityOf(zone) - offset)
        {
            error = ZoneError.BoundaryCrossed;
        }

        return error == ZoneError.None ? Begin(zone) : ZoneResult.Refused(error, zone);
    }

    /// <summary>See <see cref="ZoneSet.BeginAppend"/>.</summary>
    public ZoneResult BeginAppend(long zoneStart, long length, out long offset)
    {
        ref readonly var geometry = ref zones.Geometry;
        offset = 0;
        if (zoneStart < 0 || zoneStart >= geometry.DiskLength || length <= 0)
        {
            return ZoneResult.Refused(ZoneError.OutOfRange, zones.NearestZone(zoneStart));
        }

        int zone = geometry.ZoneOf(zoneStart);
        ZoneError error = !geometry.IsZoneStart(zoneStart) ? ZoneError.Unaligned
            : !geometry.IsSequential(zone) ? ZoneError.Conventional
            : zones.MaxAppend != 0 && length > zones.MaxAppend ? ZoneError.AppendTooLong
            : CheckSequential(zone, length);
        if (error == ZoneError.None && zones.HasArea(zone))
        {
            error = ZoneError.InvalidZoneOperation;
        }

        if (error == ZoneError.None && length > zoneStart + geometry.CapacityOf(zone) - zones.PointerOf(zone))
        {
            error = ZoneError.BoundaryCrossed;
        }

        if (error != ZoneError.None)
        {
            return ZoneResult.Refused(error, zone);
        }

        ZoneResult result = Begin(zone);
        if (result.IsOk)
        {
            offset = zones.PointerOf(zone);
        }

        return result;
    }

    /// <summary>See <see cref="ZoneSet.EndWrite(int, long, long, bool)"/>.</summary>
    public void EndWrite(int zone, long offset, long length, bool success)
    {
        if (!zones.Geometry.IsSequential(zone))
        {
            return;
        }

        if (!zones.IsBusy(zone))
        {
            throw new InvalidOperationException($"zone {zone} is not being written");
        }

        bool opened = zones.ClearBusy(zone);
        if (success)
        {
            zones.SetPointer(
                zone, zones.HasArea(zone) ? RandomAreas.PointerAfter(zones, zone, offset + length) : zones.PointerOf(zone) + length);
            if (zones.IsFilled(zone))
            {
                zones.MakeFull(zone);
            }
        }
        else if (zones.ConditionOf(zone) == ZoneCondition.Closed || (opened && zones.ConditionOf(zone) == ZoneCondition.ImplicitlyOpen))
        {
            // Either evicted or closed meanwhile, or opened for nothing.
            zones.MakeClosed(zone);
        }
    }

    /// <summary>See <see cref="ZoneSet.CheckDiscard"/>.</summary>
    public ZoneResult CheckDiscard(long offset, long length)
    {
        ref readonly var geometry = ref zones.Geometry;
        if (offset < 0 || length < 0 || length > geometry.DiskLength - offset)
        {
            return ZoneResult.Refused(ZoneError.OutOfRange, zones.NearestZone(offset));
        }

        if (length == 0)
        {
            return ZoneResult.Done(zones.NearestZone(offset));
        }

        int first = geometry.ZoneOf(offset), last = geometry.ZoneOf(offset + length - 1);
        return geometry.IsSequential(last)
            ? ZoneResult.Refused(ZoneError.Sequential, Math.Max(first, geometry.ConventionalZones))
            : CheckConventional(first, last);
    }

    private ZoneResult CheckConventional(int first, int last)
    {
        if (zones.Geometry.IsSequential(last))
        {
            return ZoneResult.Refused(ZoneError.BoundaryCrossed, zones.Geometry.ConventionalZones);
        }

        for (int zone = first; zone <= last; zone++)
        {
            ZoneError error = zones.CheckFixed(zone);
            if (error != ZoneError.None)
            {
                return ZoneResult.Refused(error, zone);
            }
        }

        return ZoneResult.Done(first);
    }

    private ZoneError CheckSequential(int zone, long length)
    {
        ZoneError error = zones.CheckFixed(zone);
        return error != ZoneError.None ? error
            : length % ZoneGeometry.SectorSize != 0 ? ZoneError.Unaligned
            : zones.ConditionOf(zone) == ZoneCondition.Full ? ZoneError.Full
            : ZoneError.None;
    }

    private ZoneResult Begin(int zone)
    {
        zones.RequireIdle(zone);
        ZoneCondition condition = zones.ConditionOf(zone);
        switch (condition)
        {
            case ZoneCondition.ImplicitlyOpen:
                zones.Resources.Touch(zone);
                zones.SetBusy(zone, opened: false);
                return ZoneResult.Done(zone);
            case ZoneCondition.ExplicitlyOpen:
                zones.SetBusy(zone, opened: false);
                return ZoneResult.Done(zone);
        }

        ZoneError error = zones.Resources.CheckOpen(condition);
        if (error != ZoneError.None)
        {
            return ZoneResult.Refused(error, zone);
        }

        int evicted = zones.MakeRoom();
        zones.Change(zone, ZoneCondition.ImplicitlyOpen);
        zones.SetBusy(zone, opened: true);
        return ZoneResult.Done(zone, evicted);
    }
}
