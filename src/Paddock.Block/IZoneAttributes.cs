namespace Paddock.Block;

/// <summary>
/// Optional attributes of each zone beside its write pointer: a permanent condition, and bytes of the host.
/// </summary>
public interface IZoneAttributes
{
    /// <summary>Bytes of the zone descriptor extension of each zone, a multiple of 64; 0: the device keeps none.</summary>
    int ExtensionBytes { get; }

    /// <summary>Whether a zone has an extension.</summary>
    bool HasExtension(int zone);

    /// <summary>
    /// Makes a zone READ ONLY or OFFLINE, or, with <see cref="ZoneCondition.Empty"/>, restores the condition that its write pointer
    /// implies; a zone that becomes CLOSED needs an active resource (<see cref="ZoneError.TooManyActive"/>). Durable on completion.
    /// </summary>
    ValueTask SetConditionAsync(int zone, ZoneCondition condition, CancellationToken cancellationToken = default);

    /// <summary>Reads a zone's extension; <paramref name="buffer"/> holds <see cref="ExtensionBytes"/> bytes.</summary>
    /// <returns>False when the zone has none: the buffer is untouched.</returns>
    ValueTask<bool> ReadExtensionAsync(int zone, Memory<byte> buffer, CancellationToken cancellationToken = default);

    /// <summary>
    /// Sets the extension of an EMPTY zone and makes it CLOSED, which uses an active resource; a reset clears the extension.
    /// Anything but an EMPTY sequential zone: <see cref="ZoneError.InvalidTransition"/>, or <see cref="ZoneError.Conventional"/>.
    /// Durable when it completes.
    /// </summary>
    /// <param name="zone">The zone.</param>
    /// <param name="data">The extension.</param>
    /// <param name="randomArea">
    /// Whether the zone gets a random write area too (<see cref="ZoneError.TooManyRandomAreas"/>,
    /// <see cref="ZoneError.InvalidZoneOperation"/>).
    /// </param>
    /// <param name="cancellationToken">Ends it early.</param>
    ValueTask WriteExtensionAsync(
        int zone, ReadOnlyMemory<byte> data, bool randomArea = false, CancellationToken cancellationToken = default);
}
