namespace Paddock.Block;

/// <summary>
/// The storage of an image: a growing array of bytes, such as a file, or a simulated disk that loses unflushed data.
/// </summary>
/// <remarks>
/// Any offset and length will do (a file opened for direct I/O bounces by itself). Requests may overlap in time and come from any thread.
/// Reading past the end returns zeroes; writing past it grows the storage. All failures are <see cref="BlockException"/>.
/// </remarks>
public interface IStorage : IFlushState, IAsyncDisposable
{
    /// <summary>Name for messages: a file's path as it was given.</summary>
    string Name { get; }

    /// <summary>Size in bytes.</summary>
    long Length { get; }

    /// <summary>True when opened for reading only.</summary>
    bool IsReadOnly { get; }

    /// <summary>Bytes allocated by the storage ("disk size"); -1 if unknown.</summary>
    long AllocatedBytes { get; }

    /// <summary>The unit in which requests cost least: 1, or the logical block size of direct I/O.</summary>
    int PreferredAlignment { get; }

    /// <summary>Fills <paramref name="buffer"/>; bytes past the end read as zeroes.</summary>
    ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default);

    /// <summary>Writes, growing the storage where needed.</summary>
    ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default);

    /// <summary>
    /// Makes a range read as zeroes, growing the storage where needed. With <see cref="ZeroFlags.MayUnmap"/> it may become a hole;
    /// with <see cref="ZeroFlags.NoFallback"/> it fails where only writing zeroes would do.
    /// </summary>
    ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default);

    /// <summary>Frees the space of a range where the storage can; afterwards it reads as zeroes or as before.</summary>
    ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default);

    /// <summary>Makes all writes before this call durable (fdatasync).</summary>
    /// <remarks>
    /// A storage that may have lost data in a failed flush fails every later flush with the same error (<see cref="FlushFailure"/>). One
    /// that still holds the unwritten data (a cache in memory, a fault injector) may succeed the next time.
    /// </remarks>
    ValueTask FlushAsync(CancellationToken cancellationToken = default);

    /// <summary>
    /// Allocates space for a range, so that later writes to it do not fail with ENOSPC. The contents are kept; past the end they are
    /// zeroes.
    /// </summary>
    /// <param name="offset">First byte.</param>
    /// <param name="length">Number of bytes.</param>
    /// <param name="grows">Whether the storage then reaches at least to the range's end.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <returns>False if this storage cannot: then only writing allocates the space.</returns>
    /// <exception cref="BlockException">No space is left.</exception>
    ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default);

    /// <summary>Cuts or grows the storage; new bytes read as zeroes. <see cref="Preallocation.Metadata"/> is taken as off.</summary>
    ValueTask SetLengthAsync(long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default);

    /// <summary>
    /// The longest cheap run from <paramref name="offset"/> on that is all data (flag <see cref="BlockStatusFlags.Data"/>) or all hole
    /// (flag <see cref="BlockStatusFlags.Zero"/>), at most <paramref name="length"/> bytes.
    /// </summary>
    ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default);

    /// <summary>
    /// Called before each named step of the engine, so that a fault injector can fail there. Names are those of QEMU's
    /// blkdebug (<c>l2_update</c>, <c>refblock_alloc</c>, ...).
    /// </summary>
    /// <returns>A task that may be delayed, to stop the engine at that step.</returns>
    ValueTask OnEventAsync(string eventName);
}
