namespace Paddock.Block;

/// <summary>
/// Makes ranges of a disk unreadable, as blocks are that a drive has lost: a read that touches one fails with
/// <see cref="BlockError.Unreadable"/> until the blocks are written or discarded, or their zone is reset. Block status reports them as
/// <see cref="BlockStatusFlags.Unreadable"/>.
/// </summary>
public interface IUnreadableRanges
{
    /// <summary>Makes a range unreadable, durably. In a sequential zone it is a write: it starts at the write pointer.</summary>
    /// <param name="offset">First byte; a multiple of 512.</param>
    /// <param name="length">Bytes; a multiple of 512.</param>
    /// <param name="cancellationToken">Stops it before the change.</param>
    /// <exception cref="BlockException">
    /// The range is not of whole sectors (<see cref="BlockError.InvalidArgument"/>); the disk keeps no more ranges
    /// (<see cref="BlockError.NoSpace"/>); a zone rejects it (<see cref="ZoneException"/>); or writing failed.
    /// </exception>
    ValueTask AddAsync(long offset, long length, CancellationToken cancellationToken = default);
}
