using Paddock.Block;

namespace Paddock.Images.Filters;

/// <summary>A disk whose requests wait for their turn in a throttle group; zones are passed on.</summary>
/// <param name="device">The disk; owned.</param>
/// <param name="group">The limits.</param>
internal sealed class ThrottleDevice(IBlockDevice device, ThrottleGroup group) : DelegatingDevice(device)
{
    /// <inheritdoc/>
    public override IRangeCopy? RangeCopy => null;

    /// <inheritdoc/>
    public override IZones? Zones { get; } = device.Zones is { } zones ? new ThrottledZones(zones, group) : null;

    /// <inheritdoc/>
    public override async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        await group.AdmitAsync(isWrite: false, buffer.Length, cancellationToken);
        await Inner.ReadAsync(offset, buffer, cancellationToken);
    }

    /// <inheritdoc/>
    public override async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        await group.AdmitAsync(isWrite: true, data.Length, cancellationToken);
        await Inner.WriteAsync(offset, data, flags, cancellationToken);
    }

    /// <inheritdoc/>
    public override async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        await group.AdmitAsync(isWrite: true, length, cancellationToken);
        await Inner.WriteZeroesAsync(offset, length, flags, cancellationToken);
    }

    /// <inheritdoc/>
    public override async ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        await group.AdmitAsync(isWrite: true, length, cancellationToken);
        await Inner.DiscardAsync(offset, length, cancellationToken);
    }

    private sealed class ThrottledZones(IZones zones, ThrottleGroup group) : DelegatingZones(zones)
    {
        public override async ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
            CancellationToken cancellationToken = default)
        {
            await group.AdmitAsync(isWrite: true, data.Length, cancellationToken);
            return await Inner.AppendAsync(zoneStart, data, flags, observer, cancellationToken);
        }
    }
}
