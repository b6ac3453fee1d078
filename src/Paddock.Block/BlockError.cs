namespace Paddock.Block;

/// <summary>Class of an error, which a front end maps to its own status (an errno, an NVMe status, an NBD error).</summary>
public enum BlockError
{
    /// <summary>EIO: the storage failed without a more specific error.</summary>
    Io,

    /// <summary>EINVAL: the request breaks a rule of the device (bounds, alignment, the zone write rule).</summary>
    InvalidArgument,

    /// <summary>ENOTSUP: the device does not support the operation, or not for this range.</summary>
    NotSupported,

    /// <summary>ENOSPC.</summary>
    NoSpace,

    /// <summary>EFBIG: more than the format can address.</summary>
    TooLarge,

    /// <summary>EACCES or EROFS: the device is open for reading only.</summary>
    ReadOnly,

    /// <summary>EPERM: the request is rejected by policy (the gate, a lock).</summary>
    NotPermitted,

    /// <summary>ENOENT.</summary>
    NotFound,

    /// <summary>EEXIST.</summary>
    AlreadyExists,

    /// <summary>EBUSY or EAGAIN: another process holds the image.</summary>
    Busy,

    /// <summary>ENOTTY or ENODEV: not a device of the requested kind.</summary>
    NoDevice,

    /// <summary>ENOMEDIUM: the image was closed after it was found corrupt.</summary>
    NoMedium,

    /// <summary>ETOOMANYREFS: more open or active zones than the limits allow.</summary>
    TooManyZones,

    /// <summary>EISDIR.</summary>
    IsDirectory,

    /// <summary>ENOMEM.</summary>
    NoMemory,

    /// <summary>ECANCELED.</summary>
    Cancelled,

    /// <summary>EIO: the range lies outside the device, which may have become smaller.</summary>
    OutOfRange,

    /// <summary>EIO: the range was made unreadable (<see cref="IUnreadableRanges"/>) and has not been written since.</summary>
    Unreadable,

    /// <summary>
    /// ESHUTDOWN: this process does not own the image, or not any more: it is on standby, or another machine has taken the image over.
    /// </summary>
    NotOwner,
}
