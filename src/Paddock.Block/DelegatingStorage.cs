namespace Paddock.Block;

/// <summary>A storage that passes everything on to another: the base of every decorator, which overrides only what it changes.</summary>
/// <param name="inner">The wrapped storage.</param>
/// <param name="owns">Whether it is disposed with this one.</param>
public abstract class DelegatingStorage(IStorage inner, bool owns = true) : IStorage
{
    /// <inheritdoc/>
    public virtual string Name => inner.Name;

    /// <inheritdoc/>
    public virtual long Length => inner.Length;

    /// <inheritdoc/>
    public virtual bool IsReadOnly => inner.IsReadOnly;

    /// <inheritdoc/>
    public virtual long AllocatedBytes => inner.AllocatedBytes;

    /// <inheritdoc/>
    public virtual int PreferredAlignment => inner.PreferredAlignment;

    /// <summary>The wrapped storage.</summary>
    public IStorage Inner => inner;

    /// <inheritdoc/>
    public virtual ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => inner.ReadAsync(offset, buffer, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => inner.WriteAsync(offset, data, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => inner.WriteZeroesAsync(offset, length, flags, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => inner.DiscardAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask FlushAsync(CancellationToken cancellationToken = default) => inner.FlushAsync(cancellationToken);

    /// <inheritdoc/>
    public virtual void ThrowIfFlushFailed() => inner.ThrowIfFlushFailed();

    /// <inheritdoc/>
    public virtual ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
        => inner.ReserveAsync(offset, length, grows, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => inner.SetLengthAsync(length, preallocation, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => inner.GetStatusAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask OnEventAsync(string eventName) => inner.OnEventAsync(eventName);

    /// <inheritdoc/>
    public virtual ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return owns ? inner.DisposeAsync() : default;
    }
}
