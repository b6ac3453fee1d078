using System.Runtime.CompilerServices;
using Paddock.Block;

namespace Paddock.VhostUser.Blk;

/// <summary>Repeats writes to zones after a crash: they may have completed before it.</summary>
internal sealed class BlkReplay(BlkJob job, BlkTransfer transfer)
{
    /// <summary>
    /// Appends, unless the data is on the disk: the recorded offset is below the write pointer and the disk holds the data there. Without a
    /// recorded offset the append was never started.
    /// </summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<long> AppendAsync(IAppendObserver observer)
    {
        if (job.Chain.Note is { } note && note.Length == job.Length && note.Offset >= job.Offset
            && note.Offset - job.Offset <= job.Device.Zones!.Limits.ZoneSize - job.Length
            && await WrittenAsync(note.Offset) == job.Length && await HoldsAsync(note.Offset, job.Length))
        {
            await SettleAsync();
            return note.Offset;
        }

        return await transfer.Append(observer);
    }

    /// <summary>
    /// Completes a write that failed: if the write pointer is past the start of the write and the disk holds its data up to there, only the
    /// rest is written. Otherwise the failure is the job's status.
    /// </summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask ResumeAsync(Exception failure)
    {
        long done = await WrittenAsync(job.Offset);
        if (done == 0 || !await HoldsAsync(job.Offset, done))
        {
            job.Status = StatusMap.Of(failure, job.Type);
            return;
        }

        if (done < job.Length)
        {
            await transfer.RunPartsAsync(done);
        }
        else
        {
            await SettleAsync();
        }
    }

    // existing data may not be durable yet, and a driver that does not flush expects it to be
    private ValueTask SettleAsync() => job.IsWriteThrough ? job.Device.Device.FlushAsync() : default;

    // how much of this request, from an offset on, is below the zone's write pointer
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<long> WrittenAsync(long offset)
    {
        var zones = new ZoneDescriptor[1];
        await job.Device.Zones!.ReportAsync(offset, zones);
        return zones[0].Condition == ZoneCondition.Full ? job.Length : Math.Clamp(zones[0].WritePointer - offset, 0, job.Length);
    }

    // the buffer of a repeated request has room for at least two parts
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<bool> HoldsAsync(long offset, long length)
    {
        int part = Math.Min(BlkLimits.Part, job.Device.Device.Limits.MaxTransfer);
        for (long done = 0; done < length;)
        {
            int count = (int)Math.Min(part, length - done);
            Memory<byte> wanted = job.Slab!.Bytes.AsMemory(0, count), found = job.Slab.Bytes.AsMemory(BlkLimits.Part, count);
            Pieces.Gather(job.Chain.Readable, RequestHeader.Size + done, wanted.Span);
            await job.Device.Device.ReadAsync(offset + done, found);
            if (!wanted.Span.SequenceEqual(found.Span))
            {
                return false;
            }

            done += count;
        }

        return true;
    }
}
