using Paddock.Block;

namespace Paddock.Nbd.Tests;

/// <summary>A disk whose reads keep their thread, as a file does that is not in memory; it counts how many are at work at once.</summary>
internal sealed class BlockingDevice : IBlockDevice
{
    private int _atWork;
    private int _most;

    public int MostAtOnce => _most;

    public long Length => 1 << 20;

    public IBlockDevice? Backing => null;

    public IZones? Zones => null;

    public void ThrowIfFlushFailed()
    {
    }

    public bool IsReadOnly => false;

    public BlockLimits Limits => BlockLimits.Bytes;

    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int now = Interlocked.Increment(ref _atWork);
        InterlockedMax(now);
        using (var never = new ManualResetEventSlim())
        {
            never.Wait(2, cancellationToken);
        }

        Interlocked.Decrement(ref _atWork);
        buffer.Span.Clear();
        return default;
    }

    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default) => default;

    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => default;

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default) => default;

    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => default;

    public ValueTask ResizeAsync(long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => default;

    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => new(new BlockStatus(length, BlockStatusFlags.Data | BlockStatusFlags.Allocated));

    public ValueTask DisposeAsync() => default;

    private void InterlockedMax(int value)
    {
        for (int seen = _most; value > seen;)
        {
            int was = Interlocked.CompareExchange(ref _most, value, seen);
            if (was == seen)
            {
                return;
            }

            seen = was;
        }
    }
}
