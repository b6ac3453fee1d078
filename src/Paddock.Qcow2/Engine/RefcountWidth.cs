using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Changes the width of reference counts: new blocks and a new table are written behind everything that is in use, durably; then the
/// header names them, in one sector. A crash before leaves the old counts, and bytes at the file's end that nothing refers to. Needs an
/// image whose counts are all on the storage, and that is not written again before it is reopened.
/// </summary>
internal sealed class RefcountWidth
{
    private const ulong TableOffsetMask = 0xffff_ffff_ffff_fe00;

    private readonly IStorage _storage;
    private readonly ImageHeader _header;
    private readonly ClusterGeometry _old;
    private readonly ClusterGeometry _new;
    private readonly AmendProgress _progress;
    private readonly HashSet<HostCluster> _oldStructure = [];
    private readonly byte[] _block;
    private HostOffset[] _table = [];
    private long _cached = -1;
    private bool _isPresent;

    /// <param name="storage">Storage of the image.</param>
    /// <param name="header">Its header.</param>
    /// <param name="order">log2 of the new width in bits.</param>
    /// <param name="progress">Told of each block.</param>
    public RefcountWidth(IStorage storage, ImageHeader header, int order, AmendProgress progress)
    {
        _storage = storage;
        _header = header;
        _old = header.Geometry;
        _new = _old with { RefcountOrder = order };
        _progress = progress;
        _block = new byte[_old.ClusterSize];
    }

    /// <summary>Changes the width.</summary>
    /// <exception cref="BlockException">A count does not fit the new width, or the table would be too long.</exception>
    /// <exception cref="ImageCorruptException">The refcount table is broken.</exception>
    public async ValueTask RunAsync()
    {
        await LoadTableAsync();
        var (needed, end) = await FindUsedAsync();
        var first = new HostCluster(Math.Max(_old.ClustersFor(_storage.Length), end.Index));
        long walks = 2, clusters, table;
        while (true)
        {
            // the new blocks and the table are counted by blocks, too
            clusters = needed.Count + (table = _old.ClustersFor((needed.Max + 1) * 8L));
            int before = needed.Count;
            AddRange(needed, new(first, clusters));
            table = _old.ClustersFor((needed.Max + 1) * 8L);
            Report(walks - 1, 1, walks + 1);
            if (needed.Count == before && needed.Count + table == clusters)
            {
                break;
            }

            walks++;
            Report(walks - 1, 0, walks + 1);
        }

        if (_old.BytesIn(table) > Qcow2Limits.MaxRefcountTableBytes)
        {
            throw new BlockException(
                BlockError.TooLarge, $"refcounts of {1 << _new.RefcountOrder} bits need a refcount table of more than 8 MiB");
        }

        var tableAt = await WriteBlocksAsync(needed, new(first, clusters), table, walks);
        await _header.PutAsync(_header.Fields with
        {
            RefcountOrder = (uint)_new.RefcountOrder,
            RefcountTableOffset = (ulong)tableAt.Value,
            RefcountTableClusters = (uint)table,
        });
        Report(walks, 1, walks + 1);
    }

    private void Report(long walk, double share, long walks)
        => _progress.Report((long)((walk + share) * Math.Max(1, _table.Length)), walks * Math.Max(1, _table.Length));

    private async ValueTask LoadTableAsync()
    {
        var fields = _header.Fields;
        var offset = new HostOffset((long)fields.RefcountTableOffset);
        var bytes = new byte[_old.BytesIn(fields.RefcountTableClusters)];
        await _storage.ReadAsync(offset.Value, bytes);
        _table = new HostOffset[bytes.Length / 8];
        AddOldStructure(_old.ClustersOf(offset, bytes.Length));
        for (int i = 0; i < _table.Length; i++)
        {
            var block = new HostOffset((long)(BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8)) & TableOffsetMask));
            if (!block.IsNone && (_old.InCluster(block) != 0 || block.Value >= _storage.Length
                || !_oldStructure.Add(_old.ClusterOf(block))))
            {
                throw new ImageCorruptException(
                    "refcount table", offset, $"entry {i} names a block at {block}: not a cluster of its own inside the file");
            }

