using Paddock.Block;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Target;

/// <summary>Maps failures of a block device to status codes, for all commands.</summary>
internal static class StatusMap
{
    private const int PathRelated = 3;

    /// <summary>The status of a failure.</summary>
    /// <param name="failure">Exception of the device.</param>
    /// <param name="writing">Whether the command writes.</param>
    public static NvmeStatus Of(BlockException failure, bool writing) => failure switch
    {
        InjectedFaultException { Answer: NvmeStatus wanted } => wanted,
        ZoneException zone => Of(zone.Reason),
        { Error: BlockError.Unreadable } => NvmeStatus.UnrecoveredReadError,
        { Error: BlockError.NoSpace } => NvmeStatus.CapacityExceeded,
        { Error: BlockError.ReadOnly } => NvmeStatus.NamespaceWriteProtected,
        { Error: BlockError.NotPermitted } => NvmeStatus.AccessDenied,
        { Error: BlockError.InvalidArgument or BlockError.NotSupported } => NvmeStatus.InvalidField,
        { Error: BlockError.OutOfRange } => NvmeStatus.LbaOutOfRange,
        { Error: BlockError.NoMedium or BlockError.Cancelled } => NvmeStatus.NamespaceNotReady,
        { Error: BlockError.NotOwner } => NvmeStatus.AccessInaccessible,
        _ => writing ? NvmeStatus.WriteFault : NvmeStatus.UnrecoveredReadError,
    };

    /// <summary>Whether the same command may succeed if the host sends it again.</summary>
    public static bool IsTransient(NvmeStatus status)
        => status is NvmeStatus.TransientTransportError or NvmeStatus.CommandInterrupted or NvmeStatus.NamespaceNotReady
            || IsOfPath(status);

    /// <summary>Whether the status is about the path (status code type 3): on another one the command may succeed.</summary>
    public static bool IsOfPath(NvmeStatus status) => (ushort)status >> 8 == PathRelated;

    /// <summary>The status of a zone error.</summary>
    public static NvmeStatus Of(ZoneError reason) => reason switch
    {
        ZoneError.NotAtWritePointer => NvmeStatus.ZoneInvalidWrite,
        ZoneError.BoundaryCrossed => NvmeStatus.ZoneBoundaryError,
        ZoneError.Full => NvmeStatus.ZoneIsFull,
        ZoneError.ReadOnly => NvmeStatus.ZoneIsReadOnly,
        ZoneError.Offline => NvmeStatus.ZoneIsOffline,
        ZoneError.TooManyOpen => NvmeStatus.TooManyOpenZones,
        ZoneError.TooManyActive => NvmeStatus.TooManyActiveZones,
        ZoneError.InvalidTransition => NvmeStatus.InvalidZoneStateTransition,
        ZoneError.OutOfRange => NvmeStatus.LbaOutOfRange,
        ZoneError.TooManyRandomAreas => NvmeStatus.RandomAreaUnavailable,
        ZoneError.InvalidZoneOperation => NvmeStatus.InvalidZoneOperation,
        _ => NvmeStatus.InvalidField,
    };
}
