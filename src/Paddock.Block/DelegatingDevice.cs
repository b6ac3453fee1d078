namespace Paddock.Block;

/// <summary>
/// A device that passes everything on to another, zones included: the base of every decorator, which overrides only what it changes.
/// One that changes zones overrides <see cref="Zones"/> with a <see cref="DelegatingZones"/> of its own.
/// </summary>
public abstract class DelegatingDevice : IBlockDevice
{
    private readonly bool _owns;
    private volatile IBlockDevice _inner;

    /// <param name="inner">The wrapped device.</param>
    /// <param name="owns">Whether it is disposed with this one.</param>
    protected DelegatingDevice(IBlockDevice inner, bool owns = true)
    {
        _inner = inner;
        _owns = owns;
    }

    /// <inheritdoc/>
    public virtual long Length => _inner.Length;

    /// <inheritdoc/>
    public virtual bool IsReadOnly => _inner.IsReadOnly;

    /// <inheritdoc/>
    public virtual BlockLimits Limits => _inner.Limits;

    /// <inheritdoc/>
    public virtual IBlockDevice? Backing => _inner.Backing;

    /// <inheritdoc/>
    public virtual IZones? Zones => _inner.Zones;

    /// <inheritdoc/>
    public virtual IRangeCopy? RangeCopy => _inner.RangeCopy;

    /// <inheritdoc/>
    public virtual IUnreadableRanges? UnreadableRanges => _inner.UnreadableRanges;

    /// <summary>The wrapped device.</summary>
    protected IBlockDevice Inner
    {
        get => _inner;
        set => _inner = value;
    }

    /// <inheritdoc/>
    public virtual ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => _inner.ReadAsync(offset, buffer, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => _inner.WriteAsync(offset, data, flags, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => _inner.WriteZeroesAsync(offset, length, flags, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => _inner.DiscardAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask FlushAsync(CancellationToken cancellationToken = default) => _inner.FlushAsync(cancellationToken);

    /// <inheritdoc/>
    public virtual void ThrowIfFlushFailed() => _inner.ThrowIfFlushFailed();

    /// <inheritdoc/>
    public virtual ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => _inner.ResizeAsync(length, preallocation, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => _inner.GetStatusAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return _owns ? _inner.DisposeAsync() : default;
    }
}
