using Paddock.Block;

namespace Paddock.Faults;

/// <summary>
/// A disk whose requests pass a <see cref="FaultStorage"/>, with the status and the zones of the disk below: blkdebug over a format.
/// </summary>
/// <param name="device">The disk below; owned by <paramref name="faults"/>.</param>
/// <param name="faults">The rules, over the bytes of the same disk; owned.</param>
internal sealed class FaultDevice(IBlockDevice device, FaultStorage faults) : DelegatingDevice(device, owns: false)
{
    public override IRangeCopy? RangeCopy => null;

    public override IUnreadableRanges? UnreadableRanges => null;

    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => faults.ReadAsync(offset, buffer, cancellationToken);

    public override async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        await faults.WriteAsync(offset, data, cancellationToken);
        await SyncAsync((flags & WriteFlags.Fua) != 0, cancellationToken);
    }

    public override async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        await faults.WriteZeroesAsync(offset, length, flags & ~ZeroFlags.Fua, cancellationToken);
        await SyncAsync((flags & ZeroFlags.Fua) != 0, cancellationToken);
    }

    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => faults.DiscardAsync(offset, length, cancellationToken);

    // the rules decide whether the request fails, the disk below what it returns
    public override async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        _ = await faults.GetStatusAsync(offset, length, cancellationToken);
        return await Inner.GetStatusAsync(offset, length, cancellationToken);
    }

    public override ValueTask FlushAsync(CancellationToken cancellationToken = default) => faults.FlushAsync(cancellationToken);

    public override async ValueTask DisposeAsync()
    {
        await faults.DisposeAsync();
        await base.DisposeAsync();
    }

    private ValueTask SyncAsync(bool isForced, CancellationToken cancellationToken)
        => isForced ? faults.FlushAsync(cancellationToken) : default;
}
