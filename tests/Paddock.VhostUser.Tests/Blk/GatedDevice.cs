using Paddock.Block;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>A disk in front of another: reads of one sector wait at a gate, failures are on demand, and the last flags are kept.</summary>
internal sealed class GatedDevice(IBlockDevice inner) : DelegatingDevice(inner)
{
    private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public long GatedSector { get; init; } = -1;

    /// <summary>Every read and write ends on another thread.</summary>
    public bool Yields { get; init; }

    public Exception? Failure { get; set; }

    public WriteFlags LastFlags { get; private set; }

    public void OpenGate() => _gate.SetResult();

    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => Failure is { } failure ? throw failure
            : offset == GatedSector * 512 ? new ValueTask(_gate.Task)
            : Yields ? LaterAsync(() => Inner.ReadAsync(offset, buffer, cancellationToken))
            : Inner.ReadAsync(offset, buffer, cancellationToken);

    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
    {
        LastFlags = flags;
        return Yields ? LaterAsync(() => Inner.WriteAsync(offset, data, flags, cancellationToken))
            : Inner.WriteAsync(offset, data, flags, cancellationToken);
    }

    private static async ValueTask LaterAsync(Func<ValueTask> run)
    {
        await Task.Yield();
        await run();
    }
}
