using System.Diagnostics;
using System.Runtime.CompilerServices;
using Paddock.Block;

namespace Paddock.Server.Live;

/// <summary>A device whose requests are recorded while somebody watches.</summary>
internal sealed class LiveDevice : DelegatingDevice
{
    private readonly LiveMeter _meter;
    private readonly LiveZones? _zones;
    private readonly LiveRangeCopy? _copy;

    /// <param name="device">The device; owned.</param>
    /// <param name="meter">Records the requests.</param>
    public LiveDevice(IBlockDevice device, LiveMeter meter)
        : base(device)
    {
        _meter = meter;
        _zones = device.Zones is { } zones ? new LiveZones(zones, meter) : null;
        _copy = device.RangeCopy is { } copy ? new LiveRangeCopy(copy, meter) : null;
    }

    /// <inheritdoc/>
    public override IZones? Zones => _zones;

    /// <inheritdoc/>
    public override IRangeCopy? RangeCopy => _copy;

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => !_meter.IsOn ? Inner.ReadAsync(offset, buffer, cancellationToken) : RunAsync(
            LiveOperation.Read, offset, buffer.Length, (offset, buffer),
            static (device, r, stop) => device.ReadAsync(r.offset, r.buffer, stop), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => !_meter.IsOn ? Inner.WriteAsync(offset, data, flags, cancellationToken) : RunAsync(
            LiveOperation.Write, offset, data.Length, (offset, data, flags),
            static (device, r, stop) => device.WriteAsync(r.offset, r.data, r.flags, stop), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => !_meter.IsOn ? Inner.WriteZeroesAsync(offset, length, flags, cancellationToken) : RunAsync(
            LiveOperation.Zeroes, offset, length, (offset, length, flags),
            static (device, r, stop) => device.WriteZeroesAsync(r.offset, r.length, r.flags, stop), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => !_meter.IsOn ? Inner.DiscardAsync(offset, length, cancellationToken) : RunAsync(
            LiveOperation.Discard, offset, length, (offset, length),
            static (device, r, stop) => device.DiscardAsync(r.offset, r.length, stop), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask FlushAsync(CancellationToken cancellationToken = default)
        => !_meter.IsOn ? Inner.FlushAsync(cancellationToken) : RunAsync(
            LiveOperation.Flush, 0, 0, 0, static (device, _, stop) => device.FlushAsync(stop), cancellationToken);

    /// <summary>Waits for a request that has not ended, or that failed, and records it.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    internal static async ValueTask RecordAfterAsync(LiveMeter meter, LiveRequest request, ValueTask running)
    {
        bool failed = true;
        try
        {
            await running;
            failed = false;
        }
        finally
        {
            meter.Record(request, failed);
        }
    }

    /// <summary>Range copies, which are recorded as writes of the target.</summary>
    private sealed class LiveRangeCopy(IRangeCopy copy, LiveMeter meter) : DelegatingRangeCopy(copy)
    {
        public override ValueTask CopyAsync(long source, long offset, long length, CancellationToken cancellationToken = default)
        {
            var copying = Inner.CopyAsync(source, offset, length, cancellationToken);
            return !meter.IsOn ? copying : RecordAfterAsync(
                meter, new LiveRequest(LiveOperation.Write, offset, length, Stopwatch.GetTimestamp()), copying);
        }
    }

    private ValueTask RunAsync<TRequest>(
        LiveOperation operation, long offset, long length, in TRequest request,
        Func<IBlockDevice, TRequest, CancellationToken, ValueTask> send, CancellationToken cancellationToken)
    {
        var recorded = new LiveRequest(operation, offset, length, Stopwatch.GetTimestamp());
        ValueTask running;
        try
        {
            running = send(Inner, request, cancellationToken);
        }
        catch
        {
            _meter.Record(recorded, failed: true);
            throw;
        }

        if (!running.IsCompletedSuccessfully)
        {
            return RecordAfterAsync(_meter, recorded, running);
        }

        _meter.Record(recorded, failed: false);
        return running;
    }
}
