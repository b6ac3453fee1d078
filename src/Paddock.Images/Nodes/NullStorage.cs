using Paddock.Block;

namespace Paddock.Images.Nodes;

/// <summary>The driver null-co: takes every request and keeps nothing, to measure what lies above it.</summary>
/// <param name="size">Bytes.</param>
/// <param name="readZeroes">Whether reads give zeroes; else they leave the buffer as it was.</param>
/// <param name="readOnly">Whether it is open for reading only.</param>
internal sealed class NullStorage(long size, bool readZeroes, bool readOnly) : IStorage
{
    /// <summary>Its size where none is given.</summary>
    public const long DefaultSize = 1L << 30;

    public string Name => "null-co://";

    public long Length => size;

    public bool IsReadOnly => readOnly;

    public long AllocatedBytes => 0;

    public int PreferredAlignment => 1;

    public ValueTask OnEventAsync(string eventName) => default;

    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (readZeroes)
        {
            buffer.Span.Clear();
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => ValueTask.CompletedTask;

    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => ValueTask.CompletedTask;

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default) => ValueTask.CompletedTask;

    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => ValueTask.CompletedTask;

    public void ThrowIfFlushFailed()
    {
    }

    public ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
        => ValueTask.FromResult(true);

    public ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => throw new BlockException(BlockError.NotSupported, "Image format driver does not support resize");

    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => new(new BlockStatus(length, readZeroes ? BlockStatusFlags.Zero : BlockStatusFlags.Data, offset));

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
