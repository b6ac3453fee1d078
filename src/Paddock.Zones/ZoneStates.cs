using System.Diagnostics;
using Paddock.Block;

namespace Paddock.Zones;

/// <summary>
/// Condition, write pointer and flags of each zone, and the steps that change them together with the resources that they take. It checks no
/// request: that is what the classes above it do.
/// </summary>
internal sealed class ZoneStates
{
    private readonly long _zoneCapacity;
    private ZoneGeometry _geometry;

    // Where the next write of a zone must start; for a FULL zone its end, for a conventional one its start.
    private long[] _pointers;
    private byte[] _conditions;
    private byte[] _flags;
    private ZoneTally _tally;

    /// <summary>All sequential zones are EMPTY.</summary>
    /// <param name="limits">Geometry and limits; 0 in a limit is "no limit".</param>
    /// <param name="diskLength">Bytes on the disk.</param>
    public ZoneStates(in ZonedLimits limits, long diskLength)
    {
        _geometry = new ZoneGeometry(limits, diskLength);
        _zoneCapacity = limits.ZoneCapacity;
        _pointers = new long[limits.ZoneCount];
        _conditions = new byte[limits.ZoneCount];
        _flags = new byte[limits.ZoneCount];
        _tally = new ZoneTally(_conditions);
        MaxAppend = limits.MaxAppendBytes;
        Area = limits.RandomArea;
        Resources = new ZoneResources(limits.MaxOpenZones, limits.MaxActiveZones, limits.RandomArea.MaxZones, limits.ZoneCount);
        Clear(0, Count);
    }

    [Flags]
    private enum ZoneFlags : byte
    {
        None = 0,

        /// <summary>A write has begun and has not ended.</summary>
        Busy = 1,

        /// <summary>That write opened the zone: when it fails, the zone is closed again.</summary>
        OpenedByWrite = 2,

        /// <summary>
        /// The zone has a descriptor extension: until a reset it is not EMPTY, and it holds its active resource until it is full.
        /// </summary>
        Extended = 4,

        /// <summary>The zone has a random write area: it holds its active resource, and can be written above its write pointer.</summary>
        RandomArea = 8,
    }

    /// <summary>Where the zones lie.</summary>
    public ref readonly ZoneGeometry Geometry => ref _geometry;

    /// <summary>Number of zones.</summary>
    public int Count => _geometry.ZoneCount;

    /// <summary>Longest append in bytes; 0 is "no limit".</summary>
    public uint MaxAppend { get; }

    /// <summary>Size and unit of random write areas.</summary>
    public RandomAreaLimits Area { get; }

    /// <summary>Open and active resources, and random write areas.</summary>
    public ZoneResources Resources { get; }

    /// <summary>Geometry and limits, as they are after any resize.</summary>
    public ZonedLimits Limits => new(
        _geometry.ZoneSize, _zoneCapacity, _geometry.ZoneCount, _geometry.ConventionalZones,
        Resources.MaxOpen, Resources.MaxActive, MaxAppend)
    {
        RandomArea = Area,
    };

    /// <summary>A zone's condition.</summary>
    public ZoneCondition ConditionOf(int zone) => (ZoneCondition)_conditions[zone];

    /// <summary>A zone's write pointer.</summary>
    public long PointerOf(int zone) => _pointers[zone];

    /// <summary>Whether a sequential zone's writable bytes are all written.</summary>
    public bool IsFilled(int zone) => _pointers[zone] - _geometry.StartOf(zone) >= _geometry.CapacityOf(zone);

    /// <summary>True between the begin and the end of a write to a sequential zone.</summary>
    public bool IsBusy(int zone) => (_flags[zone] & (byte)ZoneFlags.Busy) != 0;

    /// <summary>True for a zone that has a zone descriptor extension.</summary>
    public bool IsExtended(int zone) => (_flags[zone] & (byte)ZoneFlags.Extended) != 0;

    /// <summary>True for a zone that has a random write area.</summary>
    public bool HasArea(int zone) => (_flags[zone] & (byte)ZoneFlags.RandomArea) != 0;

    /// <summary>Where the writable part of a zone ends.</summary>
    public long CapacityEndOf(int zone) => _geometry.StartOf(zone) + _geometry.CapacityOf(zone);

    /// <summary>Where the random write area of a zone ends: no later than its capacity.</summary>
    public long AreaEndOf(int zone) => Math.Min(_pointers[zone] + Area.Size, CapacityEndOf(zone));

    /// <summary>The error for a zone that is READ ONLY or OFFLINE.</summary>
    public ZoneError CheckFixed(int zone) => ConditionOf(zone) switch
    {
        ZoneCondition.ReadOnly => ZoneError.ReadOnly,
        ZoneCondition.Offline => ZoneError.Offline,
        _ => ZoneError.None,
    };

    /// <summary>The zone that a refusal names for an offset that may be outside the disk.</summary>
    public int NearestZone(long offset)
        => offset <= 0 || Count == 0 ? 0 : offset >= _geometry.DiskLength ? Count - 1 : _geometry.ZoneOf(offset);

    /// <summary>A busy zone is not changed: the caller must see to it.</summary>
    /// <exception cref="InvalidOperationException">The zone is busy.</exception>
    public void RequireIdle(int zone)
    {
        if (IsBusy(zone))
        {
            throw new InvalidOperationException($"zone {zone} is being written");
        }
    }

