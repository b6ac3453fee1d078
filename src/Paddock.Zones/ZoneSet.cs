using Paddock.Block;

namespace Paddock.Zones;

/// <summary>
/// The zones of one disk: conditions, write pointers and the resources in use, and every rule of zoned-qcow2.md 3. It does no I/O, takes no
/// lock and throws for no refusal: the caller serialises calls, moves the data, and turns refusals into messages
/// (<see cref="ZoneMessages"/>).
/// </summary>
/// <remarks>
/// A write is two calls, since data goes to the image between them: <see cref="BeginWrite"/> (or <see cref="BeginAppend"/>) and
/// <see cref="EndWrite(int, long, bool)"/>. Between the two the zone is <em>busy</em>. The caller has at most one write at a time in a
/// sequential zone, and neither finishes, resets nor resizes away a busy zone; anything may happen to other zones meanwhile, and another
/// zone's write may evict this one. A write, an append, a commit and a transition take constant time, whatever the number of zones.
/// </remarks>
public sealed class ZoneSet
{
    private readonly ZoneStates _states;
    private readonly ZoneWrites _writes;
    private readonly ZoneRanges _ranges;
    private readonly ZoneLoading _loading;
    private readonly ZoneResizing _resizing;
    private readonly ZoneReports _reports;

    /// <summary>A disk with all sequential zones EMPTY.</summary>
    /// <param name="limits">Geometry and limits; 0 in a limit is "no limit".</param>
    /// <param name="diskLength">Bytes on the disk.</param>
    /// <exception cref="ArgumentException">
    /// The geometry contradicts itself or the length: callers check images and options first.
    /// </exception>
    public ZoneSet(in ZonedLimits limits, long diskLength)
    {
        _states = new ZoneStates(limits, diskLength);
        _writes = new ZoneWrites(_states);
        _ranges = new ZoneRanges(_states);
        _loading = new ZoneLoading(_states);
        _resizing = new ZoneResizing(_states);
        _reports = new ZoneReports(_states);
    }

    /// <summary>Where the zones lie.</summary>
    public ZoneGeometry Geometry => _states.Geometry;

    /// <summary>Geometry and limits, as they are after any resize.</summary>
    public ZonedLimits Limits => _states.Limits;

    /// <summary>Number of zones.</summary>
    public int Count => _states.Count;

    /// <summary>Zones that a write opened.</summary>
    public int ImplicitlyOpenCount => _states.Resources.ImplicitlyOpen;

    /// <summary>Zones that a request opened.</summary>
    public int ExplicitlyOpenCount => _states.Resources.ExplicitlyOpen;

    /// <summary>Zones that are CLOSED.</summary>
    public int ClosedCount => _states.Resources.Closed;

    /// <summary>Open resources in use: implicitly + explicitly open zones.</summary>
    public int OpenCount => _states.Resources.Open;

    /// <summary>Active resources in use: open + closed zones.</summary>
    public int ActiveCount => _states.Resources.Active;

    /// <summary>Random write areas in use.</summary>
    public int RandomAreaCount => _states.Resources.Areas;

    /// <summary>Index of the zone that holds a byte of the disk.</summary>
    public int ZoneOf(long offset) => _states.Geometry.ZoneOf(offset);

    /// <summary>Where a zone starts.</summary>
    public long StartOf(int zone) => _states.Geometry.StartOf(zone);

    /// <summary>A zone's length in bytes.</summary>
    public long LengthOf(int zone) => _states.Geometry.LengthOf(zone);

    /// <summary>Writable bytes of a zone.</summary>
    public long CapacityOf(int zone) => _states.Geometry.CapacityOf(zone);

    /// <summary>A zone's condition.</summary>
    public ZoneCondition ConditionOf(int zone) => _states.ConditionOf(zone);

    /// <summary>Where a zone's next write must start; for a FULL zone its end, for a conventional one its start.</summary>
    public long PointerOf(int zone) => _states.PointerOf(zone);

    /// <summary>
    /// The pointer as a zone table stores it: that of a FULL zone is start + zone size (zoned-qcow2.md 1.3), even past the end of the disk,
    /// so that a smaller last zone stays FULL when the disk grows.
    /// </summary>
    public long StoredPointerOf(int zone)
        => ConditionOf(zone) == ZoneCondition.Full ? StartOf(zone) + _states.Geometry.ZoneSize : PointerOf(zone);

    /// <summary>
    /// Where a zone's data ends: the rest of the zone reads as zeroes, whatever the image holds (zoned-qcow2.md 3). A random write area is
    /// data. An OFFLINE zone's whole range is "data": whether it may be read at all is the device's decision.
    /// </summary>
    public long DataEndOf(int zone) => _states.DataEndOf(zone);

    /// <summary>True between the begin and the end of a write to a sequential zone.</summary>
    public bool IsBusy(int zone) => _states.IsBusy(zone);

    /// <summary>True for a zone that has a zone descriptor extension: it is CLOSED where another would be EMPTY, until a reset.</summary>
    public bool IsExtended(int zone) => _states.IsExtended(zone);

