namespace Paddock.Block;

/// <summary>
/// A disk: an array of bytes with a length. Everything in Paddock that holds data for a client is one: a raw file, a qcow2 image,
/// its backing image, a remote drive, a fault injector.
/// </summary>
/// <remarks>
/// Requests may overlap in time and come from any thread. Every method completes synchronously when it can. Implementations may
/// assume that bounds, alignment and read-only were checked: <see cref="CheckedDevice"/> is the outermost layer of every device that is
/// used by a client. Decorators derive from <see cref="DelegatingDevice"/>. All failures are <see cref="BlockException"/>.
/// </remarks>
public interface IBlockDevice : IFlushState, IAsyncDisposable
{
    /// <summary>Size in bytes; changes only by <see cref="ResizeAsync"/>.</summary>
    long Length { get; }

    /// <summary>True when every changing request fails with <see cref="BlockError.ReadOnly"/>.</summary>
    bool IsReadOnly { get; }

    /// <summary>Limits of a single request.</summary>
    BlockLimits Limits { get; }

    /// <summary>The image that supplies data not held by this layer; null if this layer is the last.</summary>
    IBlockDevice? Backing { get; }

    /// <summary>The zones; null for a plain disk. The same object for as long as the device is open.</summary>
    IZones? Zones { get; }

    /// <summary>Copies inside the disk; null: the device only reads and writes.</summary>
    IRangeCopy? RangeCopy { get; }

    /// <summary>Makes ranges unreadable; null: the device keeps none.</summary>
    IUnreadableRanges? UnreadableRanges { get; }

    /// <summary>Fills <paramref name="buffer"/> from byte <paramref name="offset"/> on.</summary>
    ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default);

    /// <summary>Writes <paramref name="data"/> from byte <paramref name="offset"/> on.</summary>
    ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default);

    /// <summary>Makes a range read as zeroes.</summary>
    ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default);

    /// <summary>Declares that the contents of a range no longer matter. A hint: the device may keep, zero or free any part of it.</summary>
    ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default);

    /// <summary>Makes every write that completed before this call durable.</summary>
    ValueTask FlushAsync(CancellationToken cancellationToken = default);

    /// <summary>Changes <see cref="Length"/>; new bytes read as zeroes.</summary>
    ValueTask ResizeAsync(long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default);

    /// <summary>
    /// Status in this layer alone of the bytes from <paramref name="offset"/> on: the longest run with equal facts that is cheap to find,
    /// at most <paramref name="length"/> bytes. Without <see cref="BlockStatusFlags.Allocated"/> the backing image decides.
    /// </summary>
    ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default);
}
