using Paddock.Block;

namespace Paddock.Tools;

/// <summary>
/// A storage seen through a window (raw's <c>offset</c> and <c>size</c>) or without its flushes (cache mode unsafe), or both.
/// </summary>
/// <param name="storage">The storage; owned.</param>
/// <param name="start">First byte of the window.</param>
/// <param name="size">Bytes in the window; null to let it end where the storage ends.</param>
/// <param name="flushes">False to take flushes as done.</param>
internal sealed class WindowStorage(IStorage storage, long start = 0, long? size = null, bool flushes = true) : IStorage
{
    public string Name => storage.Name;

    public long Length => size ?? Math.Max(0, storage.Length - start);

    public bool IsReadOnly => storage.IsReadOnly;

    public long AllocatedBytes => storage.AllocatedBytes;

    public int PreferredAlignment => storage.PreferredAlignment;

    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => storage.ReadAsync(start + offset, buffer, cancellationToken);

    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        CheckEnd(offset, data.Length);
        return storage.WriteAsync(start + offset, data, cancellationToken);
    }

    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        CheckEnd(offset, length);
        return storage.WriteZeroesAsync(start + offset, length, flags, cancellationToken);
    }

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        CheckEnd(offset, length);
        return storage.DiscardAsync(start + offset, length, cancellationToken);
    }

    public ValueTask FlushAsync(CancellationToken cancellationToken = default)
        => flushes ? storage.FlushAsync(cancellationToken) : ValueTask.CompletedTask;

    public void ThrowIfFlushFailed() => storage.ThrowIfFlushFailed();

    public ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
        => storage.ReserveAsync(start + offset, length, grows, cancellationToken);

    public ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => size is null
            ? storage.SetLengthAsync(start + length, preallocation, cancellationToken)
            : throw new BlockException(BlockError.NotSupported, "Cannot resize fixed-size raw disks");

    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        var status = await storage.GetStatusAsync(start + offset, length, cancellationToken);
        return status with { HostOffset = start + offset };
    }

    public ValueTask OnEventAsync(string eventName) => storage.OnEventAsync(eventName);

    public ValueTask DisposeAsync() => storage.DisposeAsync();

    private void CheckEnd(long offset, long length)
    {
        if (size is { } end && (offset > end || length > end - offset))
        {
            throw new BlockException(BlockError.NoSpace, $"offset {offset}, length {length}: outside the window of {end} bytes");
        }
    }
}
