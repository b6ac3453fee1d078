using Paddock.Block;

namespace Paddock.Images.Nodes;

/// <summary>A storage that accepts every request and keeps nothing, to measure the layers above it.</summary>
/// <param name="name">Name for messages.</param>
/// <param name="size">Bytes.</param>
/// <param name="readZeroes">Whether reads give zeroes; else they leave the buffer as it was.</param>
/// <param name="readOnly">Whether it is open for reading only.</param>
/// <param name="latency">Time that each read, write, zero and flush request takes.</param>
/// <param name="time">Clock of the latency; the system's if null.</param>
internal sealed class NullStorage(
    string name, long size, bool readZeroes, bool readOnly, TimeSpan latency = default, TimeProvider? time = null) : IStorage
{
    /// <summary>Its size where none is given.</summary>
    public const long DefaultSize = 1L << 30;

    public string Name => name;

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

        return DelayAsync(cancellationToken);
    }

    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => DelayAsync(cancellationToken);

    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => DelayAsync(cancellationToken);

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default) => ValueTask.CompletedTask;

    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => DelayAsync(cancellationToken);

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

    private ValueTask DelayAsync(CancellationToken cancellationToken)
        => latency == default ? default : new ValueTask(Task.Delay(latency, time ?? TimeProvider.System, cancellationToken));
}
