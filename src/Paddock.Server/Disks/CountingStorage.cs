using Paddock.Block;

namespace Paddock.Server.Disks;

/// <summary>Counters of the storage of an image; they are kept when the image is reopened.</summary>
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
internal sealed class CountingStorage(IStorage storage, StorageCounters counters) : DelegatingStorage(storage)
{
    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        counters.CountWrite(data.Length);
        return Inner.WriteAsync(offset, data, cancellationToken);
    }

    public override ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        counters.CountFlush();
        return Inner.FlushAsync(cancellationToken);
    }
}
