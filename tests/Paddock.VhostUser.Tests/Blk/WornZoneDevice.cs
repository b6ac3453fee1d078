using Paddock.Block;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>A zoned disk in front of another, one of whose zones has become READ ONLY.</summary>
internal sealed class WornZoneDevice(IZonedBlockDevice inner, int worn) : IZonedBlockDevice
{
    public ZonedLimits Zoned => inner.Zoned;

    public long Length => inner.Length;

    public bool IsReadOnly => inner.IsReadOnly;

    public BlockLimits Limits => inner.Limits;

    public async ValueTask<int> ReportZonesAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken)
    {
        int count = await inner.ReportZonesAsync(offset, zones, cancellationToken);
        for (int i = 0; i < count; i++)
        {
            ref var zone = ref zones.Span[i];
            if (zone.Start / Zoned.ZoneSize == worn)
            {
                zone = zone with { Condition = ZoneCondition.ReadOnly };
            }
        }

        return count;
    }

    public ValueTask ManageZonesAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken)
    {
        long at = worn * Zoned.ZoneSize;
        return offset <= at && at < offset + length
            ? throw new ZoneException(ZoneError.ReadOnly, worn, "the zone is read only")
            : inner.ManageZonesAsync(action, offset, length, cancellationToken);
    }

    public ValueTask<long> AppendAsync(long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
        => inner.AppendAsync(zoneStart, data, flags, cancellationToken);

    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => inner.ReadAsync(offset, buffer, cancellationToken);

    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
        => inner.WriteAsync(offset, data, flags, cancellationToken);

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
}
