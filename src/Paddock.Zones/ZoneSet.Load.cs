using Paddock.Block;

namespace Paddock.Zones;

/// <summary>Conditions from stored write pointers (zoned-qcow2.md 1.3), and conditions that only an administrator sets (zoned-qcow2.md 1.4).</summary>
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
    /// <param name="zone">Which.</param>
    /// <param name="writePointer">Absolute, in bytes.</param>
    /// <param name="extended">Whether it has an extension: then it is CLOSED, not EMPTY, when its pointer is at its start.</param>
    public void SetLoaded(int zone, long writePointer, bool extended = false)
    {
        RequireIdle(zone);
        Release(zone);
        SetExtended(zone, extended && _geometry.IsSequential(zone));
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

    /// <summary>
    /// Whether a zone that is READ ONLY or OFFLINE can be given back the condition that its pointer tells: a CLOSED one needs an active
    /// resource.
    /// </summary>
    public ZoneResult CheckRestore(int zone, long writePointer)
    {
        long inside = writePointer - _geometry.StartOf(zone);
        bool closes = _geometry.IsSequential(zone) && inside < _geometry.CapacityOf(zone) && (inside > 0 || IsExtended(zone));
        return closes && _maxActive != 0 && ActiveCount >= _maxActive ? Refuse(ZoneError.TooManyActive, zone) : ZoneResult.Done(zone);
    }

    /// <summary>
    /// Gives an EMPTY zone an extension: it becomes CLOSED, which takes an active resource, and stays so with nothing written in it until a
    /// reset. Refused: <see cref="ZoneError.Conventional"/>, <see cref="ZoneError.InvalidTransition"/> (it is not EMPTY),
    /// <see cref="ZoneError.TooManyActive"/>.
    /// </summary>
    public ZoneResult Extend(int zone)
    {
        ZoneError error = !_geometry.IsSequential(zone) ? ZoneError.Conventional
            : ConditionOf(zone) != ZoneCondition.Empty ? ZoneError.InvalidTransition
            : _maxActive != 0 && ActiveCount >= _maxActive ? ZoneError.TooManyActive
            : ZoneError.None;
        if (error != ZoneError.None)
        {
            return Refuse(error, zone);
        }

        SetExtended(zone, true);
        MakeClosed(zone);
        return ZoneResult.Done(zone);
    }

    private void SetExtended(int zone, bool extended)
        => _flags[zone] = (byte)(extended ? _flags[zone] | (byte)ZoneFlags.Extended : _flags[zone] & (byte)~ZoneFlags.Extended);

    private void LoadPointer(int zone, long pointer)
    {
        long start = _geometry.StartOf(zone);
        long inside = pointer - start;
        if (inside == 0 && IsExtended(zone))
        {
            _pointers[zone] = start;
            SetCondition(zone, ZoneCondition.Closed);
            _closed++;
        }
        else if (inside == 0)
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
        _tally = new ZoneTally(_conditions);
    }

    private void RequireIdle(int zone)
    {
        if (IsBusy(zone))
        {
            throw new InvalidOperationException($"zone {zone} is being written");
        }
    }
}
