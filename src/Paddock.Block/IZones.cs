namespace Paddock.Block;

/// <summary>
/// Learns where an append will land before any data is written: whoever records that knows after a crash whether it was done.
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

    /// <summary>What the device keeps for each zone beside its write pointer; null when it keeps nothing.</summary>
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

    /// <summary>Writes at the write pointer of the zone that starts at <paramref name="zoneStart"/>.</summary>
    /// <param name="zoneStart">The zone's first byte.</param>
    /// <param name="data">What is written.</param>
    /// <param name="flags">Whether it must be durable.</param>
    /// <param name="observer">Learns the location before the write; a device that cannot know it in advance calls it never.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <returns>The offset where the data landed.</returns>
    ValueTask<long> AppendAsync(
        long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
        CancellationToken cancellationToken = default);
}
