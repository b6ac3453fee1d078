using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

// finding free clusters; new refcount blocks; a larger refcount table
internal sealed partial class RefcountManager
{
    /// <summary>The first gap of at least so many clusters, cut to the most that is asked for.</summary>
    private async ValueTask<(long First, long Count)> FindRunAsync(long most, long least)
    {
        int order = _geometry.RefcountOrder;
        int perSlice = _cache.SliceBytes * 8 >> order;
        long start = _gaps.StartFor(least, _usefulRun);
        long cluster = start;
        while (cluster - start < most)
        {
            long block = BlockOf(cluster);
            if (block == 0)
            {
                if (cluster > start && cluster - start >= least)
                {
                    break;
                }

                // a missing block counts only free clusters
                cluster = ((cluster >> _geometry.RefcountBlockBits) + 1) << _geometry.RefcountBlockBits;
                continue;
            }

            var (slice, index) = SliceOf(block, cluster);
            var bytes = await _cache.GetAsync(slice, _makeRoom);
            for (; index < perSlice && cluster - start < most; index++, cluster++)
            {
                if (RefcountCodec.Get(bytes, index, order) == 0)
                {
                    continue;
                }

                if (cluster > start && cluster - start >= least)
                {
                    return (start, cluster - start);
                }

                start = cluster + 1;
            }
        }

        return (start, Math.Min(most, cluster - start));
    }

    /// <summary>True when a block or a larger table had to be made.</summary>
    private async ValueTask<bool> EnsureBlocksAsync(long first, long count)
    {
        long lastIndex = (first + count - 1) >> _geometry.RefcountBlockBits;
        if (lastIndex >= _table.Length)
        {
            await GrowTableAsync(lastIndex + 1);
            return true;
        }

        bool made = false;
        for (long index = first >> _geometry.RefcountBlockBits; index <= lastIndex; index++)
        {
            if (_table[index] == 0)
            {
                await MakeBlockAsync((int)index);
                made = true;
            }
            else
            {
                await ReserveCountsAsync(index, first, count);
            }
        }

        return made;
    }

    /// <summary>Takes the space of what a block counts of a run, in whole pieces where the block is larger than one.</summary>
    private ValueTask ReserveCountsAsync(long index, long first, long count)
    {
        const long OnePiece = 64 << 10, FewCounts = 4096;
        int bits = _geometry.RefcountBlockBits;
        long start = index << bits;
        long from = (Math.Max(first, start) - start) << _geometry.RefcountOrder >> 3;
        long to = (((Math.Min(first + count, start + (1L << bits)) - start) << _geometry.RefcountOrder) + 7) >> 3;
        long block = BlockOf(start);
        if (_geometry.ClusterSize <= OnePiece)
        {
            return _reservation.EnsureAsync(block, _geometry.ClusterSize);
        }

        return to - from <= FewCounts
            ? EnsureBothAsync(block, from, to - 1)
            : _reservation.EnsureAsync(block, _geometry.ClusterSize);
    }

    private async ValueTask EnsureBothAsync(long block, long firstByte, long lastByte)
    {
        await _reservation.EnsureEntryAsync(block, _geometry.ClusterSize, firstByte);
        await _reservation.EnsureEntryAsync(block, _geometry.ClusterSize, lastByte);
    }

    private async ValueTask MakeBlockAsync(int tableIndex)
    {
        if (tableIndex == 0)
        {
            // a block lies in the first cluster that it counts: this one would lie on the header, and its entry would say "none"
            await Corrupted("Preventing invalid allocation of refcount block at offset 0");
            throw new ImageCorruptException("refcount table", new HostOffset(_tableOffset), "no block counts the first clusters, where the header lies");
        }

        long cluster = (long)tableIndex << _geometry.RefcountBlockBits;
        await MakeBlockAtAsync(tableIndex, cluster);
        await AddAsync(cluster, 1, 1);
    }

    /// <summary>
    /// A run that is longer than what one refcount block counts: behind everything that has a block, first the new blocks, side by side,
    /// then the run.
    /// </summary>
    private async ValueTask<(long First, bool KnownZero)> AllocateLongRunAsync(long count)
    {
        int bits = _geometry.RefcountBlockBits;
        long blocks = 1;
        while (blocks << bits < blocks + count)
        {
            blocks++;
        }

        int firstIndex = Array.FindLastIndex(_table, static entry => entry != 0) + 1;
        while (firstIndex + blocks > _table.Length)
        {
            await GrowTableAsync(_table.Length + blocks + 1);
            firstIndex = Array.FindLastIndex(_table, static entry => entry != 0) + 1;
        }

        long start = (long)firstIndex << bits;
        for (int i = 0; i < blocks; i++)
        {
            await MakeBlockAtAsync(firstIndex + i, start + i);
            await _reservation.EnsureAsync((start + i) << _geometry.ClusterBits, _geometry.ClusterSize);
        }

        await AddAsync(start, blocks + count, 1);
        long first = start + blocks;
        bool knownZero = first >= HighWater;
        HighWater = Math.Max(HighWater, first + count);
        return (first, knownZero);
    }

