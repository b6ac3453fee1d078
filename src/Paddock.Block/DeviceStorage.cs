namespace Paddock.Block;

/// <summary>The bytes of a device of fixed size as a storage.</summary>
/// <param name="device">The device; owned.</param>
/// <param name="name">Name for messages.</param>
public class DeviceStorage(IBlockDevice device, string name) : IStorage
{
    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public virtual long Length => device.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => device.IsReadOnly;

    /// <inheritdoc/>
    public long AllocatedBytes => -1;

    /// <inheritdoc/>
    public virtual int PreferredAlignment => device.Limits.RequestAlignment;

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => device.ReadAsync(offset, buffer, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => device.WriteAsync(offset, data, WriteFlags.None, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => device.WriteZeroesAsync(offset, length, flags, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => device.DiscardAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => device.FlushAsync(cancellationToken);

    /// <inheritdoc/>
    public void ThrowIfFlushFailed() => device.ThrowIfFlushFailed();

    /// <inheritdoc/>
    public ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default) => new(false);

    /// <inheritdoc/>
    public virtual ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => length == Length ? default : throw new BlockException(BlockError.NotSupported, $"'{name}' cannot be resized");

    /// <inheritdoc/>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => device.GetStatusAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public ValueTask OnEventAsync(string eventName) => default;

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return device.DisposeAsync();
    }
}
