namespace Paddock.Block;

/// <summary>
/// Zones that pass everything on to those of another device: what a <see cref="DelegatingDevice"/> that changes zones derives from.
/// </summary>
/// <param name="inner">The zones that take what is passed on.</param>
public abstract class DelegatingZones(IZones inner) : IZones
{
    /// <inheritdoc/>
    public virtual ZonedLimits Limits => inner.Limits;

    /// <inheritdoc/>
    public virtual IZoneAttributes? Attributes => inner.Attributes;

    /// <summary>The zones that take what is passed on.</summary>
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
    public virtual ValueTask<long> AppendAsync(
        long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
        CancellationToken cancellationToken = default)
        => inner.AppendAsync(zoneStart, data, flags, observer, cancellationToken);
}
