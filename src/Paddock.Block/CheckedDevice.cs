namespace Paddock.Block;

/// <summary>
/// The outermost layer of every device that clients use, and the only one that checks bounds, alignment and read-only: the layers below
/// rely on it. The rules of zones (write pointer, ranges of whole zones) are the zoned device's own.
/// </summary>
public class CheckedDevice : DelegatingDevice
{
    private readonly CheckedZones? _zones;

    /// <param name="device">The device to guard; owned.</param>
    protected CheckedDevice(IBlockDevice device)
        : base(device)
        => _zones = device.Zones is { } zones ? new CheckedZones(this, zones) : null;

    /// <inheritdoc/>
    public override IZones? Zones => _zones;

    /// <inheritdoc/>
    public override IRangeCopy? RangeCopy => field ??= Inner.RangeCopy is { } copy ? new CheckedRangeCopy(this, copy) : null;

    /// <inheritdoc/>
    public override IUnreadableRanges? UnreadableRanges
        => field ??= Inner.UnreadableRanges is { } ranges ? new CheckedUnreadable(this, ranges) : null;

    /// <summary>Guards a device; one that is guarded already is returned as it is.</summary>
    public static CheckedDevice Wrap(IBlockDevice device) => device as CheckedDevice ?? new CheckedDevice(device);

    /// <summary>The device below the check: decorators are inserted between the two, so that the check stays outermost.</summary>
    public static IBlockDevice Unwrap(IBlockDevice device) => device is CheckedDevice guarded ? guarded.Inner : device;

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        CheckTransfer(offset, buffer.Length);
        return Inner.ReadAsync(offset, buffer, cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        CheckWritable();
        CheckTransfer(offset, data.Length);
        return Inner.WriteAsync(offset, data, flags, cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        CheckWritable();
        CheckRange(offset, length);
        return Inner.WriteZeroesAsync(offset, length, flags, cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        CheckWritable();
        CheckRange(offset, length);
        return Inner.DiscardAsync(offset, length, cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask FlushAsync(CancellationToken cancellationToken = default)
        => Inner.IsReadOnly ? ValueTask.CompletedTask : Inner.FlushAsync(cancellationToken);

    /// <inheritdoc/>
    public override ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        CheckWritable();
        return length < 0
            ? throw new BlockException(BlockError.InvalidArgument, $"a device cannot be {length} bytes long")
            : Inner.ResizeAsync(length, preallocation, cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        long size = Inner.Length;
        return offset < 0 || length < 0 || offset > size
            ? throw OutOfRange(offset, length, size)
            : Inner.GetStatusAsync(offset, Math.Min(length, size - offset), cancellationToken);
    }

    /// <summary>Throws if the device is read-only.</summary>
    protected void CheckWritable()
    {
        if (Inner.IsReadOnly)
        {
            throw new BlockException(BlockError.ReadOnly, "the device is open for reading only");
        }
    }

    /// <summary>Throws unless the range is aligned and inside the device.</summary>
    protected void CheckRange(long offset, long length) => CheckRange(offset, length, Inner.Limits.RequestAlignment - 1);

    private void CheckTransfer(long offset, int length)
    {
        var limits = Inner.Limits;
        if (length > limits.MaxTransfer)
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"a request of {length} bytes is longer than the limit of {limits.MaxTransfer}");
        }

        CheckRange(offset, length, limits.RequestAlignment - 1);
    }

    private void CheckRange(long offset, long length, int mask)
    {
        long size = Inner.Length;
        if (offset < 0 || length < 0 || offset > size || length > size - offset)
        {
            throw OutOfRange(offset, length, size);
        }

        if (((offset | length) & mask) != 0)
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"offset {offset} and length {length} are no multiples of {mask + 1}");
        }
    }

    private static BlockException OutOfRange(long offset, long length, long size)
        => new(BlockError.OutOfRange, $"offset {offset}, length {length}: outside the device of {size} bytes");

    private sealed class CheckedRangeCopy(CheckedDevice device, IRangeCopy copy) : DelegatingRangeCopy(copy)
    {
        public override ValueTask CopyAsync(long source, long offset, long length, CancellationToken cancellationToken = default)
        {
            // the disk checks that the source is inside it: the device may be a part
            device.CheckWritable();
            device.CheckRange(offset, length);
            int mask = device.Limits.RequestAlignment - 1;
            return (source & mask) != 0
                ? throw new BlockException(BlockError.InvalidArgument, $"offset {source} is no multiple of {mask + 1}")
                : Inner.CopyAsync(source, offset, length, cancellationToken);
        }
    }

    private sealed class CheckedUnreadable(CheckedDevice device, IUnreadableRanges ranges) : IUnreadableRanges
    {
        public ValueTask AddAsync(long offset, long length, CancellationToken cancellationToken = default)
        {
            device.CheckWritable();
            device.CheckRange(offset, length);
            return ranges.AddAsync(offset, length, cancellationToken);
        }
    }

    private sealed class CheckedZones(CheckedDevice device, IZones zones) : DelegatingZones(zones)
    {
        public override IZoneAttributes? Attributes
            => field ??= Inner.Attributes is { } attributes ? new CheckedAttributes(device, attributes) : null;

        public override ValueTask<int> ReportAsync(
            long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
        {
            CheckStart(offset);
            return Inner.ReportAsync(offset, zones, cancellationToken);
        }

        public override ValueTask<ZoneFindings> FindAsync(
            long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
        {
            CheckStart(offset);
            return Inner.FindAsync(offset, which, zones, count, cancellationToken);
        }

        public override ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
        {
            device.CheckWritable();
            return Inner.ManageAsync(action, offset, length, cancellationToken);
        }

        public override ValueTask CommitAsync(long position, CancellationToken cancellationToken = default)
        {
            device.CheckWritable();
            return Inner.CommitAsync(position, cancellationToken);
        }

        public override ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
            CancellationToken cancellationToken = default)
        {
            device.CheckWritable();
            return Inner.AppendAsync(zoneStart, data, flags, observer, cancellationToken);
        }

        private void CheckStart(long offset)
        {
            if (offset < 0 || offset >= device.Length)
            {
                throw new ZoneException(ZoneError.OutOfRange, 0, $"offset {offset} is outside the device of {device.Length} bytes");
            }
        }
    }

    private sealed class CheckedAttributes(CheckedDevice device, IZoneAttributes attributes) : IZoneAttributes
    {
        public int ExtensionBytes => attributes.ExtensionBytes;

        public bool HasExtension(int zone) => attributes.HasExtension(zone);

        public ValueTask SetConditionAsync(int zone, ZoneCondition condition, CancellationToken cancellationToken = default)
        {
            device.CheckWritable();
            return attributes.SetConditionAsync(zone, condition, cancellationToken);
        }

        public ValueTask<bool> ReadExtensionAsync(int zone, Memory<byte> buffer, CancellationToken cancellationToken = default)
            => attributes.ReadExtensionAsync(zone, buffer, cancellationToken);

        public ValueTask WriteExtensionAsync(
            int zone, ReadOnlyMemory<byte> data, bool randomArea = false, CancellationToken cancellationToken = default)
        {
            device.CheckWritable();
            return attributes.WriteExtensionAsync(zone, data, randomArea, cancellationToken);
        }
    }
}
