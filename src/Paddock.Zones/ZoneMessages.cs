using Paddock.Block;

namespace Paddock.Zones;

/// <summary>Messages for refusals: the one place where results of the state machine become text.</summary>
internal static class ZoneMessages
{
    /// <summary>The exception for a rejected request.</summary>
    /// <param name="result">A refusal.</param>
    /// <param name="zones">The zones that rejected it.</param>
    /// <param name="what">The request, such as "write" or "zone append".</param>
    /// <param name="offset">Byte offset of the request.</param>
    /// <param name="length">Bytes of the request.</param>
    public static ZoneException Exception(ZoneResult result, ZoneSet zones, string what, long offset, long length)
        => new(result.Error, result.Zone, $"{what} of {length} bytes at {offset}: {Reason(result, zones, offset)}");

    private static string Reason(ZoneResult result, ZoneSet zones, long offset)
    {
        int zone = result.Zone;
        ZonedLimits limits = zones.Limits;
        return result.Error switch
        {
            ZoneError.NotAtWritePointer when zones.HasRandomArea(zone)
                => $"zone {zone} takes writes from its write pointer, {zones.PointerOf(zone)}, up to "
                    + $"{zones.PointerOf(zone) + (2 * limits.RandomArea.Size)}, twice its random write area",
            ZoneError.NotAtWritePointer => $"zone {zone} must be written at its write pointer, {zones.PointerOf(zone)}",
            ZoneError.BoundaryCrossed when zones.ZoneOf(offset) == zone
                => $"it reaches past the {zones.CapacityOf(zone)} writable bytes of zone {zone}, which starts at {zones.StartOf(zone)}",
            ZoneError.BoundaryCrossed => $"it reaches into zone {zone}, which is sequential",
            ZoneError.Full => $"zone {zone} is full",
            ZoneError.ReadOnly => $"zone {zone} is read-only",
            ZoneError.Offline => $"zone {zone} is offline",
            ZoneError.TooManyOpen => $"zone {zone} needs an open resource and all {limits.MaxOpenZones} are held by explicitly open zones",
            ZoneError.TooManyActive => $"zone {zone} needs an active resource and all {limits.MaxActiveZones} are in use",
            ZoneError.InvalidTransition => $"zone {zone} is {Name(zones.ConditionOf(zone))}",
            ZoneError.Conventional => $"zone {zone} is conventional",
            ZoneError.Sequential => $"zone {zone} is sequential: reset it instead",
            ZoneError.Unaligned
                => $"it is not aligned to {ZoneGeometry.SectorSize} bytes, or to zones of {limits.ZoneSize} where it must be",
            ZoneError.AppendTooLong => $"an append takes at most {limits.MaxAppendBytes} bytes",
            ZoneError.OutOfRange => $"the range is empty or outside the disk of {zones.Geometry.DiskLength} bytes",
            ZoneError.TooManyRandomAreas
                => $"zone {zone} needs a random write area and all {limits.RandomArea.MaxZones} are in use: finish or reset a zone",
            ZoneError.InvalidZoneOperation => ReasonOfArea(zone, zones),
            _ => "it is refused",
        };
    }

    private static string ReasonOfArea(int zone, ZoneSet zones)
        => zones.Limits.RandomArea.Size == 0 ? "zones of this disk have no random write areas"
            : zones.HasRandomArea(zone)
                ? $"zone {zone} has a random write area, from {zones.PointerOf(zone)} to {zones.DataEndOf(zone)}, which takes no appends "
                    + $"and is committed by multiples of {zones.Limits.RandomArea.Granularity} bytes"
            : $"zone {zone} is {Name(zones.ConditionOf(zone))} and has no random write area; only an empty zone gets one";

    /// <summary>A condition's name as people write it: "implicitly open".</summary>
    public static string Name(ZoneCondition condition) => condition switch
    {
        ZoneCondition.NotWritePointer => "conventional",
        ZoneCondition.Empty => "empty",
        ZoneCondition.ImplicitlyOpen => "implicitly open",
        ZoneCondition.ExplicitlyOpen => "explicitly open",
        ZoneCondition.Closed => "closed",
        ZoneCondition.ReadOnly => "read-only",
        ZoneCondition.Full => "full",
        ZoneCondition.Offline => "offline",
        _ => "in an unknown condition",
    };
}
