using System.Buffers;
using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Serving;

namespace Paddock.VhostUser.Blk;

/// <content>What each type of request does with the disk.</content>
internal sealed partial class BlkRequest
{
    private const int ZoneBatch = 512;

    private ValueTask Start() => _header.Type switch
    {
        RequestType.In => Read(),
        RequestType.Out => Write(),
        RequestType.Flush => _device.Device.FlushAsync(),
        RequestType.GetId => PutId(),
        RequestType.Discard or RequestType.WriteZeroes => RunRangesAsync(),
        RequestType.ZoneReport => ReportAsync(),
        RequestType.ZoneOpen => ManageOne(ZoneAction.Open),
        RequestType.ZoneClose => ManageOne(ZoneAction.Close),
        RequestType.ZoneFinish => ManageOne(ZoneAction.Finish),
        RequestType.ZoneReset => ManageOne(ZoneAction.Reset),
        _ => new ValueTask(_queue.LongWork.RunAsync(turn => ResetAllAsync(_device.Device, turn))),
    };

    // one piece of guest memory goes to the disk as it is; several are read into one buffer first
    private ValueTask Read()
    {
        if (_way == DataWay.Parts)
        {
            return RunPartsAsync(0);
        }

        return _device.Device.ReadAsync(Offset, TryGetRun(out var run) ? run : _slab!.Bytes.AsMemory(0, (int)_length));
    }

    private ValueTask Write() => _way == DataWay.Parts ? RunPartsAsync(0) : _device.Device.WriteAsync(Offset, Collect(), Flags);

    private ValueTask<long> Append() => _device.Zones!.AppendAsync(Offset, Collect(), Flags, this);

    private ReadOnlyMemory<byte> Collect()
    {
        if (TryGetRun(out var run))
        {
            return run;
        }

        var all = _slab!.Bytes.AsMemory(0, (int)_length);
        Pieces.Gather(_chain.Readable, RequestHeader.Size, all.Span);
        return all;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask RunPartsAsync(long from)
    {
        int part = Math.Min(BlkLimits.Part, _device.Device.Limits.MaxTransfer);
        for (long done = from; done < _length;)
        {
            var run = _slab!.Bytes.AsMemory(0, (int)Math.Min(part, _length - done));
            if (_header.Type == RequestType.In)
            {
                await _device.Device.ReadAsync(Offset + done, run);
                Pieces.Scatter(_chain.Writable, done, run.Span);
            }
            else
            {
                Pieces.Gather(_chain.Readable, RequestHeader.Size + done, run.Span);
                await _device.Device.WriteAsync(Offset + done, run, Flags);
            }

            done += run.Length;
        }
    }

    // every range is checked before the first is run
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask RunRangesAsync()
    {
        var ranges = _slab!.Bytes.AsMemory(0, (int)_length);
        Pieces.Gather(_chain.Readable, RequestHeader.Size, ranges.Span);
        for (int at = 0; at < _length && _status == RequestStatus.Ok; at += BlkRange.Size)
        {
            _status = Check(BlkRange.Parse(ranges.Span[at..]));
        }

        if (_status != RequestStatus.Ok)
        {
            return;
        }

        long total = 0;
        for (int at = 0; at < _length; at += BlkRange.Size)
        {
            total += BlkRange.Parse(ranges.Span[at..]).Sectors;
        }

        await (total << BlkLimits.SectorShift <= BlkLimits.ShortRanges ? RunRangesAsync(ranges, null)
            : _queue.LongWork.RunAsync(turn => RunRangesAsync(ranges, turn)));
    }

    // in pieces, where others take turns with it
    private async Task RunRangesAsync(ReadOnlyMemory<byte> ranges, LongTurn? turn)
    {
        long most = _header.Type == RequestType.Discard ? BlkLimits.DiscardPiece : BlkLimits.ZeroesPiece;
        for (int at = 0; at < ranges.Length; at += BlkRange.Size)
        {
            var range = BlkRange.Parse(ranges.Span[at..]);
            long offset = (long)(range.Sector << BlkLimits.SectorShift), length = (long)range.Sectors << BlkLimits.SectorShift;
            for (long done = 0, piece; done < length; done += piece)
            {
                piece = LongWork.PieceAt(offset + done, length - done, most);
                await (_header.Type == RequestType.Discard ? _device.Device.DiscardAsync(offset + done, piece)
                    : _device.Device.WriteZeroesAsync(offset + done, piece, ZeroFlagsOf(range)));
                if (turn is not null)
                {
                    await turn.NextAsync();
                }
            }
        }
    }

    private ZeroFlags ZeroFlagsOf(in BlkRange range)
        => (_queue.IsWriteThrough ? ZeroFlags.Fua : 0) | ((range.Flags & BlkRange.Unmap) != 0 ? ZeroFlags.MayUnmap : 0);

    private RequestStatus Check(in BlkRange range)
    {
        ulong sectors = (ulong)_device.Device.Length >> BlkLimits.SectorShift;
        uint known = _header.Type == RequestType.WriteZeroes ? BlkRange.Unmap : 0;
        return (range.Flags & ~known) != 0 ? RequestStatus.Unsupported
            : range.Sectors > BlkLimits.RangeSectors || range.Sector > sectors || range.Sectors > sectors - range.Sector ? RequestStatus.IoError
            : RequestStatus.Ok;
    }

    private ValueTask PutId()
    {
        int count = (int)Math.Min(_length, VirtioBlkDevice.IdSize);
        Pieces.Scatter(_chain.Writable, 0, _device.Id.Span[..count]);
        _dataWritten = count;
        return ValueTask.CompletedTask;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ReportAsync()
    {
        var zones = ArrayPool<ZoneDescriptor>.Shared.Rent(ZoneBatch);
        var page = _slab!.Bytes.AsMemory(0, BufferSize());
        page.Span.Clear();
        try
        {
            int room = (page.Length - ZoneReport.HeaderSize) / ZoneReport.ZoneSize, count = 0;
            for (long offset = Offset; offset < _device.Device.Length && count < room;)
            {
                int got = await _device.Zones!.ReportAsync(offset, zones.AsMemory(0, Math.Min(ZoneBatch, room - count)));
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
            Pieces.Scatter(_chain.Writable, 0, page.Span);
            _dataWritten = page.Length;
        }
        finally
        {
            ArrayPool<ZoneDescriptor>.Shared.Return(zones);
        }
    }

    private ValueTask ManageOne(ZoneAction action)
    {
        var zones = _device.Zones!;
        return zones.ManageAsync(action, Offset, Math.Min(zones.Limits.ZoneSize, _device.Device.Length - Offset));
    }

    // a zone that can never be written again stands in the way of the whole range: the others are reset one by one then
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