    /// <summary>Where a zone's data ends; the whole zone for a conventional or an OFFLINE one.</summary>
    public long DataEndOf(int zone) => ConditionOf(zone) switch
    {
        // a conventional zone that became READ ONLY has no pointer either
        _ when !_geometry.IsSequential(zone) => _geometry.EndOf(zone),
        ZoneCondition.Offline => _geometry.EndOf(zone),
        ZoneCondition.Full => _geometry.StartOf(zone) + _geometry.CapacityOf(zone),
        _ => HasArea(zone) ? AreaEndOf(zone) : _pointers[zone],
    };

    /// <summary>Describes one zone.</summary>
    public ZoneDescriptor Describe(int zone) => new(
        _geometry.StartOf(zone),
        _geometry.LengthOf(zone),
        _geometry.CapacityOf(zone),
        _pointers[zone],
        ConditionOf(zone),
        _geometry.IsSequential(zone) ? ZoneType.SequentialWriteRequired : ZoneType.Conventional)
    {
        HasRandomArea = HasArea(zone),
    };

    /// <summary>The first zone, from one on, whose condition is in a set; -1 if no zone matches.</summary>
    public int Next(int from, ZoneConditionSet which) => _tally.Next(_conditions, from, which);

    /// <summary>Number of zones, from one on, whose condition is in a set.</summary>
    public int CountFrom(int first, ZoneConditionSet which) => _tally.Count(_conditions, first, which);

    /// <summary>Moves a zone's pointer; its condition stays.</summary>
    public void SetPointer(int zone, long pointer) => _pointers[zone] = pointer;

    /// <summary>Sets whether a zone has a descriptor extension; its condition stays.</summary>
    public void SetExtended(int zone, bool extended)
        => _flags[zone] = (byte)(extended ? _flags[zone] | (byte)ZoneFlags.Extended : _flags[zone] & (byte)~ZoneFlags.Extended);

    /// <summary>Gives a zone a random write area, or takes it away; its condition stays.</summary>
    public void SetArea(int zone, bool area)
    {
        if (area != HasArea(zone))
        {
            _flags[zone] ^= (byte)ZoneFlags.RandomArea;
            Resources.CountArea(area);
        }
    }

    /// <summary>A write begins.</summary>
    /// <param name="zone">The zone.</param>
    /// <param name="opened">Whether the write opened it.</param>
    public void SetBusy(int zone, bool opened)
        => _flags[zone] |= (byte)(opened ? ZoneFlags.Busy | ZoneFlags.OpenedByWrite : ZoneFlags.Busy);

    /// <summary>A write ends.</summary>
    /// <returns>Whether it had opened the zone.</returns>
    public bool ClearBusy(int zone)
    {
        bool opened = (_flags[zone] & (byte)ZoneFlags.OpenedByWrite) != 0;
        _flags[zone] &= (byte)(ZoneFlags.Extended | ZoneFlags.RandomArea);
        return opened;
    }

    /// <summary>Changes a zone's condition, and frees and acquires resources accordingly.</summary>
    public void Change(int zone, ZoneCondition condition)
    {
        Resources.Free(zone, ConditionOf(zone));
        Resources.Take(zone, condition);
        _tally.Move(zone, _conditions[zone], (byte)condition);
        _conditions[zone] = (byte)condition;
    }

    /// <summary>FULL, with the pointer at the zone's end and without a random write area.</summary>
    public void MakeFull(int zone)
    {
        SetArea(zone, false);
        _pointers[zone] = _geometry.EndOf(zone);
        Change(zone, ZoneCondition.Full);
    }

    /// <summary>EMPTY, without a descriptor extension or a random write area.</summary>
    public void MakeEmpty(int zone)
    {
        SetArea(zone, false);
        SetExtended(zone, false);
        _pointers[zone] = _geometry.StartOf(zone);
        Change(zone, ZoneCondition.Empty);
    }

    /// <summary>
    /// CLOSED, or EMPTY if nothing is written and the zone has neither an extension nor a random write area; a busy zone keeps its active
    /// resource for the data in flight.
    /// </summary>
    public void MakeClosed(int zone)
    {
        bool empty = _pointers[zone] == _geometry.StartOf(zone) && !IsBusy(zone) && !IsExtended(zone) && !HasArea(zone);
        Change(zone, empty ? ZoneCondition.Empty : ZoneCondition.Closed);
    }

    /// <summary>Closes the least recently written implicitly open zone if no open resource is free.</summary>
    /// <returns>The zone that was closed, or -1.</returns>
    public int MakeRoom()
    {
        int zone = Resources.Evictable;
        if (zone >= 0)
        {
            MakeClosed(zone);
        }

        return zone;
    }

    /// <summary>Nothing is open, closed or busy; every sequential zone is EMPTY.</summary>
    public void Clear()
    {
        Resources.Clear(Count);
        Clear(0, Count);
    }

    /// <summary>The disk has another length: zones that are new are EMPTY, and zones that go hold no resource.</summary>
    public void Resize(long length)
    {
        int before = Count, after = (int)ZoneGeometry.CountFor(length, _geometry.ZoneSize);
        Debug.Assert(after >= before || Next(after, ZoneConditionSet.All & ~ZoneConditionSet.Empty) < 0, "a zone that goes is not EMPTY");
        _geometry = new ZoneGeometry(Limits with { ZoneCount = after }, length);
        Array.Resize(ref _pointers, after);
        Array.Resize(ref _conditions, after);
        Array.Resize(ref _flags, after);
        Resources.Resize(after);
        Clear(Math.Min(before, after), after);
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
}
