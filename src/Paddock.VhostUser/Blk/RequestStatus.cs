using Paddock.Block;

namespace Paddock.VhostUser.Blk;

/// <summary>The last byte of a request's writable part (virtio 1.3, 5.2.6).</summary>
internal enum RequestStatus : byte
{
    /// <summary>VIRTIO_BLK_S_OK.</summary>
    Ok = 0,

    /// <summary>VIRTIO_BLK_S_IOERR.</summary>
    IoError = 1,

    /// <summary>VIRTIO_BLK_S_UNSUPP.</summary>
    Unsupported = 2,

    /// <summary>VIRTIO_BLK_S_ZONE_INVALID_CMD.</summary>
    ZoneInvalid = 3,

    /// <summary>VIRTIO_BLK_S_ZONE_UNALIGNED_WP.</summary>
    ZoneUnaligned = 4,

    /// <summary>VIRTIO_BLK_S_ZONE_OPEN_RESOURCE.</summary>
    ZoneOpenResource = 5,

    /// <summary>VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE.</summary>
    ZoneActiveResource = 6,
}

/// <summary>Maps failures of a disk to a status; the only place that does so.</summary>
internal static class StatusMap
{
    /// <summary>The status of a failure.</summary>
    /// <param name="failure">Exception thrown by the disk.</param>
    /// <param name="type">Request type.</param>
    public static RequestStatus Of(Exception failure, RequestType type) => failure switch
    {
        ZoneException zone => Of(zone.Reason, type),
        BlockException { Error: BlockError.NotSupported } => RequestStatus.Unsupported,
        _ => RequestStatus.IoError,
    };

    private static RequestStatus Of(ZoneError reason, RequestType type) => reason switch
    {
        ZoneError.NotAtWritePointer => RequestStatus.ZoneUnaligned,
        ZoneError.Unaligned when type is RequestType.Out => RequestStatus.ZoneUnaligned,
        ZoneError.TooManyOpen => RequestStatus.ZoneOpenResource,
        ZoneError.TooManyActive => RequestStatus.ZoneActiveResource,
        _ when type is RequestType.In => RequestStatus.IoError,
        _ => RequestStatus.ZoneInvalid,
    };
}
