using Paddock.Block;

namespace Paddock.Faults;

/// <summary>What a request to a <see cref="ServedDevice"/> is, and which bytes it touches.</summary>
/// <param name="Operation">What it is to the rules; none: no rule meets it.</param>
/// <param name="Offset">First byte.</param>
/// <param name="Length">Bytes that must lie inside the device.</param>
/// <param name="Affected">Bytes as the rules see them.</param>
internal readonly record struct ServedRange(DeviceOperations Operation, long Offset, long Length, long Affected)
{
    private const DeviceOperations OfZones = DeviceOperations.Manage | DeviceOperations.Append | DeviceOperations.Report;

    public ServedRange(DeviceOperations operation, long offset, long length)
        : this(operation, offset, length, length)
    {
    }

    /// <summary>Whether no rule meets it.</summary>
    public bool IsFree => Operation == DeviceOperations.None;

    /// <summary>Throws if the range lies outside a device that has become smaller since the request was validated.</summary>
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