    private async ValueTask MakeBlockAtAsync(int tableIndex, long cluster)
    {
        long offset = cluster << _geometry.ClusterBits;
        await _storage.OnEventAsync("refblock_alloc");
        await _reservation.EnsureEntryAsync(_tableOffset, _table.Length * 8L, tableIndex * 8L);
        await _storage.OnEventAsync("refblock_alloc_write");
        await _reservation.CreateAsync(offset, knownZero: cluster >= HighWater);
        BlockChanged?.Invoke(offset, true);
        _ = await _cache.CreateAsync(offset, _makeRoom);
        _cache.MarkDirty(offset);
        _table[tableIndex] = (ulong)offset;
        _dirtyTableEntries.Add(tableIndex);
        HighWater = Math.Max(HighWater, cluster + 1);
    }

    /// <summary>
    /// Moves the table to a larger place right behind all that the old one can count: first the blocks that count the new area, then the table.
    /// </summary>
    private async ValueTask GrowTableAsync(long minEntries)
    {
        int entriesPerCluster = _geometry.ClusterSize / 8;
        long area = (long)_table.Length << _geometry.RefcountBlockBits;
        long entries = Math.Max(minEntries, _table.Length + (_table.Length / 2)) + 1;
        long blocks = 1;
        long tableClusters;
        while (true)
        {
            tableClusters = (Math.Max(entries, _table.Length + blocks) + entriesPerCluster - 1) / entriesPerCluster;
            long needed = (blocks + tableClusters + (1L << _geometry.RefcountBlockBits) - 1) >> _geometry.RefcountBlockBits;
            if (needed <= blocks)
            {
                break;
            }

            blocks = needed;
        }

        if (tableClusters << _geometry.ClusterBits > Qcow2Limits.MaxRefcountTableBytes)
        {
            throw new BlockException(BlockError.TooLarge, "the refcount table cannot grow beyond 8 MiB");
        }

        await _storage.OnEventAsync("reftable_grow");
        await WriteBackAsync();
        await WriteGrownTableAsync(area, (int)blocks, tableClusters);
    }

    private async ValueTask WriteGrownTableAsync(long area, int blocks, long tableClusters)
    {
        int bits = _geometry.ClusterBits;
        var table = new ulong[(tableClusters << bits) / 8];
        _table.CopyTo(table, 0);
        for (int i = 0; i < blocks; i++)
        {
            table[_table.Length + i] = (ulong)((area + i) << bits);
        }

        var counts = new byte[(long)blocks << bits];
        for (int i = 0; i < blocks + tableClusters; i++)
        {
            RefcountCodec.Set(counts, i, _geometry.RefcountOrder, 1);
        }

        var bytes = new byte[tableClusters << bits];
        for (int i = 0; i < table.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), table[i]);
        }

        long tableOffset = (area + blocks) << bits;
        await _storage.OnEventAsync("refblock_alloc_write_blocks");

        // before the writes: whatever fails, these clusters do not read as zeroes any more
        HighWater = Math.Max(HighWater, area + blocks + tableClusters);
        await _storage.WriteAsync(area << bits, counts);
        await _storage.OnEventAsync("refblock_alloc_write_table");
        await _storage.WriteAsync(tableOffset, bytes);
        await _storage.FlushAsync();
        var (oldOffset, oldClusters) = (_tableOffset, _geometry.ClustersFor((long)_table.Length * 8));
        await _storage.OnEventAsync("refblock_alloc_switch_table");
        if (TableMoved is not null)
        {
            await TableMoved(tableOffset, (uint)tableClusters);
        }

        // not before the header says so: had its write failed, the table in use would be one that nobody finds
        for (int i = 0; i < blocks; i++)
        {
            BlockChanged?.Invoke((area + i) << bits, true);
        }

        _table = table;
        _tableOffset = tableOffset;
        await FreeNowAsync(oldOffset >> bits, oldClusters);
    }
}