    /// <summary>True for a zone that has a random write area.</summary>
    public bool HasRandomArea(int zone) => _states.HasArea(zone);

    /// <summary>Describes one zone.</summary>
    public ZoneDescriptor Describe(int zone) => _states.Describe(zone);

    /// <summary>Describes as many zones as fit, from the one that holds an offset on (zoned-qcow2.md 3, Report).</summary>
    /// <returns>How many were described; 0 when the offset is outside the disk.</returns>
    public int Report(long offset, Span<ZoneDescriptor> zones) => _reports.Report(offset, zones);

    /// <summary>Describes as many zones in given conditions as fit, from the one that holds an offset on.</summary>
    /// <param name="offset">A byte of the first zone to consider.</param>
    /// <param name="which">The conditions.</param>
    /// <param name="zones">Filled from its start.</param>
    /// <param name="count">Whether all matching zones are counted, or only those that fit.</param>
    public ZoneFindings Find(long offset, ZoneConditionSet which, Span<ZoneDescriptor> zones, bool count)
        => _reports.Find(offset, which, zones, count);

    /// <summary>
    /// Checks a whole write (or write-zeroes: the same rule) and acquires its resources. If rejected, nothing has changed. If accepted,
    /// <see cref="EndWrite(int, long, bool)"/> must follow, for the zone that the result names.
    /// </summary>
    /// <param name="offset">Byte offset on the disk.</param>
    /// <param name="length">Bytes, above 0.</param>
    public ZoneResult BeginWrite(long offset, long length) => _writes.BeginWrite(offset, length);

    /// <summary>
    /// Checks a whole append, acquires its resources, and returns the offset of its data. Otherwise as <see cref="BeginWrite"/>.
    /// </summary>
    /// <param name="zoneStart">Where the zone starts: it names the zone.</param>
    /// <param name="length">Bytes, above 0.</param>
    /// <param name="offset">Offset of the data: the write pointer of the zone.</param>
    public ZoneResult BeginAppend(long zoneStart, long length, out long offset) => _writes.BeginAppend(zoneStart, length, out offset);

    /// <summary>
    /// Ends a write. Success moves the pointer, and at the capacity makes the zone FULL and frees both resources. Failure leaves the zone
    /// as it was before, as far as other requests in the meantime allow; a zone without data that is not open becomes EMPTY. Zones that the
    /// write evicted stay closed.
    /// </summary>
    /// <param name="zone">The zone that the begin named; for a conventional one nothing is done.</param>
    /// <param name="length">Bytes, as given to the begin.</param>
    /// <param name="success">Whether all data reached the image.</param>
    public void EndWrite(int zone, long length, bool success) => _writes.EndWrite(zone, PointerOf(zone), length, success);

    /// <summary>
    /// Ends a write that may have begun above the write pointer, in a random write area. Its success moves the pointer by whole units of
    /// commit, only as far as the write ends in the area (an implicit commit).
    /// </summary>
    /// <param name="zone">The zone that the begin named.</param>
    /// <param name="offset">Byte offset, as given to the begin.</param>
    /// <param name="length">Bytes, as given to the begin.</param>
    /// <param name="success">Whether all data reached the image.</param>
    public void EndWrite(int zone, long offset, long length, bool success) => _writes.EndWrite(zone, offset, length, success);

    /// <summary>
    /// Commits a random write area up to an offset: the pointer moves there. A CLOSED zone becomes IMPLICITLY OPEN, one that is committed
    /// to its capacity FULL.
    /// </summary>
    /// <param name="end">
    /// Where the pointer goes: inside the area, and whole units of commit from the pointer, or the end of the capacity.
    /// </param>
    /// <returns>
    /// Refused: <see cref="ZoneError.InvalidZoneOperation"/> (no area, or it does not end there), <see cref="ZoneError.TooManyOpen"/>, and
    /// the errors of zones that are conventional, READ ONLY or OFFLINE. If rejected, nothing has changed.
    /// </returns>
    public ZoneResult Commit(long end) => RandomAreas.Commit(_states, end);

    /// <summary>
    /// Whether a range may be discarded. Never in a sequential zone: below the write pointer data must stay, and above it there is none
    /// (zoned-qcow2.md 3). Conventional zones allow it anywhere.
    /// </summary>
    public ZoneResult CheckDiscard(long offset, long length) => _writes.CheckDiscard(offset, length);

    /// <summary>
    /// Checks a range request whole: zone-aligned, inside the disk, every zone able to make the transition, enough resources. It changes
    /// nothing.
    /// </summary>
    /// <param name="action">The requested action.</param>
    /// <param name="offset">Where the first zone starts.</param>
    /// <param name="length">Bytes: whole zones; only a last, smaller zone may end it elsewhere.</param>
    /// <param name="range">
    /// The zones to pass to <see cref="Apply"/>; without conventional ones when the whole disk is reset (note 2). Empty if rejected.
    /// </param>
    /// <remarks>
    /// Finish and reset may await data work between this and <see cref="Apply"/>: they need no resources, so what other zones do meanwhile
    /// cannot make them fail. Open must be applied before any other call.
    /// </remarks>
    public ZoneResult CheckRange(ZoneAction action, long offset, long length, out ZoneRange range)
        => _ranges.Check(action, offset, length, out range);

