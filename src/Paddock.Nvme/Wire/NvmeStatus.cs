namespace Paddock.Nvme.Wire;

/// <summary>
/// Status of a command: the status code type in bits 10:8, the status code in bits 7:0 (NVMe base 2.0, 3.3.3.2.1; ZNS command set 1.1,
/// 3.1).
/// </summary>
internal enum NvmeStatus : ushort
{
    /// <summary>The command succeeded.</summary>
    Success = 0x000,

    /// <summary>The operation code is not supported by this queue.</summary>
    InvalidOpcode = 0x001,

    /// <summary>A field has an invalid value.</summary>
    InvalidField = 0x002,

    /// <summary>Another command in flight has this identifier.</summary>
    CommandIdConflict = 0x003,

    /// <summary>Data could not be moved.</summary>
    DataTransferError = 0x004,

    /// <summary>The controller failed.</summary>
    InternalError = 0x006,

    /// <summary>The host aborted the command.</summary>
    AbortRequested = 0x007,

    /// <summary>The submission queue of the command was deleted.</summary>
    QueueDeleted = 0x008,

    /// <summary>The namespace does not exist.</summary>
    InvalidNamespace = 0x00B,

    /// <summary>Commands were received in the wrong order.</summary>
    CommandSequence = 0x00C,

    /// <summary>A segment of the SGL is empty, or its length is no multiple of a descriptor.</summary>
    SglSegmentInvalid = 0x00D,

    /// <summary>The SGL has too many descriptors.</summary>
    SglCountInvalid = 0x00E,

    /// <summary>The SGL's length is not that of the data.</summary>
    SglLengthInvalid = 0x00F,

    /// <summary>The type of the SGL is not supported.</summary>
    SglTypeInvalid = 0x011,

    /// <summary>The host may not do this.</summary>
    OperationDenied = 0x015,

    /// <summary>A PRP entry has an offset that it may not have.</summary>
    PrpOffsetInvalid = 0x013,

    /// <summary>The SGL's offset lies outside the capsule.</summary>
    SglOffsetInvalid = 0x016,

    /// <summary>The namespace is write protected.</summary>
    NamespaceWriteProtected = 0x020,

    /// <summary>The controller could not run the command now; try again.</summary>
    CommandInterrupted = 0x021,

    /// <summary>The transport lost or damaged data; try again.</summary>
    TransientTransportError = 0x022,

    /// <summary>Blocks outside the namespace.</summary>
    LbaOutOfRange = 0x080,

    /// <summary>No space is left under the namespace.</summary>
    CapacityExceeded = 0x081,

    /// <summary>The namespace is not ready.</summary>
    NamespaceNotReady = 0x082,

    /// <summary>A Format NVM command runs on the namespace.</summary>
    FormatInProgress = 0x084,

    /// <summary>Create I/O Submission Queue: there is no such completion queue.</summary>
    CompletionQueueInvalid = 0x100,

    /// <summary>There is no such queue, or it exists already.</summary>
    QueueIdInvalid = 0x101,

    /// <summary>The size of a queue is not supported.</summary>
    QueueSizeInvalid = 0x102,

    /// <summary>More asynchronous event requests than the limit.</summary>
    AsyncEventLimit = 0x105,

    /// <summary>There is no such interrupt vector.</summary>
    InterruptVectorInvalid = 0x108,

    /// <summary>There is no such log page.</summary>
    InvalidLogPage = 0x109,

    /// <summary>The namespace cannot have this block format.</summary>
    InvalidFormat = 0x10A,

    /// <summary>A completion queue that submission queues use cannot be deleted.</summary>
    QueueDeletionInvalid = 0x10C,

    /// <summary>The feature cannot be saved.</summary>
    FeatureNotSaveable = 0x10D,

    /// <summary>The feature cannot be changed.</summary>
    FeatureNotChangeable = 0x10E,

    /// <summary>The quota does not leave the capacity; the error log has the capacity that is missing.</summary>
    NamespaceInsufficientCapacity = 0x115,

    /// <summary>As many namespaces exist as there may be.</summary>
    NamespaceIdentifierUnavailable = 0x116,

    /// <summary>The namespace is attached to the controller already.</summary>
    NamespaceAlreadyAttached = 0x118,

    /// <summary>The namespace cannot be attached to several controllers.</summary>
    NamespaceIsPrivate = 0x119,

    /// <summary>The namespace is not attached to the controller.</summary>
    NamespaceNotAttached = 0x11A,

    /// <summary>A namespace has the capacity of its size.</summary>
    ThinProvisioningNotSupported = 0x11B,

    /// <summary>The list names no controller, or one that does not exist.</summary>
    ControllerListInvalid = 0x11C,

    /// <summary>The command set of the namespace is not supported.</summary>
    CommandSetNotSupported = 0x129,

    /// <summary>Connect: unknown record format.</summary>
    ConnectIncompatibleFormat = 0x180,

    /// <summary>Connect: no more controllers or queues.</summary>
    ConnectControllerBusy = 0x181,

    /// <summary>Connect: a parameter is wrong; the result says which.</summary>
    ConnectInvalidParameters = 0x182,

    /// <summary>Connect: the host is not allowed.</summary>
    ConnectInvalidHost = 0x184,

    /// <summary>Copy: more ranges or blocks than the limits.</summary>
    CommandSizeLimitExceeded = 0x183,

    /// <summary>Copy: the source has blocks of another size.</summary>
    IncompatibleNamespace = 0x185,

    /// <summary>Copy: a source range overlaps the destination.</summary>
    OverlappingRange = 0x187,

    /// <summary>The queue must be authenticated first.</summary>
    AuthenticationRequired = 0x191,

    /// <summary>The request does not go with the zone's random write area, or with its lack of one.</summary>
    InvalidZoneOperation = 0x1B6,

    /// <summary>No random write area is free.</summary>
    RandomAreaUnavailable = 0x1B7,

    /// <summary>The request crosses a zone's capacity or end.</summary>
    ZoneBoundaryError = 0x1B8,

    /// <summary>The zone is full.</summary>
    ZoneIsFull = 0x1B9,

    /// <summary>The zone is read only.</summary>
    ZoneIsReadOnly = 0x1BA,

    /// <summary>The zone is offline.</summary>
    ZoneIsOffline = 0x1BB,

    /// <summary>The write does not start at the write pointer.</summary>
    ZoneInvalidWrite = 0x1BC,

    /// <summary>No active resource is free.</summary>
    TooManyActiveZones = 0x1BD,

    /// <summary>No open resource is free.</summary>
    TooManyOpenZones = 0x1BE,

    /// <summary>The zone cannot change to the requested state.</summary>
    InvalidZoneStateTransition = 0x1BF,

    /// <summary>The medium failed the write.</summary>
    WriteFault = 0x280,

    /// <summary>The medium failed the read.</summary>
    UnrecoveredReadError = 0x281,

    /// <summary>Compare found a difference.</summary>
    CompareFailure = 0x285,

    /// <summary>The change is not permitted.</summary>
    AccessDenied = 0x286,

    /// <summary>The controller could not complete the command, and may have executed it; use another path.</summary>
    InternalPathError = 0x300,

    /// <summary>The controller has lost access to the namespace, for the rest of its life; use another path.</summary>
    AccessPersistentLoss = 0x301,

    /// <summary>The controller has no access to the namespace now; use another path.</summary>
    AccessInaccessible = 0x302,

    /// <summary>The access of the controller to the namespace is changing; try again, or use another path.</summary>
    AccessTransition = 0x303,
}