            _table[i] = block;
        }
    }

    private void AddOldStructure(HostClusters clusters)
    {
        for (var cluster = clusters.First; cluster < clusters.End; cluster += 1)
        {
            _oldStructure.Add(cluster);
        }
    }

    /// <summary>Reads all counts.</summary>
    /// <returns>Which new blocks are needed for what is in use, and where that ends.</returns>
    private async ValueTask<(SortedSet<long> Blocks, HostCluster End)> FindUsedAsync()
    {
        var needed = new SortedSet<long>();
        long end = 0;
        for (int i = 0; i < _table.Length; i++)
        {
            Report(0, (double)i / _table.Length, 3);
            long first = (long)i << _old.RefcountBlockBits;
            if (!await LoadBlockAsync(i))
            {
                continue;
            }

            for (int at = 0; at < 1 << _old.RefcountBlockBits; at++)
            {
                ulong count = CountOf(new(first + at));
                if (count > _new.MaxRefcount)
                {
                    throw new BlockException(
                        BlockError.InvalidArgument,
                        $"Cannot decrease refcount entry width to {1 << _new.RefcountOrder} bits: Cluster at offset 0x{
                            (first + at) << _old.ClusterBits:x} has a refcount of {count}");
                }

                if (count > 0)
                {
                    end = first + at + 1;
                    needed.Add((first + at) >> _new.RefcountBlockBits);
                }
            }
        }

        Report(0, 1, 3);
        return (needed, new HostCluster(end));
    }

    private void AddRange(SortedSet<long> needed, HostClusters clusters)
    {
        for (long i = clusters.First.Index >> _new.RefcountBlockBits; i <= (clusters.End.Index - 1) >> _new.RefcountBlockBits; i++)
        {
            needed.Add(i);
        }
    }

    private async ValueTask<HostOffset> WriteBlocksAsync(SortedSet<long> needed, HostClusters area, long tableClusters, long walks)
    {
        var table = new byte[_old.BytesIn(tableClusters)];
        var block = new byte[_old.ClusterSize];
        var at = _old.OffsetOf(area.First);
        long written = 0;
        foreach (long index in needed)
        {
            Report(walks, (double)written++ / needed.Count, walks + 1);
            await FillAsync(block, index, area);
            await _storage.WriteAsync(at.Value, block);
            BinaryPrimitives.WriteInt64BigEndian(table.AsSpan((int)index * 8), at.Value);
            at += block.Length;
        }

        await _storage.WriteAsync(at.Value, table);
        await _storage.FlushAsync();
        return at;
    }

    private async ValueTask FillAsync(byte[] block, long index, HostClusters area)
    {
        Array.Clear(block);
        long first = index << _new.RefcountBlockBits;
        for (int i = 0; i < 1 << _new.RefcountBlockBits; i++)
        {
            var cluster = new HostCluster(first + i);
            if (cluster >= area.First)
            {
                RefcountCodec.Set(block, i, _new.RefcountOrder, cluster < area.End ? 1UL : 0);
                continue;
            }

            int old = (int)Math.Min(cluster.Index >> _old.RefcountBlockBits, int.MaxValue);
            ulong count = await LoadBlockAsync(old) ? CountOf(cluster) : 0;
            RefcountCodec.Set(block, i, _new.RefcountOrder, count > 0 && _oldStructure.Contains(cluster) ? count - 1 : count);
        }
    }

    // one block is in memory: both walks go through them in order
    private ValueTask<bool> LoadBlockAsync(int index) => index == _cached ? new(_isPresent) : LoadAsync(index);

    private async ValueTask<bool> LoadAsync(int index)
    {
        _cached = index;
        _isPresent = index < _table.Length && !_table[index].IsNone;
        if (_isPresent)
        {
            await _storage.ReadAsync(_table[index].Value, _block);
        }

        return _isPresent;
    }

    private ulong CountOf(HostCluster cluster)
        => RefcountCodec.Get(_block, (int)(cluster.Index & ((1L << _old.RefcountBlockBits) - 1)), _old.RefcountOrder);
}
