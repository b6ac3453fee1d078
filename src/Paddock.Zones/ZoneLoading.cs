using Paddock.Block;

namespace Paddock.Zones;

/// <summary>
/// Conditions from stored write pointers (zoned-qcow2.md 1.3), and conditions that only an administrator sets (zoned-qcow2.md 1.4).
/// </summary>
internal sealed class ZoneLoading(ZoneStates zones)
{
    /// <summary>See <see cref="ZoneSet.Load"/>.</summary>
    public void Load(ReadOnlySpan<long> pointers, ReadOnlySpan<ZoneCondition> fixedConditions)
    {
        if (pointers.Length != zones.Count || (fixedConditions.Length != 0 && fixedConditions.Length != zones.Count))
        {
            throw new ArgumentException($"a disk of {zones.Count} zones needs as many pointers and conditions");
        }

        zones.Clear();
        for (int zone = zones.Geometry.ConventionalZones; zone < pointers.Length; zone++)
        {
            LoadPointer(zone, pointers[zone]);
        }

        for (int zone = 0; zone < fixedConditions.Length; zone++)
        {
            if (fixedConditions[zone] is ZoneCondition.ReadOnly or ZoneCondition.Offline)
            {
                SetFixed(zone, fixedConditions[zone]);
            }
        }
    }

    /// <summary>See <see cref="ZoneSet.SetLoaded"/>.</summary>
    public void SetLoaded(int zone, long writePointer, bool extended, bool randomArea)
    {
        zones.RequireIdle(zone);
        bool sequential = zones.Geometry.IsSequential(zone);
        zones.SetArea(zone, false);
        zones.SetExtended(zone, extended && sequential);
        if (sequential)
        {
            LoadPointer(zone, writePointer);
            if (randomArea && zones.Area.Size != 0 && zones.ConditionOf(zone) is ZoneCondition.Empty or ZoneCondition.Closed)
            {
                zones.SetArea(zone, true);
                zones.MakeClosed(zone);
            }
        }
        else
        {
            zones.Change(zone, ZoneCondition.NotWritePointer);
        }
    }

    /// <summary>See <see cref="ZoneSet.SetFixed"/>.</summary>
    public void SetFixed(int zone, ZoneCondition condition)
    {
        if (condition is not (ZoneCondition.ReadOnly or ZoneCondition.Offline))
        {
            throw new ArgumentException($"a zone cannot be set to {condition}: only READ ONLY and OFFLINE can be set", nameof(condition));
        }

        zones.RequireIdle(zone);
        zones.SetArea(zone, false);
        zones.Change(zone, condition);
    }

    /// <summary>See <see cref="ZoneSet.CheckRestore"/>.</summary>
    public ZoneResult CheckRestore(int zone, long writePointer)
    {
        ref readonly var geometry = ref zones.Geometry;
        long inside = writePointer - geometry.StartOf(zone);
        bool closes = geometry.IsSequential(zone) && inside < geometry.CapacityOf(zone) && (inside > 0 || zones.IsExtended(zone));
        return closes && !zones.Resources.HasActive ? ZoneResult.Refused(ZoneError.TooManyActive, zone) : ZoneResult.Done(zone);
    }

    /// <summary>See <see cref="ZoneSet.Extend"/>.</summary>
    public ZoneResult Extend(int zone, bool randomArea)
    {
        ZoneError error = !zones.Geometry.IsSequential(zone) ? ZoneError.Conventional
            : zones.ConditionOf(zone) != ZoneCondition.Empty ? ZoneError.InvalidTransition
            : randomArea && zones.Area.Size == 0 ? ZoneError.InvalidZoneOperation
            : !zones.Resources.HasActive ? ZoneError.TooManyActive
            : randomArea && !zones.Resources.HasAreas(1) ? ZoneError.TooManyRandomAreas
            : ZoneError.None;
        if (error != ZoneError.None)
        {
            return ZoneResult.Refused(error, zone);
        }

        zones.SetExtended(zone, true);
        zones.SetArea(zone, randomArea);
        zones.MakeClosed(zone);
        return ZoneResult.Done(zone);
    }

    private void LoadPointer(int zone, long pointer)
    {
        ref readonly var geometry = ref zones.Geometry;
        long start = geometry.StartOf(zone);
        long inside = pointer - start;
        if (inside == 0)
        {
            zones.SetPointer(zone, start);
            zones.Change(zone, zones.IsExtended(zone) ? ZoneCondition.Closed : ZoneCondition.Empty);
        }
        else if (inside < 0 || inside > geometry.ZoneSize || inside % ZoneGeometry.SectorSize != 0)
        {
            zones.SetPointer(zone, start);
            zones.Change(zone, ZoneCondition.Offline);
        }
        else if (inside >= geometry.CapacityOf(zone))
        {
            zones.MakeFull(zone);
        }
        else
        {
            zones.SetPointer(zone, pointer);
            zones.Change(zone, ZoneCondition.Closed);
        }
    }
}
