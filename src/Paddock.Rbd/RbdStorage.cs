using Paddock.Block;
using Paddock.Block.Concurrency;

namespace Paddock.Rbd;

/// <summary>An image in RBD as the bytes of a raw disk, or under a qcow2 image, which may grow it.</summary>
/// <param name="image">The image; owned.</param>
internal sealed class RbdStorage(RbdImage image) : IStorage, ILeasedStorage, IThinStorage, IDurableStorage
{
    // a resize takes several round trips, so that an image that grows by clusters grows in larger steps
    private const int GrowthObjects = 16;

    private const int MaxRuns = 4096;
    private const long MaxListed = 1L << 30;

    // what other clients write shows within this time
    private const long ExtentsLifetime = 1000;

    private readonly FlushFailure _failure = new(image.Name);
    private readonly AsyncMutex _growth = new();
    private volatile bool _hasChanged;
    private long _extentsTime;
    private RbdExtents? _extents;

    /// <summary>The image.</summary>
    public RbdImage Image => image;

    /// <inheritdoc/>
    public string Name => image.Name;

    /// <inheritdoc/>
    public long Length => image.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => image.IsReadOnly;

    /// <summary>Not known without counting objects.</summary>
    public long AllocatedBytes => -1;

    /// <inheritdoc/>
    public int PreferredAlignment => 1;

    /// <inheritdoc/>
    public bool IsThin => true;

    /// <inheritdoc/>
    public long DurableBlock => image.CanWriteThrough ? image.WholeBytes : 0;

    /// <inheritdoc/>
    public bool IsSettled => image.IsSettled;

    /// <inheritdoc/>
    public Task Lost => image.Lost;

    /// <inheritdoc/>
    public string? LossReason => image.LossReason;

    /// <inheritdoc/>
    public bool IsConfirmed => image.IsConfirmed;

    /// <inheritdoc/>
    public ValueTask ConfirmAsync() => image.ConfirmAsync();

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int inside = (int)Math.Clamp(Length - offset, 0, buffer.Length);
        buffer.Span[inside..].Clear();
        return inside == 0 ? default : image.ReadAsync(offset, buffer[..inside]);
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        _failure.ThrowIfFailed();
        _hasChanged = true;
        return data.Length == 0 ? default
            : offset + data.Length <= Length ? image.WriteAsync(offset, data) : GrowAndWriteAsync(offset, data, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask WriteDurablyAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        _failure.ThrowIfFailed();
        _hasChanged = true;
        return image.WriteThroughAsync(offset, data);
    }

    /// <inheritdoc/>
    public async ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        _failure.ThrowIfFailed();
        await GrowAsync(offset + length, cancellationToken);
        _hasChanged = true;
        if (length > 0)
        {
            await image.WriteZeroesAsync(offset, length, (flags & ZeroFlags.MayUnmap) != 0);
        }
    }

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        _failure.ThrowIfFailed();
        long inside = Math.Clamp(Length - offset, 0, length);
        _hasChanged = true;
        return inside == 0 ? default : image.DiscardAsync(offset, inside);
    }

    /// <inheritdoc/>
    public async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        _failure.ThrowIfFailed();
        if (IsReadOnly)
        {
            return;
        }

        try
        {
            await image.FlushAsync();
        }
        catch (BlockException e)
        {
            // librbd has dropped the data whose write failed
            throw _failure.Record(e);
        }
    }

    /// <inheritdoc/>
    public void ThrowIfFlushFailed() => _failure.ThrowIfFailed();

    /// <summary>
    /// Only makes the image long enough. There is nothing to reserve: OSDs need space for overwriting too, so that written zeroes would
    /// not help, and writes to a full cluster wait instead of failing.
    /// </summary>
    /// <returns>True: writing zeroes would gain nothing.</returns>
    public async ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
    {
        if (grows)
        {
            await GrowAsync(offset + length, cancellationToken);
        }

        return true;
    }

    /// <inheritdoc/>
    public async ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        if (preallocation is Preallocation.Falloc or Preallocation.Full)
        {
            throw new BlockException(
                BlockError.NotSupported, $"'{Name}': space cannot be reserved in RBD; use preallocation off or metadata");
        }

        _failure.ThrowIfFailed();
        await _growth.AcquireUntilAsync(cancellationToken);
        try
        {
            _hasChanged = true;
            if (length != Length)
            {
                await image.ResizeAsync(length);
            }
        }
        finally
        {
            _growth.Release();
        }
    }

    /// <inheritdoc/>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => offset >= Length ? new(new BlockStatus(length, BlockStatusFlags.Zero))
            : FindStatusAsync(offset, Math.Min(length, Length - offset));

    /// <inheritdoc/>
    public ValueTask OnEventAsync(string eventName) => default;

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => image.DisposeAsync();

    private async ValueTask<BlockStatus> FindStatusAsync(long offset, long length)
    {
        var extents = Volatile.Read(ref _extents);

        // a list may be older than a write that was in flight meanwhile: once there are writes, none is kept
        if (extents is null || offset < extents.Start || offset >= extents.End || _hasChanged
            || Environment.TickCount64 - _extentsTime > ExtentsLifetime)
        {
            long start = offset / image.ObjectSize * image.ObjectSize;

            // without a map of objects each of them is asked
            long end = image.HasFastDiff ? Length : Math.Min(Math.Min(offset + length, start + MaxListed), Length);
            _extentsTime = Environment.TickCount64;
            extents = await image.FindExtentsAsync(start, end, MaxRuns);
            Volatile.Write(ref _extents, extents);
        }

        var (runEnd, isData) = extents.RunAt(offset);
        return new BlockStatus(Math.Min(length, runEnd - offset), isData ? BlockStatusFlags.Data : BlockStatusFlags.Zero);
    }

    private async ValueTask GrowAndWriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        await GrowAsync(offset + data.Length, cancellationToken);
        await image.WriteAsync(offset, data);
    }

    private async ValueTask GrowAsync(long end, CancellationToken cancellationToken)
    {
        if (end <= Length)
        {
            return;
        }

        await _growth.AcquireUntilAsync(cancellationToken);
        try
        {
            if (end > Length)
            {
                long step = image.ObjectSize * GrowthObjects;
                await image.ResizeAsync((end + step - 1) / step * step);
            }
        }
        finally
        {
            _growth.Release();
        }
    }
}
