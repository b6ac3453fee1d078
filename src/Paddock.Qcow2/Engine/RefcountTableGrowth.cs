using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Moves the refcount table to a larger place right after all that the old one can count: first the blocks that count the new area,
/// then the table, durably, then the header. Under the image's metadata mutex.
/// </summary>
internal sealed class RefcountTableGrowth(IStorage storage, ImageHeader header, MetadataGuard guard, Refcounts counts)
{
    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Makes the table at least so long.</summary>
    /// <returns>The clusters of the old table, which nothing refers to any more.</returns>
    public async ValueTask<HostClusters> GrowAsync(long minEntries)
    {
        int entriesPerCluster = _geometry.ClusterSize / 8, current = counts.TableEntries;
        long entries = Math.Max(minEntries, current + (current / 2)) + 1;
        long blocks = 1;
        long tableClusters;
        while (true)
        {
            tableClusters = (Math.Max(entries, current + blocks) + entriesPerCluster - 1) / entriesPerCluster;
            long needed = (blocks + tableClusters + (1L << _geometry.RefcountBlockBits) - 1) >> _geometry.RefcountBlockBits;
            if (needed <= blocks)
            {
                break;
            }

            blocks = needed;
        }

        if (_geometry.BytesIn(tableClusters) > Qcow2Limits.MaxRefcountTableBytes)
        {
            throw new BlockException(BlockError.TooLarge, "the refcount table cannot grow beyond 8 MiB");
        }

        await storage.OnEventAsync("reftable_grow");
        await counts.WriteAsync();
        return await WriteAsync((int)blocks, tableClusters);
    }

    private async ValueTask<HostClusters> WriteAsync(int blocks, long tableClusters)
    {
        var area = counts.TableEnd;
        var table = counts.CopyTable(_geometry.BytesIn(tableClusters) / 8);
        for (int i = 0; i < blocks; i++)
        {
            table[counts.TableEntries + i] = (ulong)_geometry.OffsetOf(area + i).Value;
        }

        var newCounts = new byte[_geometry.BytesIn(blocks)];
        for (int i = 0; i < blocks + tableClusters; i++)
        {
            RefcountCodec.Set(newCounts, i, _geometry.RefcountOrder, 1);
        }

        var tableOffset = _geometry.OffsetOf(area + blocks);
        await storage.OnEventAsync("refblock_alloc_write_blocks");

        // before the writes: whatever fails, these clusters do not read as zeroes any more
        counts.Use(area + (blocks + tableClusters));
        await storage.WriteAsync(_geometry.OffsetOf(area).Value, newCounts);
        await storage.OnEventAsync("refblock_alloc_write_table");
        await storage.WriteAsync(tableOffset.Value, Bytes(table));
        await storage.FlushAsync();
        var old = _geometry.ClustersOf(counts.TableOffset, (long)counts.TableEntries * 8);
        await storage.OnEventAsync("refblock_alloc_switch_table");
        await SwitchAsync(tableOffset, tableClusters);

        // not before the header names it: had its write failed, the table in use would be one that nobody finds
        for (int i = 0; i < blocks; i++)
        {
            guard.Map.Set(area + i, MetadataKind.RefcountBlock);
        }

        counts.MoveTable(tableOffset, table);
        return old;
    }

    /// <summary>The bytes of a table.</summary>
    public static byte[] Bytes(ulong[] table)
    {
        var bytes = new byte[table.Length * 8];
        for (int i = 0; i < table.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), table[i]);
        }

        return bytes;
    }

    /// <summary>Makes the header name another place of the table, durably.</summary>
    public async ValueTask SwitchAsync(HostOffset offset, long clusters)
    {
        await header.PutAsync(header.Fields with { RefcountTableOffset = (ulong)offset.Value, RefcountTableClusters = (uint)clusters });
        guard.RegisterFixed();
    }
}
