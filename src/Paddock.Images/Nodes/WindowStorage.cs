using Paddock.Block;

namespace Paddock.Images.Nodes;

/// <summary>
/// A storage seen through a window (raw's <c>offset</c> and <c>size</c>) or without its flushes (cache mode unsafe), or both.
/// </summary>
/// <param name="storage">The storage; owned.</param>
/// <param name="start">First byte of the window.</param>
/// <param name="size">Bytes in the window; null to let it end where the storage ends.</param>
/// <param name="flushes">False to take flushes as done.</param>
internal sealed class WindowStorage(IStorage storage, long start = 0, long? size = null, bool flushes = true)
    : DelegatingStorage(storage)
{
    public override long Length => size ?? Math.Max(0, Inner.Length - start);

    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => Inner.ReadAsync(start + offset, buffer, cancellationToken);

    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        CheckEnd(offset, data.Length);
        return Inner.WriteAsync(start + offset, data, cancellationToken);
    }

    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        CheckEnd(offset, length);
        return Inner.WriteZeroesAsync(start + offset, length, flags, cancellationToken);
    }

    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        CheckEnd(offset, length);
        return Inner.DiscardAsync(start + offset, length, cancellationToken);
    }

    public override ValueTask FlushAsync(CancellationToken cancellationToken = default)
        => flushes ? Inner.FlushAsync(cancellationToken) : ValueTask.CompletedTask;

    public override ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
        => Inner.ReserveAsync(start + offset, length, grows, cancellationToken);

    public override ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => size is null
            ? Inner.SetLengthAsync(start + length, preallocation, cancellationToken)
            : throw new BlockException(BlockError.NotSupported, "Cannot resize fixed-size raw disks");

    public override async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        var status = await Inner.GetStatusAsync(start + offset, length, cancellationToken);
        return (status.Flags & BlockStatusFlags.OffsetValid) != 0 ? status : status with { HostOffset = start + offset };
    }

    private void CheckEnd(long offset, long length)
    {
        if (size is { } end && (offset > end || length > end - offset))
        {
            throw new BlockException(BlockError.NoSpace, $"offset {offset}, length {length}: outside the window of {end} bytes");
        }
    }
}
