using Paddock.Block;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>A disk in front of another: reads of one sector wait at a gate, failures are on demand, and the last flags are kept.</summary>
internal sealed class GatedDevice(IBlockDevice inner) : IBlockDevice
{
    private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public long GatedSector { get; init; } = -1;

    /// <summary>Every read and write ends on another thread.</summary>
    public bool Yields { get; init; }

    public Exception? Failure { get; set; }

    public WriteFlags LastFlags { get; private set; }

    public long Length => inner.Length;

    public bool IsReadOnly => inner.IsReadOnly;

    public BlockLimits Limits => inner.Limits;

    public void OpenGate() => _gate.SetResult();

    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => Failure is { } failure ? throw failure
            : offset == GatedSector * 512 ? new ValueTask(_gate.Task)
            : Yields ? LaterAsync(() => inner.ReadAsync(offset, buffer, cancellationToken))
            : inner.ReadAsync(offset, buffer, cancellationToken);

    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
    {
        LastFlags = flags;
        return Yields ? LaterAsync(() => inner.WriteAsync(offset, data, flags, cancellationToken))
            : inner.WriteAsync(offset, data, flags, cancellationToken);
    }

    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => inner.WriteZeroesAsync(offset, length, flags, cancellationToken);

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken)
        => inner.DiscardAsync(offset, length, cancellationToken);

    public ValueTask FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

    public ValueTask ResizeAsync(long length, Preallocation preallocation, CancellationToken cancellationToken)
        => inner.ResizeAsync(length, preallocation, cancellationToken);

    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken)
        => inner.GetStatusAsync(offset, length, cancellationToken);

    public ValueTask DisposeAsync() => inner.DisposeAsync();

    private static async ValueTask LaterAsync(Func<ValueTask> run)
    {
        await Task.Yield();
        await run();
    }
}
