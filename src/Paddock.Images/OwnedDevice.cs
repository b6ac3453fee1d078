using System.Runtime.CompilerServices;
using Paddock.Block;

namespace Paddock.Images;

/// <summary>
/// A disk on a storage that may be lost to another machine. No request begins unless this process is certainly the owner, and nothing read
/// is returned unless it was so after that: caches of the layers below may hold what is true no longer.
/// </summary>
internal sealed class OwnedDevice : DelegatingDevice
{
    private readonly ILeasedStorage _lease;

    /// <param name="device">The disk; owned.</param>
    /// <param name="lease">The storage.</param>
    public OwnedDevice(IBlockDevice device, ILeasedStorage lease)
        : base(device)
    {
        _lease = lease;
        Zones = device.Zones is { } zones ? new OwnedZones(zones, this) : null;
        RangeCopy = device.RangeCopy is { } copy ? new OwnedRangeCopy(copy, this) : null;
        UnreadableRanges = device.UnreadableRanges is { } ranges ? new OwnedUnreadableRanges(ranges, this) : null;
    }

    /// <inheritdoc/>
    public override IZones? Zones { get; }

    /// <inheritdoc/>
    public override IRangeCopy? RangeCopy { get; }

    /// <inheritdoc/>
    public override IUnreadableRanges? UnreadableRanges { get; }

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (!_lease.IsConfirmed)
        {
            return ConfirmThenReadAsync(offset, buffer, cancellationToken);
        }

        var reading = Inner.ReadAsync(offset, buffer, cancellationToken);
        return reading.IsCompletedSuccessfully && _lease.IsConfirmed ? reading : AfterAsync(reading);
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => _lease.IsConfirmed ? Inner.WriteAsync(offset, data, flags, cancellationToken)
            : ConfirmThenWriteAsync(offset, data, flags, cancellationToken);

    /// <inheritdoc/>
    public override async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        await ConfirmAsync();
        await Inner.WriteZeroesAsync(offset, length, flags, cancellationToken);
    }

    /// <inheritdoc/>
    public override async ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        await ConfirmAsync();
        await Inner.DiscardAsync(offset, length, cancellationToken);
    }

    /// <inheritdoc/>
    public override async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        await ConfirmAsync();
        await Inner.FlushAsync(cancellationToken);
    }

    /// <inheritdoc/>
    public override async ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        await ConfirmAsync();
        await Inner.ResizeAsync(length, preallocation, cancellationToken);
    }

    /// <inheritdoc/>
    public override async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        await ConfirmAsync();
        var status = await Inner.GetStatusAsync(offset, length, cancellationToken);
        await ConfirmAsync();
        return status;
    }

    private ValueTask ConfirmAsync() => _lease.IsConfirmed ? default : _lease.ConfirmAsync();

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask AfterAsync(ValueTask reading)
    {
        await reading;
        await ConfirmAsync();
    }

    private async ValueTask ConfirmThenReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        await _lease.ConfirmAsync();
        await Inner.ReadAsync(offset, buffer, cancellationToken);
        await ConfirmAsync();
    }

    private async ValueTask ConfirmThenWriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
    {
        await _lease.ConfirmAsync();
        await Inner.WriteAsync(offset, data, flags, cancellationToken);
    }

    private sealed class OwnedZones(IZones zones, OwnedDevice device) : DelegatingZones(zones)
    {
        public override async ValueTask<int> ReportAsync(
            long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
        {
            await device.ConfirmAsync();
            int count = await Inner.ReportAsync(offset, zones, cancellationToken);
            await device.ConfirmAsync();
            return count;
        }

        public override async ValueTask<ZoneFindings> FindAsync(
            long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
        {
            await device.ConfirmAsync();
            var findings = await Inner.FindAsync(offset, which, zones, count, cancellationToken);
            await device.ConfirmAsync();
            return findings;
        }

        public override async ValueTask ManageAsync(
            ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
        {
            await device.ConfirmAsync();
            await Inner.ManageAsync(action, offset, length, cancellationToken);
        }

        public override async ValueTask CommitAsync(long position, CancellationToken cancellationToken = default)
        {
            await device.ConfirmAsync();
            await Inner.CommitAsync(position, cancellationToken);
        }

        public override ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
            CancellationToken cancellationToken = default)
            => device._lease.IsConfirmed ? Inner.AppendAsync(zoneStart, data, flags, observer, cancellationToken)
                : ConfirmThenAppendAsync(zoneStart, data, flags, observer, cancellationToken);

        private async ValueTask<long> ConfirmThenAppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags, IAppendObserver? observer, CancellationToken cancellationToken)
        {
            await device._lease.ConfirmAsync();
            return await Inner.AppendAsync(zoneStart, data, flags, observer, cancellationToken);
        }
    }

    private sealed class OwnedRangeCopy(IRangeCopy copy, OwnedDevice device) : DelegatingRangeCopy(copy)
    {
        public override async ValueTask CopyAsync(long source, long offset, long length, CancellationToken cancellationToken = default)
        {
            await device.ConfirmAsync();
            await Inner.CopyAsync(source, offset, length, cancellationToken);
        }
    }

    private sealed class OwnedUnreadableRanges(IUnreadableRanges ranges, OwnedDevice device) : IUnreadableRanges
    {
        public async ValueTask AddAsync(long offset, long length, CancellationToken cancellationToken = default)
        {
            await device.ConfirmAsync();
            await ranges.AddAsync(offset, length, cancellationToken);
        }
    }
}
