using Paddock.Block;

namespace Paddock.Qcow2.Tests;

/// <summary>Outlives the device that is closed on it, so that a test can open the same bytes again.</summary>
internal sealed class KeptStorage(IStorage storage) : IStorage
{
    public string Name => storage.Name;

    public long Length => storage.Length;

    public bool IsReadOnly => storage.IsReadOnly;

    public long AllocatedBytes => storage.AllocatedBytes;

    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => storage.ReadAsync(offset, buffer, cancellationToken);

    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => MayFail() ?? storage.WriteAsync(offset, data, cancellationToken);

    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => MayFail() ?? storage.WriteZeroesAsync(offset, length, flags, cancellationToken);

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => storage.DiscardAsync(offset, length, cancellationToken);

    public void ThrowIfFlushFailed() => storage.ThrowIfFlushFailed();

    public ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
        => ValueTask.FromResult(false);

    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => MayFail() ?? storage.FlushAsync(cancellationToken);

    public ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => MayFail() ?? storage.SetLengthAsync(length, preallocation, cancellationToken);

    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => storage.GetStatusAsync(offset, length, cancellationToken);

    /// <summary>The engine's named event at which to fail once, with an I/O error; null never fails.</summary>
    public string? FailAt { get; set; }

    /// <summary>How many times it fails there.</summary>
    public int FailTimes { get; set; } = 1;

    /// <summary>How many changes and flushes still work before one fails, once, with "no space"; negative never fails.</summary>
    public int FailIn { get; set; } = -1;

    public ValueTask OnEventAsync(string eventName)
    {
        if (eventName != FailAt)
        {
            return storage.OnEventAsync(eventName);
        }

        FailAt = --FailTimes > 0 ? FailAt : null;
        throw new BlockException(BlockError.Io, $"injected at {eventName}");
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private ValueTask? MayFail()
        => FailIn < 0 || FailIn-- > 0 ? null : new ValueTask(Task.FromException(new BlockException(BlockError.NoSpace, "injected: the disk is full")));
}
