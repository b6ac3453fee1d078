using Paddock.Block;

namespace Paddock.Compat.Img;

/// <summary>A stream as the target of a copy that writes every byte in ascending order.</summary>
/// <param name="stream">The stream; not owned.</param>
/// <param name="length">Bytes that will be written.</param>
internal sealed class StreamTarget(Stream stream, long length) : IBlockDevice
{
    private long _at;

    /// <inheritdoc/>
    public long Length => length;

    /// <inheritdoc/>
    public BlockLimits Limits => new(1, 1 << 20, 0);

    /// <inheritdoc/>
    public bool IsReadOnly => false;

    /// <inheritdoc/>
    public IBlockDevice? Backing => null;

    /// <inheritdoc/>
    public IZones? Zones => null;

    /// <inheritdoc/>
    public IRangeCopy? RangeCopy => null;

    /// <inheritdoc/>
    public IUnreadableRanges? UnreadableRanges => null;

    /// <inheritdoc/>
    public async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        if (offset != _at)
        {
            throw new BlockException(BlockError.InvalidArgument, $"a write to byte {offset} of a stream that is at byte {_at}");
        }

        _at += data.Length;
        await stream.WriteAsync(data, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default) => throw NotPossible();

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default) => throw NotPossible();

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default) => throw NotPossible();

    /// <inheritdoc/>
    public ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => throw NotPossible();

    /// <inheritdoc/>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => new(new BlockStatus(length, BlockStatusFlags.Allocated));

    /// <inheritdoc/>
    public async ValueTask FlushAsync(CancellationToken cancellationToken = default) => await stream.FlushAsync(cancellationToken);

    /// <inheritdoc/>
    public void ThrowIfFlushFailed()
    {
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => default;

    private static BlockException NotPossible() => new(BlockError.NotSupported, "a stream is only written");
}
