namespace Paddock.Block;

/// <summary>Zone condition; the numbers are those of reports (ZBC, virtio-blk, Linux), spec section 3.</summary>
public enum ZoneCondition : byte
{
    /// <summary>A conventional zone: it has no write pointer.</summary>
    NotWritePointer = 0,

    /// <summary>Nothing written since the last reset.</summary>
    Empty = 1,

    /// <summary>Opened by a write.</summary>
    ImplicitlyOpen = 2,

    /// <summary>Opened by request.</summary>
    ExplicitlyOpen = 3,

    /// <summary>Partly written, holding no open resource.</summary>
    Closed = 4,

    /// <summary>Readable, never writable again.</summary>
    ReadOnly = 13,

    /// <summary>Written to its capacity, or finished.</summary>
    Full = 14,

    /// <summary>Neither readable nor writable.</summary>
    Offline = 15,
}

/// <summary>Zone conditions, as a set.</summary>
[Flags]
public enum ZoneConditionSet : ushort
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>EMPTY.</summary>
    Empty = 1 << ZoneCondition.Empty,

    /// <summary>Opened by a write.</summary>
    ImplicitlyOpen = 1 << ZoneCondition.ImplicitlyOpen,

    /// <summary>Opened by request.</summary>
    ExplicitlyOpen = 1 << ZoneCondition.ExplicitlyOpen,

    /// <summary>CLOSED.</summary>
    Closed = 1 << ZoneCondition.Closed,

    /// <summary>READ ONLY.</summary>
    ReadOnly = 1 << ZoneCondition.ReadOnly,

    /// <summary>FULL.</summary>
    Full = 1 << ZoneCondition.Full,

    /// <summary>OFFLINE.</summary>
    Offline = 1 << ZoneCondition.Offline,

    /// <summary>Open, by a write or by request.</summary>
    Open = ImplicitlyOpen | ExplicitlyOpen,

    /// <summary>Every condition, that of conventional zones included.</summary>
    All = 0xFFFF,
}

/// <summary>Zone type; the numbers are those of reports.</summary>
public enum ZoneType : byte
{
    /// <summary>May be written anywhere.</summary>
    Conventional = 1,

    /// <summary>Must be written at its write pointer.</summary>
    SequentialWriteRequired = 2,
}

/// <summary>Zone management requests.</summary>
public enum ZoneAction
{
    /// <summary>To EXPLICITLY OPEN.</summary>
    Open,

    /// <summary>To CLOSED, or EMPTY where nothing is written.</summary>
    Close,

    /// <summary>To FULL; the unwritten rest reads as zeroes.</summary>
    Finish,

    /// <summary>Resets to EMPTY and frees the data.</summary>
    Reset,

    /// <summary>
    /// To EXPLICITLY OPEN, with a random write area; of zones without one, only EMPTY ones can get one. It keeps the area until it is FULL,
    /// reset, READ ONLY or OFFLINE.
    /// </summary>
    OpenWithRandomArea,
}

/// <summary>One zone in a report; all positions and sizes in bytes on the virtual disk.</summary>
/// <param name="Start">Where the zone starts.</param>
/// <param name="Length">Its length (zone size; less for a smaller last zone).</param>
/// <param name="Capacity">Writable bytes from the start.</param>
/// <param name="WritePointer">
/// Where the next write must start; for a FULL zone the end of the zone, for a conventional one its start.
/// </param>
/// <param name="Condition">Its condition.</param>
/// <param name="Type">Its type.</param>
public readonly record struct ZoneDescriptor(
    long Start, long Length, long Capacity, long WritePointer, ZoneCondition Condition, ZoneType Type)
{
    /// <summary>Whether the zone has a random write area: it can be written, and read, for some way above its write pointer.</summary>
    public bool HasRandomArea { get; init; }
}

/// <summary>Random write areas of a device's zones (ZNS command set 1.2, zone random write area); all zero without them.</summary>
/// <param name="Size">Bytes of an area, a multiple of <paramref name="Granularity"/>; 0: zones can have none.</param>
/// <param name="Granularity">Unit, in bytes, by which an area is committed: the write pointer moves by multiples of it.</param>
/// <param name="MaxZones">Limit on zones that have an area at once; 0 is "no limit".</param>
public readonly record struct RandomAreaLimits(long Size, long Granularity, uint MaxZones);

/// <summary>The zoned geometry and limits of a device, in bytes and counts; 0 in a limit is "no limit".</summary>
/// <param name="ZoneSize">Bytes from one zone's start to the next.</param>
/// <param name="ZoneCapacity">Writable bytes in a whole zone.</param>
/// <param name="ZoneCount">Number of zones.</param>
/// <param name="ConventionalZones">How many leading zones are conventional.</param>
/// <param name="MaxOpenZones">Limit on implicitly + explicitly open zones.</param>
/// <param name="MaxActiveZones">Limit on open + closed zones.</param>
/// <param name="MaxAppendBytes">Longest zone append.</param>
public readonly record struct ZonedLimits(
    long ZoneSize, long ZoneCapacity, int ZoneCount, int ConventionalZones, uint MaxOpenZones, uint MaxActiveZones, uint MaxAppendBytes)
{
    /// <summary>Random write areas of zones.</summary>
    public RandomAreaLimits RandomArea { get; init; }
}

/// <summary>Result of a search for zones.</summary>
/// <param name="Filled">Descriptors that were filled in.</param>
/// <param name="Matching">Zones that match, including those that did not fit, if counting was requested.</param>
public readonly record struct ZoneFindings(int Filled, int Matching);
