using Paddock.Block;

namespace Paddock.Faults;

/// <summary>Operation of a request to a <see cref="ServedDevice"/>, and the bytes that it touches.</summary>
/// <param name="Operation">Operation as the rules see it; none: no rule matches.</param>
/// <param name="Offset">First byte.</param>
/// <param name="Length">Number of bytes that must be inside the device.</param>
/// <param name="Affected">Number of bytes as the rules see it.</param>
internal readonly record struct ServedRange(DeviceOperations Operation, long Offset, long Length, long Affected)
{
    private const DeviceOperations OfZones = DeviceOperations.Manage | DeviceOperations.Append | DeviceOperations.Report;

    public ServedRange(DeviceOperations operation, long offset, long length)
        : this(operation, offset, length, length)
    {
    }

    /// <summary>Whether no rule matches the request.</summary>
    public bool IsFree => Operation == DeviceOperations.None;

    /// <summary>Throws if the range is outside a device that has shrunk since the request was validated.</summary>
    public void CheckInside(long size)
    {
        if (Offset >= 0 && Offset <= size && Length >= 0 && Length <= size - Offset)
        {
            return;
        }

        string message = $"offset {Offset}, length {Length}: outside the device of {size} bytes";
        throw (Operation & OfZones) != 0
            ? new ZoneException(ZoneError.OutOfRange, 0, message) : new BlockException(BlockError.OutOfRange, message);
    }
}
