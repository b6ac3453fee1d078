using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Check;

/// <summary>
/// Building the refcount structures anew in free clusters. The header is turned to them last, after they are durable: until then the
/// image is what it was.
/// </summary>
internal sealed partial class ImageChecker
{
    private async ValueTask RebuildAsync()
    {
        Say("Rebuilding refcount structure");
        var old = _report with { };
        var blocks = new SortedDictionary<long, long>();
        PlanBlocks(blocks, 0, _clusters);
        long tableEntries = TableEntriesFor(blocks);
        long tableStart;
        long tableClusters;
        while (true)
        {
            tableClusters = tableEntries * 8 >> image.ClusterBits;
            tableStart = Allocate(tableClusters, 0);
            PlanBlocks(blocks, tableStart, tableStart + tableClusters);
            if (TableEntriesFor(blocks) <= tableEntries)
            {
                break;
            }

            // the place found needs a block beyond the table's end: that place stays allocated and leaks, a longer one is sought
            tableEntries = TableEntriesFor(blocks);
        }

        await WriteBlocksAsync(blocks);
        await WriteTableAsync(blocks, tableStart, tableClusters);
        await RecountAsync(old);
    }

    private long TableEntriesFor(SortedDictionary<long, long> blocks)
    {
        long perCluster = image.ClusterSize / 8;
        long entries = blocks.Count == 0 ? 1 : blocks.Keys.Last() + 1;
        return (entries + perCluster - 1) / perCluster * perCluster;
    }

    /// <summary>Gives a block to each block range that has a counted cluster in the given range; the new block is counted too.</summary>
    private void PlanBlocks(SortedDictionary<long, long> blocks, long from, long until)
    {
        int bits = _stored.BlockBits;
        long firstFree = 0;
        for (long cluster = from; cluster < until; cluster++)
        {
            if (!_references.HasPage(cluster))
            {
                cluster |= ReferenceMap.PageClusters - 1;
                continue;
            }

            if (_references[cluster] == 0)
            {
                continue;
            }

            long index = cluster >> bits;
            if (!blocks.ContainsKey(index))
            {
                // never in a range whose block is planned already, and never searched twice: the search stays linear
                blocks[index] = Allocate(1, Math.Max(firstFree, index << bits));
                firstFree = blocks[index] + 1;
                until = Math.Max(until, Math.Min(_clusters, blocks[index] + 1));
            }

            cluster = ((index + 1) << bits) - 1;
        }
    }

    /// <summary>The first run of free clusters from <paramref name="from"/> on; past the end where there is none.</summary>
    private long Allocate(long count, long from)
    {
        long run = 0;
        long cluster = from;
        for (; cluster < _clusters && run < count; cluster++)
        {
            run = _references[cluster] == 0 ? run + 1 : 0;
        }

        long start = cluster - run;
        for (long i = start; i < start + count; i++)
        {
            _references[i] = 1;
        }

        _clusters = Math.Max(_clusters, start + count);
        return start;
    }

    private async ValueTask WriteBlocksAsync(SortedDictionary<long, long> blocks)
    {
        var block = new byte[image.ClusterSize];
        foreach (var (index, at) in blocks)
        {
            Array.Clear(block);
            long first = index << _stored.BlockBits;
            for (long i = 0; i < 1L << _stored.BlockBits && first + i < _clusters; i++)
            {
                RefcountBits.Set(block, image.RefcountOrder, (int)i, _references[first + i]);
            }

            await _storage.WriteAsync(at << image.ClusterBits, block, cancellationToken);
        }

        await _storage.FlushAsync(cancellationToken);
    }

    private async ValueTask WriteTableAsync(SortedDictionary<long, long> blocks, long start, long clusters)
    {
        if (clusters << image.ClusterBits > 8 << 20)
        {
            throw new BlockException(BlockError.TooLarge, "the rebuilt refcount table would be larger than 8 MiB");
        }

        var table = new byte[clusters << image.ClusterBits];
        foreach (var (index, at) in blocks)
        {
            BinaryPrimitives.WriteInt64BigEndian(table.AsSpan((int)index * 8), at << image.ClusterBits);
        }

        await _storage.WriteAsync(start << image.ClusterBits, table, cancellationToken);
        await _storage.FlushAsync(cancellationToken);
        var fields = new byte[12];
        BinaryPrimitives.WriteInt64BigEndian(fields, start << image.ClusterBits);
        BinaryPrimitives.WriteUInt32BigEndian(fields.AsSpan(8), (uint)clusters);
        await _storage.WriteAsync(48, fields, cancellationToken);
        await _storage.FlushAsync(cancellationToken);
        image.RefcountTableOffset = start << image.ClusterBits;
        image.RefcountTableClusters = (uint)clusters;
    }

    private async ValueTask RecountAsync(Qcow2CheckReport old)
    {
        _report = new Qcow2CheckReport
        {
            TotalClusters = old.TotalClusters, CorruptionsFixed = old.CorruptionsFixed, LeaksFixed = old.LeaksFixed,
        };
        _rebuild = false;
        _fileLength = _storage.Length;
        _clusters = Math.Max(_clusters, image.ClustersOf(_fileLength));
        _stored = await StoredRefcounts.ReadAsync(image, cancellationToken);
        await CountReferencesAsync(false);
        var recount = _report with { };
        await CompareAsync(FixLeaks, false);
        if (_rebuild)
        {
            Say("ERROR rebuilt refcount structure is still broken");
        }

        _report = recount;
        _report.CorruptionsFixed += Math.Max(0, old.Corruptions - recount.Corruptions);
        _report.LeaksFixed += Math.Max(0, old.Leaks - recount.Leaks);
    }
}
