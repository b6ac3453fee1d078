using Paddock.Block;

namespace Paddock.Tools.Serve;

/// <summary>What was done to the storage under an image; it stays when the image is opened anew.</summary>
internal sealed class StorageCounters
{
    private long _bytesWritten;
    private long _writes;
    private long _flushes;

    /// <summary>Bytes written, those of metadata among them; ranges that were made zero are not.</summary>
    public long BytesWritten => Interlocked.Read(ref _bytesWritten);

    /// <summary>Writes.</summary>
    public long Writes => Interlocked.Read(ref _writes);

    /// <summary>Flushes.</summary>
    public long Flushes => Interlocked.Read(ref _flushes);

    public void CountWrite(long bytes)
    {
        Interlocked.Increment(ref _writes);
        Interlocked.Add(ref _bytesWritten, bytes);
    }

    public void CountFlush() => Interlocked.Increment(ref _flushes);
}

/// <summary>A storage whose writes are counted: what an image writes for what its clients wrote.</summary>
/// <param name="storage">The storage; owned.</param>
/// <param name="counters">Told of each write.</param>
internal sealed class CountingStorage(IStorage storage, StorageCounters counters) : IStorage
{
    public string Name => storage.Name;

    public long Length => storage.Length;

    public bool IsReadOnly => storage.IsReadOnly;

    public long AllocatedBytes => storage.AllocatedBytes;

    public int PreferredAlignment => storage.PreferredAlignment;

    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => storage.ReadAsync(offset, buffer, cancellationToken);

    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        counters.CountWrite(data.Length);
        return storage.WriteAsync(offset, data, cancellationToken);
    }

    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => storage.WriteZeroesAsync(offset, length, flags, cancellationToken);

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => storage.DiscardAsync(offset, length, cancellationToken);

    public ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        counters.CountFlush();
        return storage.FlushAsync(cancellationToken);
    }

    public void ThrowIfFlushFailed() => storage.ThrowIfFlushFailed();

    public ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
        => storage.ReserveAsync(offset, length, grows, cancellationToken);

    public ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => storage.SetLengthAsync(length, preallocation, cancellationToken);

    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => storage.GetStatusAsync(offset, length, cancellationToken);

    public ValueTask OnEventAsync(string eventName) => storage.OnEventAsync(eventName);

    public ValueTask DisposeAsync() => storage.DisposeAsync();
}
