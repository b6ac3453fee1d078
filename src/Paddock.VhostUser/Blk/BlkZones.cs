using System.Buffers;
using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Serving;

namespace Paddock.VhostUser.Blk;

/// <summary>Zone reports and zone management.</summary>
internal sealed class BlkZones(BlkJob job)
{
    private const int ZoneBatch = 512;

    /// <summary>Reports as many zones as fit into the driver's buffer and ours.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask ReportAsync()
    {
        var zones = ArrayPool<ZoneDescriptor>.Shared.Rent(ZoneBatch);
        var page = job.Slab!.Bytes.AsMemory(0, job.BufferSize);
        page.Span.Clear();
        try
        {
            int room = (page.Length - ZoneReport.HeaderSize) / ZoneReport.ZoneSize, count = 0;
            for (long offset = job.Offset; offset < job.Device.Device.Length && count < room;)
            {
                int got = await job.Device.Zones!.ReportAsync(offset, zones.AsMemory(0, Math.Min(ZoneBatch, room - count)));
                if (got == 0)
                {
                    break;
                }

                for (int i = 0; i < got; i++)
                {
                    ZoneReport.WriteZone(page.Span[(ZoneReport.HeaderSize + (count++ * ZoneReport.ZoneSize))..], zones[i]);
                }

                offset = zones[got - 1].Start + zones[got - 1].Length;
            }

            ZoneReport.WriteHeader(page.Span, count);
            Pieces.Scatter(job.Chain.Writable, 0, page.Span);
            job.DataWritten = page.Length;
        }
        finally
        {
            ArrayPool<ZoneDescriptor>.Shared.Return(zones);
        }
    }

    /// <summary>Opens, closes, finishes or resets the zone of the request.</summary>
    public ValueTask ManageOne(ZoneAction action)
    {
        var zones = job.Device.Zones!;
        return zones.ManageAsync(action, job.Offset, Math.Min(zones.Limits.ZoneSize, job.Device.Device.Length - job.Offset));
    }

    /// <summary>Resets all zones, taking turns with other requests.</summary>
    public ValueTask ResetAll() => new(job.LongWork.RunAsync(turn => ResetAllAsync(job.Device.Device, turn)));

    // a read-only or offline zone makes the reset of the whole range fail: then the others are reset one by one
    private static async Task ResetAllAsync(IBlockDevice device, LongTurn turn)
    {
        var zoned = device.Zones!;
        try
        {
            await zoned.ManageAsync(ZoneAction.Reset, 0, device.Length);
            return;
        }
        catch (ZoneException e) when (e.Reason is ZoneError.ReadOnly or ZoneError.Offline)
        {
            // below
        }

        var zones = new ZoneDescriptor[ZoneBatch];
        for (long offset = 0; offset < device.Length;)
        {
            var found = await zoned.FindAsync(
                offset, ZoneConditionSet.Open | ZoneConditionSet.Closed | ZoneConditionSet.Full, zones, count: false);
            if (found.Filled == 0)
            {
                return;
            }

            for (int i = 0; i < found.Filled; i++)
            {
                await zoned.ManageAsync(ZoneAction.Reset, zones[i].Start, zones[i].Length);
                offset = zones[i].Start + zones[i].Length;
                await turn.NextAsync();
            }
        }
    }
}
