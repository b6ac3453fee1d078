using Paddock.Block;

namespace Paddock.Images.Nodes;

/// <summary>
/// A disk without a volatile write cache: cache modes writethrough and directsync. Each change is durable when it completes.
/// </summary>
internal sealed class CacheDevice(IBlockDevice device) : DelegatingDevice(device)
{
    public override IRangeCopy? RangeCopy => null;

    public override IZones? Zones { get; } = device.Zones is { } zones ? new CacheZones(device, zones) : null;

    public override ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => Inner.WriteAsync(offset, data, flags | WriteFlags.Fua, cancellationToken);

    public override ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => Inner.WriteZeroesAsync(offset, length, flags | ZeroFlags.Fua, cancellationToken);

    private sealed class CacheZones(IBlockDevice device, IZones zones) : DelegatingZones(zones)
    {
        public override async ValueTask ManageAsync(
            ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
        {
            await Inner.ManageAsync(action, offset, length, cancellationToken);
            await device.FlushAsync(cancellationToken);
        }

        public override async ValueTask CommitAsync(long position, CancellationToken cancellationToken = default)
        {
            await Inner.CommitAsync(position, cancellationToken);
            await device.FlushAsync(cancellationToken);
        }

        public override ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
            CancellationToken cancellationToken = default)
            => Inner.AppendAsync(zoneStart, data, flags | WriteFlags.Fua, observer, cancellationToken);
    }
}
