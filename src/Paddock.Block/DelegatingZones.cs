namespace Paddock.Block;

/// <summary>
/// Zones that pass everything on to those of another device: the base of the zones of a <see cref="DelegatingDevice"/> that changes them.
/// </summary>
/// <param name="inner">The wrapped zones.</param>
public abstract class DelegatingZones(IZones inner) : IZones
{
    /// <inheritdoc/>
    public virtual ZonedLimits Limits => inner.Limits;

    /// <inheritdoc/>
    public virtual IZoneAttributes? Attributes => inner.Attributes;

    /// <summary>The wrapped zones.</summary>
    protected IZones Inner => inner;

    /// <inheritdoc/>
    public virtual ValueTask<int> ReportAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
        => inner.ReportAsync(offset, zones, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask<ZoneFindings> FindAsync(
        long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
        => inner.FindAsync(offset, which, zones, count, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
        => inner.ManageAsync(action, offset, length, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask CommitAsync(long position, CancellationToken cancellationToken = default)
        => inner.CommitAsync(position, cancellationToken);

    /// <inheritdoc/>
    public virtual ValueTask<long> AppendAsync(
        long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
        CancellationToken cancellationToken = default)
        => inner.AppendAsync(zoneStart, data, flags, observer, cancellationToken);
}