    /// <summary>
    /// The first zone of a checked range, from <paramref name="from"/> on, that the action changes; -1 when there is none left. To walk the
    /// zones whose data a finish or reset must clear: <c>for (z = NextChange(a, r, r.First); z >= 0; z = NextChange(a, r, z + 1))</c>.
    /// </summary>
    public int NextChange(ZoneAction action, ZoneRange range, int from) => _ranges.NextChange(action, range, from);

    /// <summary>Makes the transitions of a checked range, or of a part of it.</summary>
    /// <returns>Number of zones that changed.</returns>
    public int Apply(ZoneAction action, ZoneRange range) => _ranges.Apply(action, range);

    /// <summary>Checks and applies in one go, for actions without data work (open, close) and for tests.</summary>
    public ZoneResult Manage(ZoneAction action, long offset, long length)
    {
        ZoneResult result = CheckRange(action, offset, length, out ZoneRange range);
        if (result.IsOk)
        {
            Apply(action, range);
        }

        return result;
    }

    /// <summary>
    /// Loads the pointers of an image or of a snapshot; whatever was open or busy is forgotten. Conditions follow from the pointers: at the
    /// start EMPTY, at or after the capacity FULL, between them CLOSED. A pointer that no zone can have makes its zone OFFLINE.
    /// </summary>
    /// <param name="pointers">One per zone, absolute, in bytes; those of conventional zones are ignored.</param>
    /// <param name="fixedConditions">
    /// One per zone, or none at all: READ ONLY and OFFLINE hold, anything else follows from the pointer.
    /// </param>
    public void Load(ReadOnlySpan<long> pointers, ReadOnlySpan<ZoneCondition> fixedConditions = default)
        => _loading.Load(pointers, fixedConditions);

    /// <summary>
    /// Sets one zone's stored pointer, as <see cref="Load"/> does, for a zone that is repaired or copied. The zone is not busy.
    /// </summary>
    /// <param name="zone">The zone.</param>
    /// <param name="writePointer">Absolute, in bytes.</param>
    /// <param name="extended">Whether it has an extension: then it is CLOSED, not EMPTY, when its pointer is at its start.</param>
    /// <param name="randomArea">Whether it has a random write area, unless its pointer makes it FULL: it is CLOSED then.</param>
    public void SetLoaded(int zone, long writePointer, bool extended = false, bool randomArea = false)
        => _loading.SetLoaded(zone, writePointer, extended, randomArea);

    /// <summary>
    /// Makes a zone READ ONLY or OFFLINE, and frees its resources. Its pointer stays (a READ ONLY zone's data ends there).
    /// <see cref="SetLoaded"/> takes it out of that condition.
    /// </summary>
    public void SetFixed(int zone, ZoneCondition condition) => _loading.SetFixed(zone, condition);

    /// <summary>
    /// Whether a zone that is READ ONLY or OFFLINE can return to the condition that its pointer implies: a CLOSED one needs an active
    /// resource.
    /// </summary>
    public ZoneResult CheckRestore(int zone, long writePointer) => _loading.CheckRestore(zone, writePointer);

    /// <summary>
    /// Sets the extension of an EMPTY zone: it becomes CLOSED, which uses an active resource, and stays so, even if unwritten, until
    /// a reset. Rejected: <see cref="ZoneError.Conventional"/>, <see cref="ZoneError.InvalidTransition"/> (it is not EMPTY),
    /// <see cref="ZoneError.TooManyActive"/>, <see cref="ZoneError.TooManyRandomAreas"/>.
    /// </summary>
    /// <param name="zone">The zone.</param>
    /// <param name="randomArea">Whether it gets a random write area too.</param>
    public ZoneResult Extend(int zone, bool randomArea = false) => _loading.Extend(zone, randomArea);

    /// <summary>Whether the disk can take another length; changes nothing.</summary>
    /// <param name="length">Bytes, a multiple of 512.</param>
    /// <returns>
    /// Refused: <see cref="ZoneError.Unaligned"/>, <see cref="ZoneError.OutOfRange"/> (below 0 or too many zones),
    /// <see cref="ZoneError.Conventional"/> (a conventional zone would be removed or cut), <see cref="ZoneError.InvalidTransition"/> (a
    /// zone to be removed is not EMPTY, or one that is cut holds data past the new end), <see cref="ZoneError.ReadOnly"/>,
    /// <see cref="ZoneError.Offline"/>.
    /// </returns>
    public ZoneResult CheckResize(long length) => _resizing.Check(length);

    /// <summary>Changes the length; no zone that is removed or cut is busy.</summary>
    /// <returns>The result of <see cref="CheckResize"/>; if rejected, nothing has changed.</returns>
    public ZoneResult Resize(long length) => _resizing.Apply(length);
}
