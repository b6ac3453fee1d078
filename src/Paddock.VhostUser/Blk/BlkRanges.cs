using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Serving;

namespace Paddock.VhostUser.Blk;

/// <summary>Discard and write zeroes: a list of ranges, all checked before the first one runs.</summary>
internal sealed class BlkRanges(BlkJob job)
{
    /// <summary>Checks all ranges and runs them. If one is rejected, the job's status is the reason.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask RunAsync()
    {
        var ranges = job.Slab!.Bytes.AsMemory(0, (int)job.Length);
        Pieces.Gather(job.Chain.Readable, RequestHeader.Size, ranges.Span);
        for (int at = 0; at < job.Length && job.Status == RequestStatus.Ok; at += BlkRange.Size)
        {
            job.Status = Check(BlkRange.Parse(ranges.Span[at..]));
        }

        if (job.Status != RequestStatus.Ok)
        {
            return;
        }

        long total = 0;
        for (int at = 0; at < job.Length; at += BlkRange.Size)
        {
            total += BlkRange.Parse(ranges.Span[at..]).Sectors;
        }

        await (total << BlkLimits.SectorShift <= BlkLimits.ShortRanges ? RunAsync(ranges, null)
            : job.LongWork.RunAsync(turn => RunAsync(ranges, turn)));
    }

    // in pieces, so that other requests can take turns with it
    private async Task RunAsync(ReadOnlyMemory<byte> ranges, LongTurn? turn)
    {
        long most = job.Type == RequestType.Discard ? BlkLimits.DiscardPiece : BlkLimits.ZeroesPiece;
        for (int at = 0; at < ranges.Length; at += BlkRange.Size)
        {
            var range = BlkRange.Parse(ranges.Span[at..]);
            long offset = (long)(range.Sector << BlkLimits.SectorShift), length = (long)range.Sectors << BlkLimits.SectorShift;
            for (long done = 0, piece; done < length; done += piece)
            {
                piece = LongWork.PieceAt(offset + done, length - done, most);
                await (job.Type == RequestType.Discard ? job.Device.Device.DiscardAsync(offset + done, piece)
                    : job.Device.Device.WriteZeroesAsync(offset + done, piece, ZeroFlagsOf(range)));
                if (turn is not null)
                {
                    await turn.NextAsync();
                }
            }
        }
    }

    private ZeroFlags ZeroFlagsOf(in BlkRange range)
        => (job.IsWriteThrough ? ZeroFlags.Fua : 0) | ((range.Flags & BlkRange.Unmap) != 0 ? ZeroFlags.MayUnmap : 0);

    private RequestStatus Check(in BlkRange range)
    {
        ulong sectors = (ulong)job.Device.Device.Length >> BlkLimits.SectorShift;
        uint known = job.Type == RequestType.WriteZeroes ? BlkRange.Unmap : 0;
        return (range.Flags & ~known) != 0 ? RequestStatus.Unsupported
            : range.Sectors > BlkLimits.RangeSectors || range.Sector > sectors || range.Sectors > sectors - range.Sector
            ? RequestStatus.IoError
            : RequestStatus.Ok;
    }
}
