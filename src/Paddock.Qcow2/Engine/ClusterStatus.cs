using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Tells how ranges of the disk are stored (block status).</summary>
internal sealed class ClusterStatus(
    DataLayer data, ImageHeader header, ClusterMap map, SparseClusters sparse, UnreadableRanges unreadable, IBlockDevice? backing)
{
    /// <summary>Where data are, for those who may read them there: encrypted data are of no use to them.</summary>
    private readonly BlockStatusFlags _place = header.IsEncrypted ? BlockStatusFlags.None : BlockStatusFlags.OffsetValid;

    /// <summary>The first run of one kind in a range, at most <paramref name="length"/> bytes.</summary>
    public async ValueTask<BlockStatus> GetAsync(GuestOffset offset, long length, CancellationToken cancellationToken)
    {
        long diskEnd = header.VirtualSize;
        length = Math.Min(length, diskEnd - offset.Value);
        if (length <= 0)
        {
            return new BlockStatus(0, BlockStatusFlags.EndOfDevice);
        }

        if (unreadable.Find(offset, length) is { } range)
        {
            // data, whatever is stored there: a copy must not find a hole
            if (range.Start == offset.Value)
            {
                var atEnd = range.End == diskEnd ? BlockStatusFlags.EndOfDevice : BlockStatusFlags.None;
                return new BlockStatus(
                    range.End - range.Start, atEnd | BlockStatusFlags.Data | BlockStatusFlags.Allocated | BlockStatusFlags.Unreadable);
            }

            length = range.Start - offset.Value;
        }

        var mapping = await map.FindAsync(offset, length);
        long run = mapping.Length;
        bool hasHost = mapping.HasCluster;

        // runs end at slices; equal ones are joined, so that callers see long runs
        while (run < length)
        {
            var next = await map.FindAsync(offset + run, length - run);
            bool same = next.Kind == mapping.Kind && next.Kind != ClusterKind.Compressed && next.HasCluster == hasHost
                && (!hasHost || next.Host == mapping.Host + run);
            if (!same)
            {
                break;
            }

            run += next.Length;
        }

        var hole = BlockStatusFlags.None;
        if (mapping.Kind == ClusterKind.Normal && !header.IsEncrypted && await sparse.IsSparseAsync(header.Fields, cancellationToken))
        {
            // what the file has not stored reads as zeroes, although the cluster is allocated
            var below = await data.Storage.GetStatusAsync(mapping.Host.Value, run, cancellationToken);
            run = below.Length > 0 ? Math.Min(run, below.Length) : run;
            hole = below.Flags & BlockStatusFlags.Zero;
        }

        var end = offset.Value + run == diskEnd ? BlockStatusFlags.EndOfDevice : BlockStatusFlags.None;
        return mapping.Kind switch
        {
            ClusterKind.Normal => new(
                run, end | hole | BlockStatusFlags.Data | BlockStatusFlags.Allocated | _place, mapping.Host.Value),
            ClusterKind.Compressed => new(run, end | BlockStatusFlags.Data | BlockStatusFlags.Allocated | BlockStatusFlags.Compressed),
            ClusterKind.ZeroAllocated => new(
                run, end | BlockStatusFlags.Zero | BlockStatusFlags.Allocated | _place, mapping.Host.Value),
            ClusterKind.ZeroPlain => new(run, end | BlockStatusFlags.Zero | BlockStatusFlags.Allocated),
            _ when hasHost => new(
                run, end | (backing is null ? BlockStatusFlags.Zero : BlockStatusFlags.None) | BlockStatusFlags.OffsetValid,
                mapping.Host.Value),
            _ => new(run, end | (backing is null ? BlockStatusFlags.Zero : BlockStatusFlags.None)),
        };
    }
}
