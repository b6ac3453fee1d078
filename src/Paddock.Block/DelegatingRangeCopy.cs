namespace Paddock.Block;

/// <summary>Range copies that are passed on to those of another device.</summary>
/// <param name="inner">The wrapped range copy.</param>
public abstract class DelegatingRangeCopy(IRangeCopy inner) : IRangeCopy
{
    /// <inheritdoc/>
    public virtual object Disk => inner.Disk;

    /// <inheritdoc/>
    public virtual long Start => inner.Start;

    /// <summary>The wrapped range copy.</summary>
    protected IRangeCopy Inner => inner;

    /// <inheritdoc/>
    public virtual ValueTask CopyAsync(long source, long offset, long length, CancellationToken cancellationToken = default)
        => inner.CopyAsync(source, offset, length, cancellationToken);
}
