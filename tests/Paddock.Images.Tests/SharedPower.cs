using Paddock.Block;

namespace Paddock.Images.Tests;

/// <summary>Ends at a request, counted over all disks.</summary>
internal sealed class Power(int at) : IDisposable
{
    private readonly SemaphoreSlim _turn = new(1);
    private int _requests;

    public bool IsGone => _requests >= at;

    public void Dispose() => _turn.Dispose();

    public async ValueTask<T> DoAsync<T>(Func<ValueTask<T>> request)
    {
        await _turn.WaitAsync();
        try
        {
            _requests++;
            return IsGone ? throw new BlockException(BlockError.Io, "the power is gone") : await request();
        }
        finally
        {
            _turn.Release();
        }
    }
}

/// <summary>A disk that takes one request at a time, until the power is gone.</summary>
internal sealed class Powered(IStorage disk, Power power) : DelegatingStorage(disk)
{
    public override async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => await DoAsync(() => base.ReadAsync(offset, buffer, cancellationToken));

    public override async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => await DoAsync(() => base.WriteAsync(offset, data, cancellationToken));

    public override async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => await DoAsync(() => base.WriteZeroesAsync(offset, length, flags, cancellationToken));

    public override async ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => await DoAsync(() => base.DiscardAsync(offset, length, cancellationToken));

    public override async ValueTask FlushAsync(CancellationToken cancellationToken = default)
        => await DoAsync(() => base.FlushAsync(cancellationToken));

    public override async ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => await DoAsync(() => base.SetLengthAsync(length, preallocation, cancellationToken));

    public override ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
        => power.DoAsync(() => base.ReserveAsync(offset, length, grows, cancellationToken));

    public override ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => power.DoAsync(() => base.GetStatusAsync(offset, length, cancellationToken));

    private async ValueTask DoAsync(Func<ValueTask> request)
        => await power.DoAsync(async () =>
        {
            await request();
            return true;
        });
}
