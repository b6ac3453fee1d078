namespace Paddock.Server.Live;

/// <summary>A request to a served disk, from its arrival on.</summary>
/// <param name="Operation">Its operation.</param>
/// <param name="Offset">First byte on the disk; for an append, the start of the zone until the location is known.</param>
/// <param name="Length">Number of bytes.</param>
/// <param name="StartedAt">Arrival, as a <see cref="System.Diagnostics.Stopwatch"/> time.</param>
internal readonly record struct LiveRequest(LiveOperation Operation, long Offset, long Length, long StartedAt);
