using Paddock.Block;

namespace Paddock.Qcow2.Tests;

/// <summary>Outlives the device that is closed on it, so that a test can open the same bytes again.</summary>
internal sealed class KeptStorage(IStorage storage) : DelegatingStorage(storage, owns: false), IThinStorage
{
    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => MayFail() ?? Inner.WriteAsync(offset, data, cancellationToken);

    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => MayFail() ?? Inner.WriteZeroesAsync(offset, length, flags, cancellationToken);

    public override ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
        => ValueTask.FromResult(false);

    public override ValueTask FlushAsync(CancellationToken cancellationToken = default) => MayFail() ?? Inner.FlushAsync(cancellationToken);

    public override ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => MayFail() ?? Inner.SetLengthAsync(length, preallocation, cancellationToken);

    /// <inheritdoc/>
    public bool IsThin { get; init; }

    /// <summary>The engine's named event at which to fail once, with an I/O error; null never fails.</summary>
    public string? FailAt { get; set; }

    /// <summary>How many times it fails there.</summary>
    public int FailTimes { get; set; } = 1;

    /// <summary>How many changes and flushes still work before one fails, once, with "no space"; negative never fails.</summary>
    public int FailIn { get; set; } = -1;

    public override ValueTask OnEventAsync(string eventName)
    {
        if (eventName != FailAt)
        {
            return Inner.OnEventAsync(eventName);
        }

        FailAt = --FailTimes > 0 ? FailAt : null;
        throw new BlockException(BlockError.Io, $"injected at {eventName}");
    }

    private ValueTask? MayFail()
        => FailIn < 0 || FailIn-- > 0 ? null
            : new ValueTask(Task.FromException(new BlockException(BlockError.NoSpace, "injected: the disk is full")));
}
