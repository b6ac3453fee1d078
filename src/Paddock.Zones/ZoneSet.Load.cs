using Paddock.Block;

namespace Paddock.Zones;

/// <summary>Conditions from stored write pointers (spec 1.3), and conditions that only an administrator sets (spec 1.4).</summary>
public sealed partial class ZoneSet
{
    /// <summary>
    /// Takes over the pointers of an image or of a snapshot; whatever was open or busy is forgotten. Conditions are derived: at
    /// the start EMPTY,
    /// at or after the capacity FULL, between them CLOSED. A pointer that no zone can have makes its zone OFFLINE.
    /// </summary>
    /// <param name="pointers">One a zone, absolute, in bytes; a conventional zone's is not looked at.</param>
    /// <param name="fixedConditions">One a zone or none at all: READ ONLY or OFFLINE hold, anything else is derived.</param>
    public void Load(ReadOnlySpan<long> pointers, ReadOnlySpan<ZoneCondition> fixedConditions = default)
    {
        if (pointers.Length != Count || (fixedConditions.Length != 0 && fixedConditions.Length != Count))
        {
            throw new ArgumentException($"a disk of {Count} zones needs as many pointers and conditions");
        }

        Clear();
        for (int zone = _geometry.ConventionalZones; zone < pointers.Length; zone++)
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

    /// <summary>Sets one zone's stored pointer, as <see cref="Load"/> does; for a zone that is mended or copied. The zone is not
    /// busy.</summary>
    public void SetLoaded(int zone, long writePointer)
    {
        RequireIdle(zone);
        Release(zone);
        if (_geometry.IsSequential(zone))
        {
            LoadPointer(zone, writePointer);
        }
        else
        {
            SetCondition(zone, ZoneCondition.NotWritePointer);
        }
    }

    /// <summary>
    /// Makes a zone READ ONLY or OFFLINE, giving back its resources. Its pointer stays (a READ ONLY zone's data ends there).
    /// <see cref="SetLoaded"/> takes it out of that condition.
    /// </summary>
    public void SetFixed(int zone, ZoneCondition condition)
    {
        if (condition is not (ZoneCondition.ReadOnly or ZoneCondition.Offline))
        {
            throw new ArgumentException($"a zone is not set to {condition} from outside", nameof(condition));
        }

        RequireIdle(zone);
        Release(zone);
        SetCondition(zone, condition);
    }

    private void LoadPointer(int zone, long pointer)
    {
        long start = _geometry.StartOf(zone);
        long inside = pointer - start;
        if (inside == 0)
        {
            _pointers[zone] = start;
            SetCondition(zone, ZoneCondition.Empty);
        }
        else if (inside < 0 || inside > _geometry.ZoneSize || inside % ZoneGeometry.SectorSize != 0)
        {
            _pointers[zone] = start;
            SetCondition(zone, ZoneCondition.Offline);
        }
        else if (inside >= _geometry.CapacityOf(zone))
        {
            _pointers[zone] = _geometry.EndOf(zone);
            SetCondition(zone, ZoneCondition.Full);
        }
        else
        {
            _pointers[zone] = pointer;
            SetCondition(zone, ZoneCondition.Closed);
            _closed++;
        }
    }

    /// <summary>Nothing is open, closed or busy; every sequential zone is EMPTY.</summary>
    private void Clear()
    {
        _implicit = new OpenList(Count);
        _explicit = 0;
        _closed = 0;
        Clear(0, Count);
    }

    /// <summary>Makes zones conventional or EMPTY that hold no resource.</summary>
    private void Clear(int from, int to)
    {
        for (int zone = from; zone < to; zone++)
        {
            _pointers[zone] = _geometry.StartOf(zone);
        }

        int sequential = Math.Clamp(_geometry.ConventionalZones, from, to);
        _conditions.AsSpan(from, sequential - from).Clear(); // that is NOT_WP, 0
        _conditions.AsSpan(sequential, to - sequential).Fill((byte)ZoneCondition.Empty);
        _flags.AsSpan(from, to - from).Clear();
    }

    private void RequireIdle(int zone)
    {
        if (IsBusy(zone))
        {
            throw new InvalidOperationException($"zone {zone} is being written");
        }
    }
}
