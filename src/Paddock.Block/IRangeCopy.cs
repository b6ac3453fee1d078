namespace Paddock.Block;

/// <summary>
/// Copies between ranges of one disk without passing the data through the client, at best by letting both ranges refer to the same
/// storage.
/// </summary>
public interface IRangeCopy
{
    /// <summary>
    /// The disk that holds the data. A range can be copied from one device to another if both have the same disk here; it may be another
    /// object after the device was replaced, and is compared, not used.
    /// </summary>
    object Disk { get; }

    /// <summary>Byte of <see cref="Disk"/> at which the device begins: 0, unless it is a part of the disk.</summary>
    long Start { get; }

    /// <summary>
    /// Copies a range of the disk to a range of the device. Overlapping ranges are copied as if all had been read first. In a sequential
    /// zone it is a write: it starts at the write pointer, and ends inside the zone.
    /// </summary>
    /// <param name="source">First byte to copy, counted on <see cref="Disk"/>.</param>
    /// <param name="offset">First byte that is overwritten, counted on the device.</param>
    /// <param name="length">Bytes; a multiple of the request alignment, like the offsets.</param>
    /// <param name="cancellationToken">Stops it; a part may be copied then.</param>
    /// <exception cref="BlockException">A read or write failed: a part may be copied, of a sequential zone nothing.</exception>
    ValueTask CopyAsync(long source, long offset, long length, CancellationToken cancellationToken = default);
}
