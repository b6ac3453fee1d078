namespace Paddock.Block;

/// <summary>
/// Observes the location of an append before any data is written: recorded, it tells after a crash whether the append was done.
/// </summary>
public interface IAppendObserver
{
    /// <summary>The location is reserved, and nothing is written yet. Called under the zone's lock: it returns at once.</summary>
    /// <param name="offset">The first byte's offset on the disk.</param>
    void Assigned(long offset);
}

/// <summary>The zones of a disk: sequential ones must be written in order.</summary>
public interface IZones
{
    /// <summary>Geometry and limits.</summary>
    ZonedLimits Limits { get; }

    /// <summary>Further attributes of each zone; null if the device keeps none.</summary>
    IZoneAttributes? Attributes { get; }

    /// <summary>
    /// Describes the zones from the one that holds <paramref name="offset"/> on, as many as there are and fit.
    /// </summary>
    /// <returns>How many descriptors were filled in.</returns>
    ValueTask<int> ReportAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default);

    /// <summary>
    /// Describes the zones in some conditions, from the one that holds <paramref name="offset"/> on, as many as there are and fit; and
    /// counts all of them on request.
    /// </summary>
    ValueTask<ZoneFindings> FindAsync(
        long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default);

    /// <summary>Opens, closes, finishes or resets every zone of a range, all or none (spec section 3, range requests).</summary>
    ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default);

    /// <summary>
    /// Commits a zone's random write area up to an offset: what is below cannot be written any more, and the area begins there. A CLOSED
    /// zone becomes IMPLICITLY OPEN, and one that is committed to its capacity FULL.
    /// </summary>
    /// <param name="position">
    /// Where the write pointer goes, as an offset on the disk: inside the area, and whole units of commit from the write pointer, or the
    /// end of the zone's capacity.
    /// </param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <exception cref="ZoneException">
    /// <see cref="ZoneError.InvalidZoneOperation"/>: the zone has no random write area, or it does not end there.
    /// </exception>
    ValueTask CommitAsync(long position, CancellationToken cancellationToken = default);

    /// <summary>Writes at the write pointer of the zone that starts at <paramref name="zoneStart"/>.</summary>
    /// <param name="zoneStart">The zone's first byte.</param>
    /// <param name="data">Data to write.</param>
    /// <param name="flags">Whether it must be durable.</param>
    /// <param name="observer">Receives the location before the write; never called by a device that does not know it in advance.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <returns>Offset of the written data.</returns>
    ValueTask<long> AppendAsync(
        long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
        CancellationToken cancellationToken = default);
}
