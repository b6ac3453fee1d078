using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check;

/// <summary>
/// Builds new refcount structures in free clusters. The header names them last, after they are durable: until then the image is unchanged.
/// </summary>
internal sealed class RefcountRebuild(CheckContext context)
{
    private const long MaxTableBytes = 8 << 20;
    private const long TableField = 48;

    private readonly CheckedImage _image = context.Image;
    private readonly ReferenceMap _references = context.References;

    /// <summary>The cluster of the new block for each index of the table that needs one.</summary>
    private readonly SortedDictionary<long, HostCluster> _blocks = [];

    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        PlanBlocks(default, new(context.Clusters));
        long entries = TableEntries();
        HostCluster start;
        long clusters;
        while (true)
        {
            clusters = entries * 8 >> _image.ClusterBits;
            start = Allocate(clusters, default);
            PlanBlocks(start, start + clusters);
            if (TableEntries() <= entries)
            {
                break;
            }

            // the clusters found need a block beyond the table's end: they stay allocated and leak, and a longer table is placed
            entries = TableEntries();
        }

        await WriteBlocksAsync(cancellationToken);
        await WriteTableAsync(start, clusters, cancellationToken);
    }

    private long TableEntries()
    {
        long perCluster = _image.ClusterSize / 8;
        long entries = _blocks.Count == 0 ? 1 : _blocks.Keys.Last() + 1;
        return (entries + perCluster - 1) / perCluster * perCluster;
    }

    /// <summary>Plans a block for each block range that has a counted cluster in the given range; the new block is counted too.</summary>
    private void PlanBlocks(HostCluster from, HostCluster until)
    {
        int bits = context.Stored.BlockBits;
        HostCluster firstFree = default;
        for (var cluster = from; cluster < until; cluster += 1)
        {
            if (!_references.HasPage(cluster))
            {
                cluster = ReferenceMap.PageEnd(cluster);
                continue;
            }

            if (_references[cluster] == 0)
            {
                continue;
            }

            long index = cluster.Index >> bits;
            if (!_blocks.ContainsKey(index))
            {
                // never in a range whose block is planned already, and never searched twice: the search stays linear
                _blocks[index] = Allocate(1, HostCluster.Max(firstFree, new(index << bits)));
                firstFree = _blocks[index] + 1;
                until = HostCluster.Max(until, new(Math.Min(context.Clusters, firstFree.Index)));
            }

            cluster = new(((index + 1) << bits) - 1);
        }
    }

    /// <summary>The first run of free clusters from <paramref name="from"/> on; past the end if no run is free.</summary>
    private HostCluster Allocate(long count, HostCluster from)
    {
        long run = 0;
        var cluster = from;
        for (; cluster.Index < context.Clusters && run < count; cluster += 1)
        {
            run = _references[cluster] == 0 ? run + 1 : 0;
        }

        var start = cluster + -run;
        for (var i = start; i < start + count; i += 1)
        {
            _references[i] = 1;
        }

        context.Include(start + (count - 1));
        return start;
    }

    private async ValueTask WriteBlocksAsync(CancellationToken cancellationToken)
    {
        int bits = context.Stored.BlockBits;
        var block = new byte[_image.ClusterSize];
        foreach (var (index, at) in _blocks)
        {
            Array.Clear(block);
            var first = new HostCluster(index << bits);
            for (long i = 0; i < 1L << bits && first.Index + i < context.Clusters; i++)
            {
                RefcountBits.Set(block, _image.RefcountOrder, (int)i, _references[first + i]);
            }

            await context.Storage.WriteAsync(_image.OffsetOf(at).Value, block, cancellationToken);
        }

        await context.Storage.FlushAsync(cancellationToken);
    }

    private async ValueTask WriteTableAsync(HostCluster start, long clusters, CancellationToken cancellationToken)
    {
        if (clusters << _image.ClusterBits > MaxTableBytes)
        {
            throw new BlockException(BlockError.TooLarge, "the rebuilt refcount table would be larger than 8 MiB");
        }

        var table = new byte[clusters << _image.ClusterBits];
        foreach (var (index, at) in _blocks)
        {
            BinaryPrimitives.WriteInt64BigEndian(table.AsSpan((int)index * 8), _image.OffsetOf(at).Value);
        }

        var offset = _image.OffsetOf(start);
        await context.Storage.WriteAsync(offset.Value, table, cancellationToken);
        await context.Storage.FlushAsync(cancellationToken);
        var fields = new byte[12];
        BinaryPrimitives.WriteInt64BigEndian(fields, offset.Value);
        BinaryPrimitives.WriteUInt32BigEndian(fields.AsSpan(8), (uint)clusters);
        await context.Storage.WriteAsync(TableField, fields, cancellationToken);
        await context.Storage.FlushAsync(cancellationToken);
        _image.RefcountTableOffset = offset;
        _image.RefcountTableClusters = (uint)clusters;
    }
}
