namespace Paddock.Block;

/// <summary>Reason for which a zoned device rejected a request; a front end maps each to its own status.</summary>
public enum ZoneError
{
    /// <summary>No error.</summary>
    None,

    /// <summary>A write does not start at the write pointer.</summary>
    NotAtWritePointer,

    /// <summary>The request crosses the zone's capacity or end.</summary>
    BoundaryCrossed,

    /// <summary>The zone is FULL.</summary>
    Full,

    /// <summary>The zone is READ ONLY.</summary>
    ReadOnly,

    /// <summary>The zone is OFFLINE.</summary>
    Offline,

    /// <summary>No open resource is free and none can be freed.</summary>
    TooManyOpen,

    /// <summary>No active resource is free.</summary>
    TooManyActive,

    /// <summary>The zone cannot go from its condition to the one asked for.</summary>
    InvalidTransition,

    /// <summary>The request is for sequential zones and met a conventional one.</summary>
    Conventional,

    /// <summary>An offset or length is no multiple of 512, or not aligned to zones where it must be.</summary>
    Unaligned,

    /// <summary>A zone append is longer than the device's limit.</summary>
    AppendTooLong,

    /// <summary>A range is empty or reaches past the end of the disk.</summary>
    OutOfRange,

    /// <summary>The request is for conventional zones (discard) and met a sequential one.</summary>
    Sequential,

    /// <summary>No random write area is free.</summary>
    TooManyRandomAreas,

    /// <summary>
    /// The request does not go with the zone's random write area: an append to a zone that has one, an area for a zone that is not EMPTY,
    /// or a commit that does not end in an area.
    /// </summary>
    InvalidZoneOperation,
}

/// <summary>A zoned device rejected a request; nothing has changed.</summary>
public sealed class ZoneException : BlockException
{
    /// <param name="reason">Why.</param>
    /// <param name="zone">Index of the first zone that prevents the request.</param>
    /// <param name="message">A phrase for people.</param>
    public ZoneException(ZoneError reason, int zone, string message)
        : base(ClassOf(reason), message)
    {
        Reason = reason;
        Zone = zone;
    }

    /// <summary>Why.</summary>
    public ZoneError Reason { get; }

    /// <summary>Index of the first zone that prevents the request.</summary>
    public int Zone { get; }

    private static BlockError ClassOf(ZoneError reason) => reason switch
    {
        ZoneError.TooManyOpen or ZoneError.TooManyActive or ZoneError.TooManyRandomAreas => BlockError.TooManyZones,
        ZoneError.AppendTooLong or ZoneError.Sequential => BlockError.NotSupported,
        ZoneError.ReadOnly => BlockError.ReadOnly,
        ZoneError.Offline => BlockError.Io,
        _ => BlockError.InvalidArgument,
    };
}
