namespace Paddock.Block;

/// <summary>
/// The one place where bounds, alignment and read-only are checked: what passes here, the device underneath may trust.
/// A zoned device's own rules (write pointer, zone ranges) are the zoned device's.
/// </summary>
public class CheckedBlockDevice : IBlockDevice
{
    private readonly IBlockDevice _device;

    /// <param name="device">The device to guard; owned by the wrapper.</param>
    protected CheckedBlockDevice(IBlockDevice device) => _device = device;

    /// <inheritdoc/>
    public long Length => _device.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => _device.IsReadOnly;

    /// <inheritdoc/>
    public BlockLimits Limits => _device.Limits;

    /// <inheritdoc/>
    public IBlockDevice? Backing => _device.Backing;

    /// <summary>The device underneath, for what only its own type offers.</summary>
    public IBlockDevice Inner => _device;

    /// <summary>Guards a device; a zoned one stays zoned.</summary>
    public static CheckedBlockDevice Wrap(IBlockDevice device)
        => device is IZonedBlockDevice zoned ? new CheckedZonedDevice(zoned) : new CheckedBlockDevice(device);

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        CheckTransfer(offset, buffer.Length);
        return _device.ReadAsync(offset, buffer, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        CheckWritable();
        CheckTransfer(offset, data.Length);
        return _device.WriteAsync(offset, data, flags, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        CheckWritable();
        CheckRange(offset, length);
        return _device.WriteZeroesAsync(offset, length, flags, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        CheckWritable();
        CheckRange(offset, length);
        return _device.DiscardAsync(offset, length, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default)
        => _device.IsReadOnly ? ValueTask.CompletedTask : _device.FlushAsync(cancellationToken);

    /// <inheritdoc/>
    public ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        CheckWritable();
        return length < 0
            ? throw new BlockException(BlockError.InvalidArgument, $"a device cannot be {length} bytes long")
            : _device.ResizeAsync(length, preallocation, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        if (offset < 0 || length < 0 || offset > Length)
        {
            throw OutOfRange(offset, length);
        }

        return _device.GetStatusAsync(offset, Math.Min(length, Length - offset), cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return _device.DisposeAsync();
    }

    /// <summary>Throws unless changing requests are taken.</summary>
    protected void CheckWritable()
    {
        if (_device.IsReadOnly)
        {
            throw new BlockException(BlockError.ReadOnly, "the device is open for reading only");
        }
    }

    /// <summary>Throws unless a transfer of this length fits one request and the range fits the device.</summary>
    protected void CheckTransfer(long offset, int length)
    {
        if (length > _device.Limits.MaxTransfer)
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"a request of {length} bytes is longer than the limit of {_device.Limits.MaxTransfer}");
        }

        CheckRange(offset, length);
    }

    /// <summary>Throws unless the range is aligned and inside the device.</summary>
    protected void CheckRange(long offset, long length)
    {
        long size = _device.Length;
        if (offset < 0 || length < 0 || offset > size || length > size - offset)
        {
            throw OutOfRange(offset, length);
        }

        int mask = _device.Limits.RequestAlignment - 1;
        if (((offset | length) & mask) != 0)
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"offset {offset} and length {length} are no multiples of {mask + 1}");
        }
    }

    private BlockException OutOfRange(long offset, long length)
        => new(BlockError.Io, $"offset {offset}, length {length}: outside the device of {Length} bytes");
}
