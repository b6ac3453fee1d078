using System.Runtime.CompilerServices;
using Paddock.Block;

namespace Paddock.VhostUser.Blk;

/// <content>Writes to zones that are taken again after a crash: they may have been done already.</content>
internal sealed partial class BlkRequest
{
    // one that was never about to land was not begun; one that was is there if the disk holds its data, and else nothing of it counts
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<long> AppendAgainAsync()
    {
        if (_chain.Note is { } note && note.Length == _length && note.Offset >= Offset && note.Offset - Offset <= _device.Zones!.Limits.ZoneSize - _length
            && await WrittenAsync(note.Offset) == _length && await HoldsAsync(note.Offset, _length))
        {
            await SettleAsync();
            return note.Offset;
        }

        return await Append();
    }

    // the write that failed succeeds if the zone's pointer is behind its beginning and the disk holds its data up to there; the rest is written
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ResumeAsync(Exception failure)
    {
        long done = await WrittenAsync(Offset);
        if (done == 0 || !await HoldsAsync(Offset, done))
        {
            _status = StatusMap.Of(failure, _header.Type);
            return;
        }

        if (done < _length)
        {
            await RunPartsAsync(done);
        }
        else
        {
            await SettleAsync();
        }
    }

    // what is there already may not be durable yet, and a driver that does not flush counts on that
    private ValueTask SettleAsync() => _queue.IsWriteThrough ? _device.Device.FlushAsync() : default;

    // how much of this request's length, from an offset on, lies before the zone's write pointer
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<long> WrittenAsync(long offset)
    {
        var zones = new ZoneDescriptor[1];
        await _device.Zones!.ReportAsync(offset, zones);
        return zones[0].Condition == ZoneCondition.Full ? _length : Math.Clamp(zones[0].WritePointer - offset, 0, _length);
    }

    // a request taken again has a buffer of two parts at least
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<bool> HoldsAsync(long offset, long length)
    {
        int part = Math.Min(BlkLimits.Part, _device.Device.Limits.MaxTransfer);
        for (long done = 0; done < length;)
        {
            int count = (int)Math.Min(part, length - done);
            Memory<byte> wanted = _slab!.Bytes.AsMemory(0, count), found = _slab.Bytes.AsMemory(BlkLimits.Part, count);
            Pieces.Gather(_chain.Readable, RequestHeader.Size + done, wanted.Span);
            await _device.Device.ReadAsync(offset + done, found);
            if (!wanted.Span.SequenceEqual(found.Span))
            {
                return false;
            }

            done += count;
        }

        return true;
    }
}
