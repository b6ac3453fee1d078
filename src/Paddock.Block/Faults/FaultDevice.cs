namespace Paddock.Block.Faults;

/// <summary>A device whose requests fail, wait or hang on demand, by whatever listener they come (<see cref="DeviceFaults"/>).</summary>
/// <remarks>
/// A caller's token ends the wait that a fault imposes and goes no further: a request that has reached the device is not left half done.
/// </remarks>
public class FaultDevice : IBlockDevice
{
    private readonly IBlockDevice _device;
    private readonly DeviceFaults _faults;

    /// <param name="device">The device; owned.</param>
    /// <param name="faults">The rules.</param>
    protected FaultDevice(IBlockDevice device, DeviceFaults faults)
    {
        _device = device;
        _faults = faults;
    }

    /// <inheritdoc/>
    public long Length => _device.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => _device.IsReadOnly;

    /// <inheritdoc/>
    public BlockLimits Limits => _device.Limits;

    /// <inheritdoc/>
    public IBlockDevice? Backing => _device.Backing;

    /// <summary>The rules.</summary>
    protected DeviceFaults Faults => _faults;

    /// <summary>Puts rules before a device; a zoned one stays zoned.</summary>
    public static FaultDevice Wrap(IBlockDevice device, DeviceFaults faults)
        => device is IZonedBlockDevice zoned ? new FaultZonedDevice(zoned, faults) : new FaultDevice(device, faults);

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => _faults.IsIdle ? _device.ReadAsync(offset, buffer, CancellationToken.None)
            : ReadSlowlyAsync(offset, buffer, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => _faults.IsIdle ? _device.WriteAsync(offset, data, flags, CancellationToken.None)
            : WriteSlowlyAsync(offset, data, flags, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => _faults.IsIdle ? _device.WriteZeroesAsync(offset, length, flags, CancellationToken.None)
            : WriteZeroesSlowlyAsync(offset, length, flags, cancellationToken);

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => _faults.IsIdle ? _device.DiscardAsync(offset, length, CancellationToken.None)
            : DiscardSlowlyAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default)
        => _faults.IsIdle ? _device.FlushAsync(CancellationToken.None)
            : FlushSlowlyAsync(cancellationToken);

    /// <inheritdoc/>
    public ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => _device.ResizeAsync(length, preallocation, cancellationToken);

    /// <inheritdoc/>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => _device.GetStatusAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        _faults.GiveUpAll();
        return _device.DisposeAsync();
    }

    private async ValueTask ReadSlowlyAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        await _faults.MeetAsync(DeviceOperations.Read, offset, buffer.Length, cancellationToken);
        await _device.ReadAsync(offset, buffer, CancellationToken.None);
    }

    private async ValueTask WriteSlowlyAsync(long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
    {
        await _faults.MeetAsync(DeviceOperations.Write, offset, data.Length, cancellationToken);
        await _device.WriteAsync(offset, data, flags, CancellationToken.None);
    }

    private async ValueTask WriteZeroesSlowlyAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        await _faults.MeetAsync(DeviceOperations.Zeroes, offset, length, cancellationToken);
        await _device.WriteZeroesAsync(offset, length, flags, CancellationToken.None);
    }

    private async ValueTask DiscardSlowlyAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await _faults.MeetAsync(DeviceOperations.Discard, offset, length, cancellationToken);
        await _device.DiscardAsync(offset, length, CancellationToken.None);
    }

    private async ValueTask FlushSlowlyAsync(CancellationToken cancellationToken)
    {
        await _faults.MeetAsync(DeviceOperations.Flush, 0, 0, cancellationToken);
        await _device.FlushAsync(CancellationToken.None);
    }

    /// <summary>The zoned part.</summary>
    private sealed class FaultZonedDevice(IZonedBlockDevice zoned, DeviceFaults faults) : FaultDevice(zoned, faults), IZonedBlockDevice
    {
        public ZonedLimits Zoned => zoned.Zoned;

        public IZoneAttributes? Attributes => zoned.Attributes;

        public ValueTask<int> ReportZonesAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
            => Faults.IsIdle ? zoned.ReportZonesAsync(offset, zones, CancellationToken.None)
                : ReportZonesSlowlyAsync(offset, zones, cancellationToken);

        public ValueTask<ZoneFindings> FindZonesAsync(
            long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
            => Faults.IsIdle ? zoned.FindZonesAsync(offset, which, zones, count, CancellationToken.None)
                : FindZonesSlowlyAsync(offset, which, zones, count, cancellationToken);

        public ValueTask ManageZonesAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
            => Faults.IsIdle ? zoned.ManageZonesAsync(action, offset, length, CancellationToken.None)
                : ManageZonesSlowlyAsync(action, offset, length, cancellationToken);

        public ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
            => Faults.IsIdle ? zoned.AppendAsync(zoneStart, data, flags, CancellationToken.None)
                : AppendSlowlyAsync(zoneStart, data, flags, null, cancellationToken);

        public ValueTask<long> AppendObservedAsync(long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags, IAppendObserver observer)
            => Faults.IsIdle ? zoned.AppendObservedAsync(zoneStart, data, flags, observer)
                : AppendSlowlyAsync(zoneStart, data, flags, observer, CancellationToken.None);

        private async ValueTask<int> ReportZonesSlowlyAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken)
        {
            await Faults.MeetAsync(DeviceOperations.Report, offset, zones.Length * zoned.Zoned.ZoneSize, cancellationToken);
            return await zoned.ReportZonesAsync(offset, zones, CancellationToken.None);
        }

        private async ValueTask<ZoneFindings> FindZonesSlowlyAsync(
            long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken)
        {
            await Faults.MeetAsync(DeviceOperations.Report, offset, zones.Length * zoned.Zoned.ZoneSize, cancellationToken);
            return await zoned.FindZonesAsync(offset, which, zones, count, CancellationToken.None);
        }

        private async ValueTask ManageZonesSlowlyAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken)
        {
            await Faults.MeetAsync(OperationOf(action), offset, length, cancellationToken);
            await zoned.ManageZonesAsync(action, offset, length, CancellationToken.None);
        }

        private async ValueTask<long> AppendSlowlyAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags, IAppendObserver? observer, CancellationToken cancellationToken)
        {
            await Faults.MeetAsync(DeviceOperations.Append, zoneStart, zoned.Zoned.ZoneSize, cancellationToken);
            return await (observer is null ? zoned.AppendAsync(zoneStart, data, flags, CancellationToken.None)
                : zoned.AppendObservedAsync(zoneStart, data, flags, observer));
        }

        private static DeviceOperations OperationOf(ZoneAction action) => action switch
        {
            ZoneAction.Open => DeviceOperations.Open,
            ZoneAction.Close => DeviceOperations.Close,
            ZoneAction.Finish => DeviceOperations.Finish,
            _ => DeviceOperations.Reset,
        };
    }
}
