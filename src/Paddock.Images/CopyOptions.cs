using Paddock.Block;

namespace Paddock.Images;

/// <summary>How one disk is copied to another.</summary>
public sealed record CopyOptions
{
    /// <summary>First byte of the source that is copied; it lands at the target's first byte.</summary>
    public long Start { get; init; }

    /// <summary>Bytes to copy; null: up to the source's end.</summary>
    public long? Length { get; init; }

    /// <summary>
    /// Shortest run of zeroes, in data that was read, that is not written as data; 0: all is written as data, zeroes too.
    /// </summary>
    public int SparseBytes { get; init; } = 4096;

    /// <summary>The target reads as zeroes: what is zero in the source need not be written.</summary>
    internal bool TargetIsZero { get; init; }

    /// <summary>Leave out what the source's own layer does not hold: the target's backing image supplies it.</summary>
    internal bool TopLayerOnly { get; init; }

    /// <summary>From here on the target's backing image supplies nothing but zeroes; used with <see cref="TopLayerOnly"/>.</summary>
    internal long BackingLength { get; init; } = long.MaxValue;

    /// <summary>Whether data is stored compressed; for copies into a new qcow2 image without zones.</summary>
    public bool Compressed { get; init; }

    /// <summary>
    /// A layer of the source, from which on nothing is copied; with it, what the layers above do not hold is left as it is.
    /// </summary>
    internal IBlockDevice? Below { get; init; }

    /// <summary>Writes one compressed unit; null: data is stored as it is.</summary>
    internal Func<long, ReadOnlyMemory<byte>, CancellationToken, ValueTask>? WriteCompressed { get; init; }

    /// <summary>Bytes in a compressed unit.</summary>
    internal int CompressedUnit { get; init; }

    /// <summary>Requests under way at once.</summary>
    public int Parallel { get; init; } = 8;

    /// <summary>Writes may pass each other; otherwise they are issued in ascending order.</summary>
    public bool OutOfOrder { get; init; }

    /// <summary>Bytes to write in a second at most; 0: no limit.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>Called for each sector that cannot be read, which becomes zeroes; null: a read error ends the copy.</summary>
    public Action<long, BlockException>? Unreadable { get; init; }

    /// <summary>Called for each sector whose block status cannot be read, which is read instead.</summary>
    internal Action<long, BlockException>? Unmapped { get; init; }

    /// <summary>Called for each thing that the target cannot take, or takes in another form.</summary>
    public Action<string>? Warn { get; init; }

    /// <summary>Called with the bytes copied so far and the bytes to copy: data only, holes take no time.</summary>
    internal Action<long, long>? Progress { get; init; }

    /// <summary>Called with the end of each piece of the source, before it is written.</summary>
    internal Action<long>? Position { get; init; }

    /// <summary>Copies data from an offset of the source to one of the target inside the file system; false if it cannot.</summary>
    internal Func<long, long, long, bool>? CopyRange { get; init; }

    /// <summary>The clock of the rate limit.</summary>
    internal TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>A copy ended at a request that failed.</summary>
/// <param name="isRead">Whether it was a read from the source.</param>
/// <param name="offset">The request's offset.</param>
/// <param name="failure">What the device reported.</param>
public sealed class CopyException(bool isRead, long offset, BlockException failure)
    : BlockException(failure.Error, failure.Message, failure)
{
    /// <summary>Whether the source failed, and not the target.</summary>
    public bool IsRead { get; } = isRead;

    /// <summary>Whether the request was for block status.</summary>
    internal bool IsStatus { get; init; }

    /// <summary>Where the request began.</summary>
    public long Offset { get; } = offset;

    /// <summary>What the device reported.</summary>
    public BlockException Failure { get; } = failure;
}
