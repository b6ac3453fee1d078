namespace Paddock.Block.Faults;

/// <summary>
/// A place for a device that goes away and comes back, as a drive does when its power is cut: listeners keep this object and see whatever device
/// is in it. A request runs on the device that was there when it began.
/// </summary>
public class RestartableDevice : IBlockDevice
{
    private volatile IBlockDevice _device;

    /// <param name="device">The first device; owned, as are those after it while they are here.</param>
    protected RestartableDevice(IBlockDevice device) => _device = device;

    /// <inheritdoc/>
    public long Length => _device.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => _device.IsReadOnly;

    /// <inheritdoc/>
    public BlockLimits Limits => _device.Limits;

    /// <inheritdoc/>
    public IBlockDevice? Backing => _device.Backing;

    /// <summary>The device of now.</summary>
    protected IBlockDevice Current => _device;

    /// <summary>A place for this device; a zoned one stays zoned.</summary>
    public static RestartableDevice Hold(IBlockDevice device)
        => device is IZonedBlockDevice zoned ? new RestartableZonedDevice(zoned) : new RestartableDevice(device);

    /// <summary>Puts another device of the same kind and geometry here; its size may be another, since a change of it may be half done or lost.</summary>
    /// <returns>The one that was here, no longer owned.</returns>
    /// <exception cref="BlockException">The new one is of another kind, or has other zones.</exception>
    public IBlockDevice Replace(IBlockDevice device)
    {
        var before = _device;
        if (KindOf(before) != KindOf(device))
        {
            throw new BlockException(BlockError.InvalidArgument, "the image came back with other zones");
        }

        _device = device;
        return before;
    }

    private static ZonedLimits? KindOf(IBlockDevice device)
        => device is IZonedBlockDevice { Zoned: var zones } ? zones with { ZoneCount = 0 } : null;

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => _device.ReadAsync(offset, buffer, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => _device.WriteAsync(offset, data, flags, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => _device.WriteZeroesAsync(offset, length, flags, cancellationToken);

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => _device.DiscardAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => _device.FlushAsync(cancellationToken);

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
        return _device.DisposeAsync();
    }

    /// <summary>What the zones of the device that is here have beside their pointers.</summary>
    private sealed class AttributesHere(RestartableDevice place) : IZoneAttributes
    {
        public int ExtensionBytes => Now.ExtensionBytes;

        private IZoneAttributes Now => ((IZonedBlockDevice)place.Current).Attributes!;

        public bool HasExtension(int zone) => Now.HasExtension(zone);

        public ValueTask SetConditionAsync(int zone, ZoneCondition condition, CancellationToken cancellationToken = default)
            => Now.SetConditionAsync(zone, condition, cancellationToken);

        public ValueTask<bool> ReadExtensionAsync(int zone, Memory<byte> buffer, CancellationToken cancellationToken = default)
            => Now.ReadExtensionAsync(zone, buffer, cancellationToken);

        public ValueTask WriteExtensionAsync(int zone, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
            => Now.WriteExtensionAsync(zone, data, cancellationToken);
    }

    /// <summary>The zoned part.</summary>
    private sealed class RestartableZonedDevice(IZonedBlockDevice first) : RestartableDevice(first), IZonedBlockDevice
    {
        public ZonedLimits Zoned => Here.Zoned;

        // whoever keeps it must see the device of now
        public IZoneAttributes? Attributes => field ??= Here.Attributes is null ? null : new AttributesHere(this);

        // only devices of the same kind come here
        private IZonedBlockDevice Here => (IZonedBlockDevice)Current;

        public ValueTask<int> ReportZonesAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
            => Here.ReportZonesAsync(offset, zones, cancellationToken);

        public ValueTask<ZoneFindings> FindZonesAsync(
            long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
            => Here.FindZonesAsync(offset, which, zones, count, cancellationToken);

        public ValueTask ManageZonesAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
            => Here.ManageZonesAsync(action, offset, length, cancellationToken);

        public ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
            => Here.AppendAsync(zoneStart, data, flags, cancellationToken);

        public ValueTask<long> AppendObservedAsync(long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags, IAppendObserver observer)
            => Here.AppendObservedAsync(zoneStart, data, flags, observer);
    }
}
