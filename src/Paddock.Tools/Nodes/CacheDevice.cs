using Paddock.Block;

namespace Paddock.Tools;

/// <summary>A disk without a volatile write cache: cache modes writethrough and directsync. Each change is durable when it completes.</summary>
internal class CacheDevice(IBlockDevice device) : IBlockDevice
{
    /// <inheritdoc/>
    public long Length => device.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => device.IsReadOnly;

    /// <inheritdoc/>
    public BlockLimits Limits => device.Limits;

    /// <inheritdoc/>
    public IBlockDevice? Backing => device.Backing;

    /// <summary>Takes the cache from a disk; a zoned one stays zoned.</summary>
    public static IBlockDevice WriteThrough(IBlockDevice device)
        => device is IZonedBlockDevice zoned ? new ZonedCacheDevice(zoned) : new CacheDevice(device);

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => device.ReadAsync(offset, buffer, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => device.WriteAsync(offset, data, flags | WriteFlags.Fua, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => device.WriteZeroesAsync(offset, length, flags | ZeroFlags.Fua, cancellationToken);

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => device.DiscardAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => device.FlushAsync(cancellationToken);

    /// <inheritdoc/>
    public ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => device.ResizeAsync(length, preallocation, cancellationToken);

    /// <inheritdoc/>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => device.GetStatusAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return device.DisposeAsync();
    }

    private sealed class ZonedCacheDevice(IZonedBlockDevice zoned) : CacheDevice(zoned), IZonedBlockDevice
    {
        private readonly IZonedBlockDevice _zoned = zoned;

        public ZonedLimits Zoned => _zoned.Zoned;

        public IZoneAttributes? Attributes => _zoned.Attributes;

        public ValueTask<int> ReportZonesAsync(
            long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
            => _zoned.ReportZonesAsync(offset, zones, cancellationToken);

        public ValueTask<ZoneFindings> FindZonesAsync(
            long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
            => _zoned.FindZonesAsync(offset, which, zones, count, cancellationToken);

        public async ValueTask ManageZonesAsync(
            ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
        {
            await _zoned.ManageZonesAsync(action, offset, length, cancellationToken);
            await _zoned.FlushAsync(cancellationToken);
        }

        public ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
            => _zoned.AppendAsync(zoneStart, data, flags | WriteFlags.Fua, cancellationToken);
    }
}
