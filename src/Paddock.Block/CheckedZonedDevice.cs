namespace Paddock.Block;

/// <summary>The zoned part of <see cref="CheckedBlockDevice"/>.</summary>
internal sealed class CheckedZonedDevice(IZonedBlockDevice device) : CheckedBlockDevice(device), IZonedBlockDevice
{
    /// <inheritdoc/>
    public ZonedLimits Zoned => device.Zoned;

    /// <inheritdoc/>
    public IZoneAttributes? Attributes => device.Attributes;

    /// <inheritdoc/>
    public ValueTask<int> ReportZonesAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
        => offset < 0 || offset >= Length
            ? throw new ZoneException(ZoneError.OutOfRange, 0, $"offset {offset} is outside the device of {Length} bytes")
            : device.ReportZonesAsync(offset, zones, cancellationToken);

    /// <inheritdoc/>
    public ValueTask<ZoneFindings> FindZonesAsync(
        long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
        => offset < 0 || offset >= Length
            ? throw new ZoneException(ZoneError.OutOfRange, 0, $"offset {offset} is outside the device of {Length} bytes")
            : device.FindZonesAsync(offset, which, zones, count, cancellationToken);

    /// <inheritdoc/>
    public ValueTask ManageZonesAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
    {
        CheckWritable();
        return device.ManageZonesAsync(action, offset, length, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask<long> AppendAsync(
        long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        CheckWritable();
        return device.AppendAsync(zoneStart, data, flags, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask<long> AppendObservedAsync(long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags, IAppendObserver observer)
    {
        CheckWritable();
        return device.AppendObservedAsync(zoneStart, data, flags, observer);
    }
}
