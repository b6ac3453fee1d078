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
internal sealed class FailingStorage(IStorage storage, FailureMode mode, int failAt) : DelegatingStorage(storage, owns: false)
{
    private int _calls;

    public bool HasFailed { get; private set; }

    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => DoAsync(() => Inner.ReadAsync(offset, buffer, cancellationToken));

    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => DoAsync(() => Inner.WriteAsync(offset, data, cancellationToken));

    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => DoAsync(() => Inner.WriteZeroesAsync(offset, length, flags, cancellationToken));

    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => DoAsync(() => Inner.DiscardAsync(offset, length, cancellationToken));

    public override ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
        => ValueTask.FromResult(false);

    public override ValueTask FlushAsync(CancellationToken cancellationToken = default)
        => DoAsync(() => Inner.FlushAsync(cancellationToken));

    public override ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => DoAsync(() => Inner.SetLengthAsync(length, preallocation, cancellationToken));

    public override async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        await DoAsync(() => default);
        return await Inner.GetStatusAsync(offset, length, cancellationToken);
    }

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
