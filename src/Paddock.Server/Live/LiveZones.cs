using System.Diagnostics;
using System.Runtime.CompilerServices;
using Paddock.Block;

namespace Paddock.Server.Live;

/// <summary>The zones of a <see cref="LiveDevice"/>.</summary>
/// <param name="zones">The zones below.</param>
/// <param name="meter">Records the requests.</param>
internal sealed class LiveZones(IZones zones, LiveMeter meter) : DelegatingZones(zones)
{
    /// <inheritdoc/>
    public override ValueTask<int> ReportAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
    {
        if (!meter.IsOn)
        {
            return Inner.ReportAsync(offset, zones, cancellationToken);
        }

        var request = Begin(LiveOperation.Report, offset, 0);
        try
        {
            return EndAsync(request, Inner.ReportAsync(offset, zones, cancellationToken));
        }
        catch
        {
            meter.Record(request, failed: true);
            throw;
        }
    }

    /// <inheritdoc/>
    public override ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
    {
        if (!meter.IsOn)
        {
            return Inner.ManageAsync(action, offset, length, cancellationToken);
        }

        var request = Begin(LiveOperations.Of(action), offset, length);
        ValueTask running;
        try
        {
            running = Inner.ManageAsync(action, offset, length, cancellationToken);
        }
        catch
        {
            meter.Record(request, failed: true);
            throw;
        }

        if (!running.IsCompletedSuccessfully)
        {
            return LiveDevice.RecordAfterAsync(meter, request, running);
        }

        meter.Record(request, failed: false);
        return running;
    }

    /// <inheritdoc/>
    public override ValueTask CommitAsync(long position, CancellationToken cancellationToken = default)
        => meter.IsOn ? CommitAndRecordAsync(position, cancellationToken) : Inner.CommitAsync(position, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask<long> AppendAsync(
        long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
        CancellationToken cancellationToken = default)
    {
        if (!meter.IsOn)
        {
            return Inner.AppendAsync(zoneStart, data, flags, observer, cancellationToken);
        }

        var request = Begin(LiveOperation.Append, zoneStart, data.Length);
        ValueTask<long> running;
        try
        {
            running = Inner.AppendAsync(zoneStart, data, flags, observer, cancellationToken);
        }
        catch
        {
            meter.Record(request, failed: true);
            throw;
        }

        if (!running.IsCompletedSuccessfully)
        {
            return RecordAfterAsync(request, running);
        }

        // the result of a pooled task can be read only once
        long at = running.GetAwaiter().GetResult();
        meter.Record(request with { Offset = at }, failed: false);
        return new ValueTask<long>(at);
    }

    private static LiveRequest Begin(LiveOperation operation, long offset, long length)
        => new(operation, offset, length, Stopwatch.GetTimestamp());

    private async ValueTask CommitAndRecordAsync(long end, CancellationToken cancellationToken)
    {
        var request = Begin(LiveOperation.Commit, Math.Max(0, end - 1), 1);
        bool failed = true;
        try
        {
            await Inner.CommitAsync(end, cancellationToken);
            failed = false;
        }
        finally
        {
            meter.Record(request, failed);
        }
    }

    private async ValueTask<int> EndAsync(LiveRequest request, ValueTask<int> running)
    {
        bool failed = true;
        try
        {
            int got = await running;
            failed = false;
            return got;
        }
        finally
        {
            meter.Record(request, failed);
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<long> RecordAfterAsync(LiveRequest request, ValueTask<long> running)
    {
        bool failed = true;
        try
        {
            request = request with { Offset = await running };
            failed = false;
            return request.Offset;
        }
        finally
        {
            meter.Record(request, failed);
        }
    }
}
