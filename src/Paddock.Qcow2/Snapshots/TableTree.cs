using System.Buffers.Binary;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Snapshots;

/// <summary>
/// What an L2 table refers to, all of it at once: its counts go up when a snapshot shares the table, and down when one is deleted.
/// One table at a time is looked at, through the cache. Under the image's metadata mutex.
/// </summary>
internal sealed class TableTree(ClusterGeometry geometry, ClusterMap map, L1Table l1, Refcounts counts, Allocator allocator)
{
    private readonly int _entryBytes = geometry.ClusterSize >> geometry.L2Bits;
    private readonly List<HostClusters> _runs = [];
    private readonly byte[] _slice = new byte[map.SliceBytes];
    private readonly bool[] _isOwn = new bool[map.SliceBytes / sizeof(ulong)];

    /// <summary>Raises the counts of a table, and of what it refers to.</summary>
    /// <returns>False where one of them is at its limit: none has changed then.</returns>
    public async ValueTask<bool> TryRaiseAsync(HostOffset table)
    {
        var runs = await RunsAsync(table);
        for (int i = 0; i < runs.Count; i++)
        {
            bool canAdd = false;
            try
            {
                canAdd = await counts.CanAddAsync(runs[i], 1);
            }
            finally
            {
                for (int k = i; !canAdd && --k >= 0;)
                {
                    await counts.AddAsync(runs[k], -1);
                }
            }

            if (!canAdd)
            {
                return false;
            }

            await counts.AddAsync(runs[i], 1);
        }

        return true;
    }

    /// <summary>Lowers the counts of a table, and of what it refers to, which nothing durable needs any more.</summary>
    public async ValueTask LowerAsync(HostOffset table)
    {
        foreach (var run in await RunsAsync(table))
        {
            await allocator.FreeNowAsync(run);
        }

        if (await counts.GetAsync(geometry.ClusterOf(table)) == 0)
        {
            map.ForgetTable(table);
        }
    }

    /// <summary>Clears the COPIED flags of a table: two L1 tables use it.</summary>
    public async ValueTask ClearOwnAsync(HostOffset table)
    {
        for (int at = 0; at < geometry.ClusterSize; at += _slice.Length)
        {
            (await map.LoadSliceAsync(table + at)).CopyTo(_slice, 0);
            bool changed = false;
            for (int i = 0; i < _slice.Length; i += _entryBytes)
            {
                if (!EntryAt(i).IsCompressed && EntryAt(i).IsCopied)
                {
                    _slice[i] &= 0x7f;
                    changed = true;
                }
            }

            if (changed)
            {
                map.ReplaceSlice(table + at, _slice);
            }
        }
    }

    /// <summary>Makes the COPIED flags of an active L1 entry, and of its table, what the counts say.</summary>
    /// <remarks>A table that is shared has no flags: they were cleared when it became so.</remarks>
    public async ValueTask RefreshAsync(int index)
    {
        var table = l1.TableAt(index);
        if (table.IsNone)
        {
            return;
        }

        CheckTable(table);
        await counts.FindOnesAsync(new(geometry.ClusterOf(table), 1), _isOwn);
        bool isOwn = _isOwn[0];
        l1.SetOwn(index, isOwn);
        for (int at = 0; isOwn && at < geometry.ClusterSize; at += _slice.Length)
        {
            (await map.LoadSliceAsync(table + at)).CopyTo(_slice, 0);
            if (await RefreshSliceAsync(table + at))
            {
                // the counts may have pushed it out
                await map.LoadSliceAsync(table + at);
                map.ReplaceSlice(table + at, _slice);
            }
        }
    }

    private async ValueTask<bool> RefreshSliceAsync(HostOffset slice)
    {
        bool changed = false;
        for (int first = 0, next; first < _slice.Length; first = next)
        {
            var start = ClusterAt(first, slice);
            next = first + _entryBytes;
            if (start is null)
            {
                continue;
            }

            while (next < _slice.Length && ClusterAt(next, slice) == start + ((next - first) / _entryBytes))
            {
                next += _entryBytes;
            }

            int count = (next - first) / _entryBytes;
            await counts.FindOnesAsync(new(start.Value, count), _isOwn);
            for (int i = 0; i < count; i++)
            {
                ref byte top = ref _slice[first + (i * _entryBytes)];
                byte wanted = (byte)(_isOwn[i] ? top | 0x80 : top & 0x7f);
                changed |= wanted != top;
                top = wanted;
            }
        }

        return changed;
    }

    private L2Entry EntryAt(int at) => new(BinaryPrimitives.ReadUInt64BigEndian(_slice.AsSpan(at)));

    // of an entry that is not compressed
    private HostCluster? ClusterAt(int at, HostOffset slice)
        => EntryAt(at) is { IsCompressed: false, Offset.IsNone: false } entry ? ClusterOf(entry, slice, at) : null;

    private HostCluster ClusterOf(L2Entry entry, HostOffset slice, int at)
        => geometry.InCluster(entry.Offset) == 0
            ? geometry.ClusterOf(entry.Offset)
            : throw new ImageCorruptException(
                "L2 table", slice,
                $"Cluster allocation offset {entry.Offset} unaligned (L2 offset: {slice}, L2 index: 0x{at / _entryBytes:x})");

    private void CheckTable(HostOffset table)
    {
        if (geometry.InCluster(table) != 0)
        {
            throw new ImageCorruptException("L1 table", default, $"L2 table offset {table} unaligned");
        }
    }

    /// <summary>The table's own cluster, and the clusters that it refers to, once for each reference; adjacent ones are joined.</summary>
    private async ValueTask<List<HostClusters>> RunsAsync(HostOffset table)
    {
        CheckTable(table);
        _runs.Clear();
        for (int at = 0; at < geometry.ClusterSize; at += _slice.Length)
        {
            (await map.LoadSliceAsync(table + at)).CopyTo(_slice, 0);
            for (int i = 0; i < _slice.Length; i += _entryBytes)
            {
                var entry = EntryAt(i);
                if (entry.IsCompressed)
                {
                    var packed = CompressedDescriptor.Decode(entry, geometry.ClusterBits);
                    var first = geometry.ClusterOf(packed.Offset);
                    _runs.Add(new(first, geometry.ClusterOf(packed.Offset + (packed.Length - 1)) - first + 1));
                }
                else if (!entry.Offset.IsNone)
                {
                    Add(ClusterOf(entry, table + at, i));
                }
            }
        }

        _runs.Add(new(geometry.ClusterOf(table), 1));
        return _runs;
    }

    private void Add(HostCluster cluster)
    {
        if (_runs.Count > 0 && _runs[^1] is var last && last.End == cluster)
        {
            _runs[^1] = last with { Count = last.Count + 1 };
        }
        else
        {
            _runs.Add(new(cluster, 1));
        }
    }
}
