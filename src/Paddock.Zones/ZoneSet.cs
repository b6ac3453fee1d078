using Paddock.Block;

namespace Paddock.Zones;

/// <summary>
/// The zones of one disk: conditions, write pointers and the resources in use, and every rule of spec section 3. It does no I/O, takes no
/// lock and throws for no refusal: the caller serialises calls, moves the data, and words the answers (<see cref="ZoneMessages"/>).
/// </summary>
/// <remarks>
/// A write is two calls, since data goes to the image between them: <see cref="BeginWrite"/> (or <see cref="BeginAppend"/>) and
/// <see cref="EndWrite"/>. Between the two the zone is <em>busy</em>. The caller has at most one write at a time in a sequential
/// zone, and
/// neither finishes, resets nor resizes away a busy zone; anything may happen to other zones meanwhile, and another zone's write
/// may evict
/// this one. Cost of a write, an append, a transition: constant, whatever the number of zones.
/// </remarks>
public sealed partial class ZoneSet
{
    private readonly uint _maxOpen;
    private readonly uint _maxActive;
    private readonly uint _maxAppend;
    private readonly long _zoneCapacity;
    private ZoneGeometry _geometry;

    // Where the next write of a zone must start; for a FULL zone its end, for a conventional one its start.
    private long[] _pointers;
    private byte[] _conditions;
    private byte[] _flags;
    private ZoneTally _tally;
    private OpenList _implicit;
    private int _explicit;
    private int _closed;

    /// <summary>A disk with all sequential zones EMPTY.</summary>
    /// <param name="limits">Geometry and limits; 0 in a limit is "no limit".</param>
    /// <param name="diskLength">Bytes on the disk.</param>
    /// <exception cref="ArgumentException">The geometry contradicts itself or the length: callers check images and options
    /// first.</exception>
    public ZoneSet(in ZonedLimits limits, long diskLength)
    {
        _geometry = new ZoneGeometry(limits, diskLength);
        _maxOpen = limits.MaxOpenZones;
        _maxActive = limits.MaxActiveZones;
        _maxAppend = limits.MaxAppendBytes;
        _zoneCapacity = limits.ZoneCapacity;
        _pointers = new long[limits.ZoneCount];
        _conditions = new byte[limits.ZoneCount];
        _flags = new byte[limits.ZoneCount];
        _implicit = new OpenList(limits.ZoneCount);
        _tally = new ZoneTally(_conditions);
        Clear();
    }

    [Flags]
    private enum ZoneFlags : byte
    {
        None = 0,

        /// <summary>A write has begun and has not ended.</summary>
        Busy = 1,

        /// <summary>That write opened the zone: when it fails, the zone goes back.</summary>
        OpenedByWrite = 2,

        /// <summary>The zone has an extension: while it has, it is not EMPTY, and keeps its active resource until it is full.</summary>
        Extended = 4,
    }

    /// <summary>Where the zones lie.</summary>
    public ZoneGeometry Geometry => _geometry;

    /// <summary>Geometry and limits, as they stand after any resize.</summary>
    public ZonedLimits Limits => new(
        _geometry.ZoneSize, _zoneCapacity, _geometry.ZoneCount, _geometry.ConventionalZones, _maxOpen, _maxActive, _maxAppend);

    /// <summary>Number of zones.</summary>
    public int Count => _geometry.ZoneCount;

    /// <summary>Zones that a write opened.</summary>
    public int ImplicitlyOpenCount => _implicit.Count;

    /// <summary>Zones that a request opened.</summary>
    public int ExplicitlyOpenCount => _explicit;

    /// <summary>Zones that are CLOSED.</summary>
    public int ClosedCount => _closed;

    /// <summary>Open resources in use: implicitly + explicitly open zones.</summary>
    public int OpenCount => _implicit.Count + _explicit;

    /// <summary>Active resources in use: open + closed zones.</summary>
    public int ActiveCount => _implicit.Count + _explicit + _closed;

    /// <summary>Index of the zone that holds a byte of the disk.</summary>
    public int ZoneOf(long offset) => _geometry.ZoneOf(offset);

    /// <summary>Where a zone starts.</summary>
    public long StartOf(int zone) => _geometry.StartOf(zone);

    /// <summary>A zone's length in bytes.</summary>
    public long LengthOf(int zone) => _geometry.LengthOf(zone);

    /// <summary>Writable bytes of a zone.</summary>
    public long CapacityOf(int zone) => _geometry.CapacityOf(zone);

    /// <summary>A zone's condition.</summary>
    public ZoneCondition ConditionOf(int zone) => (ZoneCondition)_conditions[zone];

    /// <summary>Where a zone's next write must start; for a FULL zone its end, for a conventional one its start.</summary>
    public long PointerOf(int zone) => _pointers[zone];

    /// <summary>
    /// The pointer as a zone table stores it: that of a FULL zone is start + zone size (zoned-qcow2.md 1.3), past the end of the disk even, so that
    /// a smaller last zone stays FULL when the disk grows.
    /// </summary>
    public long StoredPointerOf(int zone)
        => _conditions[zone] == (byte)ZoneCondition.Full ? _geometry.StartOf(zone) + _geometry.ZoneSize : _pointers[zone];

    /// <summary>
    /// Where a zone's data ends: what lies there or after it reads as zeroes, whatever the image holds (zoned-qcow2.md 3). An OFFLINE zone's whole
    /// range is "data": whether it may be read at all is the device's decision.
    /// </summary>
    public long DataEndOf(int zone) => ConditionOf(zone) switch
    {
        // a conventional zone that became READ ONLY has no pointer either
        _ when !_geometry.IsSequential(zone) => _geometry.EndOf(zone),
        ZoneCondition.Offline => _geometry.EndOf(zone),
        ZoneCondition.Full => _geometry.StartOf(zone) + _geometry.CapacityOf(zone),
        _ => _pointers[zone],
    };

    /// <summary>True between the begin and the end of a write to a sequential zone.</summary>
    public bool IsBusy(int zone) => (_flags[zone] & (byte)ZoneFlags.Busy) != 0;

    /// <summary>True for a zone that has a zone descriptor extension: it is CLOSED where another would be EMPTY, until a reset.</summary>
    public bool IsExtended(int zone) => (_flags[zone] & (byte)ZoneFlags.Extended) != 0;

    /// <summary>Describes one zone.</summary>
    public ZoneDescriptor Describe(int zone) => new(
        _geometry.StartOf(zone),
        _geometry.LengthOf(zone),
        _geometry.CapacityOf(zone),
        _pointers[zone],
        ConditionOf(zone),
        _geometry.IsSequential(zone) ? ZoneType.SequentialWriteRequired : ZoneType.Conventional);

    /// <summary>Describes the zones from the one that holds an offset on, as many as there are and fit (zoned-qcow2.md 3, Report).</summary>
    /// <returns>How many were described; 0 when the offset is outside the disk.</returns>
    public int Report(long offset, Span<ZoneDescriptor> zones)
    {
        if (offset < 0 || offset >= _geometry.DiskLength)
        {
            return 0;
        }

        int first = _geometry.ZoneOf(offset);
        int count = Math.Min(zones.Length, Count - first);
        for (int i = 0; i < count; i++)
        {
            zones[i] = Describe(first + i);
        }

        return count;
    }

    private static ZoneResult Refuse(ZoneError error, int zone) => ZoneResult.Refused(error, zone);
}
