using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests;

/// <summary>How a storage call fails.</summary>
public enum FailureMode
{
    /// <summary>It fails and changes nothing; what follows works.</summary>
    Once,

    /// <summary>It takes effect and reports an error; what follows works.</summary>
    AfterEffect,

    /// <summary>It fails, and so does every later call: the process was killed, or the disk is gone.</summary>
    ForGood,
}

/// <summary>Lets one call of a storage fail, of any kind. It outlives the device that is closed on it.</summary>
internal sealed class FailingStorage(IStorage storage, FailureMode mode, int failAt) : IStorage
{
    private int _calls;

    public bool HasFailed { get; private set; }

    public string Name => storage.Name;

    public long Length => storage.Length;

    public bool IsReadOnly => storage.IsReadOnly;

    public long AllocatedBytes => storage.AllocatedBytes;

    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => DoAsync(() => storage.ReadAsync(offset, buffer, cancellationToken));

    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => DoAsync(() => storage.WriteAsync(offset, data, cancellationToken));

    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => DoAsync(() => storage.WriteZeroesAsync(offset, length, flags, cancellationToken));

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => DoAsync(() => storage.DiscardAsync(offset, length, cancellationToken));

    public void ThrowIfFlushFailed() => storage.ThrowIfFlushFailed();

    public ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
        => ValueTask.FromResult(false);

    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => DoAsync(() => storage.FlushAsync(cancellationToken));

    public ValueTask SetLengthAsync(long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => DoAsync(() => storage.SetLengthAsync(length, preallocation, cancellationToken));

    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        await DoAsync(() => default);
        return await storage.GetStatusAsync(offset, length, cancellationToken);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private async ValueTask DoAsync(Func<ValueTask> call)
    {
        bool fails = _calls == failAt || (mode == FailureMode.ForGood && _calls > failAt);
        _calls++;
        HasFailed |= fails;
        if (!fails || mode == FailureMode.AfterEffect)
        {
            await call();
        }

        if (fails)
        {
            throw new BlockException(BlockError.Io, $"injected: call {failAt} fails") { Errno = 5 };
        }
    }
}

internal static class KeptStorageExtensions
{
    /// <summary>The same bytes as a storage that a device cannot close.</summary>
    public static KeptStorage Kept(this PagedStorage storage) => new(storage);
}
