using System.Buffers.Binary;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

// what a smaller disk no longer needs: refcount blocks that count nothing, the table's distance, and the file's end
internal sealed partial class RefcountManager
{
    /// <summary>Removes empty refcount blocks and cuts the storage behind the last cluster in use. All pending frees must have been applied.</summary>
    public async ValueTask TrimAsync()
    {
        await WriteBackAsync();
        await RemoveEmptyBlocksAsync();
        if (await MoveTableDownAsync())
        {
            await RemoveEmptyBlocksAsync();
        }

        await _storage.FlushAsync();
        long end = await EndOfUseAsync();
        if (end << _geometry.ClusterBits >= _storage.Length)
        {
            return;
        }

        await _storage.SetLengthAsync(end << _geometry.ClusterBits);
        await _storage.FlushAsync();
        _freed.Remove(end, long.MaxValue);
        _reservation.Forget();

        // a storage that cannot be cut keeps its length, and its old bytes
        HighWater = _geometry.ClustersFor(_storage.Length);
    }

    /// <summary>A table that grew lies behind all that the shorter one counted, and would keep the file long.</summary>
    /// <returns>True when it lies further down now.</returns>
    private async ValueTask<bool> MoveTableDownAsync()
    {
        int bits = _geometry.ClusterBits;
        long clusters = _geometry.ClustersFor((long)_table.Length * 8), old = _tableOffset >> bits;
        if (clusters >= 1L << _geometry.RefcountBlockBits)
        {
            return false;
        }

        long first = (await AllocateAsync(clusters)).First;
        if (first >= old)
        {
            await FreeNowAsync(first, clusters);
            return false;
        }

        await WriteBackAsync();
        var bytes = new byte[clusters << bits];
        for (int i = 0; i < _table.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), _table[i]);
        }

        await _storage.WriteAsync(first << bits, bytes);
        await _storage.FlushAsync();
        if (TableMoved is not null)
        {
            await TableMoved(first << bits, (uint)clusters);
        }

        _tableOffset = first << bits;
        await _storage.FlushAsync();
        await FreeNowAsync(old, clusters);
        await WriteBackAsync();
        return true;
    }

    private async ValueTask RemoveEmptyBlocksAsync()
    {
        List<(int Index, long Block)> empty = [];
        for (int i = 1; i < _table.Length; i++)
        {
            long block = BlockOf((long)i << _geometry.RefcountBlockBits);
            if (block != 0 && await LastUsedAsync(i, except: block >> _geometry.ClusterBits) < 0)
            {
                empty.Add((i, block));
            }
        }

        foreach (var (index, block) in empty)
        {
            // should this fail, the entry may be gone all the same: the next flush writes it again
            _dirtyTableEntries.Add(index);
            await _storage.WriteAsync(_tableOffset + (index * 8L), new byte[8]);
            _table[index] = 0;
            _dirtyTableEntries.Remove(index);
            _cache.Forget(block, _geometry.ClusterSize);
            BlockChanged?.Invoke(block, false);
        }

        if (empty.Count == 0)
        {
            return;
        }

        // a block is free only when the table names it durably no more
        await _storage.FlushAsync();
        foreach (var (index, block) in empty)
        {
            long cluster = block >> _geometry.ClusterBits;
            if (cluster >> _geometry.RefcountBlockBits != index && BlockOf(cluster) != 0)
            {
                await FreeNowAsync(cluster, 1);
            }
        }

        await WriteBackAsync();
    }

    private async ValueTask<long> EndOfUseAsync()
    {
        for (int i = _table.Length - 1; i >= 0; i--)
        {
            long last = await LastUsedAsync(i, except: -1);
            if (last >= 0)
            {
                return last + 1;
            }
        }

        return 1;
    }

    /// <summary>The last cluster in use among those of one table entry; -1 if all are free.</summary>
    private async ValueTask<long> LastUsedAsync(int index, long except)
    {
        long first = (long)index << _geometry.RefcountBlockBits, block = BlockOf(first);
        int perSlice = _cache.SliceBytes * 8 >> _geometry.RefcountOrder;
        for (long slice = block == 0 ? -1 : (_geometry.ClusterSize / _cache.SliceBytes) - 1; slice >= 0; slice--)
        {
            var bytes = await _cache.GetAsync(block + (slice * _cache.SliceBytes), _makeRoom);
            for (int i = bytes.AsSpan().IndexOfAnyExcept((byte)0) < 0 ? -1 : perSlice - 1; i >= 0; i--)
            {
                long cluster = first + (slice * perSlice) + i;
                if (cluster != except && RefcountCodec.Get(bytes, i, _geometry.RefcountOrder) != 0)
                {
                    return cluster;
                }
            }
        }

        return -1;
    }
}
