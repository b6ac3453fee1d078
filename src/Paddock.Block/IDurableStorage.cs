namespace Paddock.Block;

/// <summary>A storage in which a write can be durable when it completes: no flush has to follow it.</summary>
internal interface IDurableStorage
{
    /// <summary>
    /// Bytes of the aligned blocks in which <see cref="WriteDurablyAsync"/> is atomic: after a crash, a block has all of the write or none
    /// of it. 0: such writes are not possible.
    /// </summary>
    long DurableBlock { get; }

    /// <summary>Whether everything that has completed is durable.</summary>
    bool IsSettled { get; }

    /// <summary>
    /// Writes; durable when it completes. The range is inside the storage. After <see cref="BlockError.NoSpace"/> nothing is written.
    /// </summary>
    ValueTask WriteDurablyAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default);
}
