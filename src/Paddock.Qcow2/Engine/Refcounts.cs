using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// The reference counts of an image's clusters: the refcount table, which is all in memory, and the blocks, which are cached in
/// slices. Under the image's metadata mutex.
/// </summary>
/// <remarks>Counts go up in the cache and reach the storage before anything refers to the clusters.</remarks>
internal sealed class Refcounts : IFlushStage
{
    private const ulong TableOffsetMask = 0xffff_ffff_ffff_fe00;

    private readonly IStorage _storage;
    private readonly ClusterGeometry _geometry;
    private readonly MetadataReservation _reservation;
    private readonly MetadataGuard _guard;
    private readonly HolePuncher _holes;
    private readonly MetadataCache _cache;
    private readonly SortedSet<int> _dirtyTableEntries = [];
    private readonly Func<ValueTask> _makeRoom;
    private readonly bool _isLazy;
    private ulong[] _table = [];
    private HostOffset _tableOffset;

    // the storage's table may still name blocks that were removed: no flush has succeeded since
    private bool _removalDue;

    /// <param name="storage">Storage of the image.</param>
    /// <param name="geometry">The image's.</param>
    /// <param name="reservation">Takes the space of new blocks.</param>
    /// <param name="guard">Told where blocks are.</param>
    /// <param name="holes">Told which clusters are in use again.</param>
    /// <param name="cacheBytes">Memory for cached blocks.</param>
    /// <param name="isLazy">Whether flushes leave the counts alone, which are then written when the image is closed.</param>
    public Refcounts(
        IStorage storage, ClusterGeometry geometry, MetadataReservation reservation, MetadataGuard guard, HolePuncher holes,
        long cacheBytes, bool isLazy)
    {
        _storage = storage;
        _geometry = geometry;
        _reservation = reservation;
        _guard = guard;
        _holes = holes;
        _isLazy = isLazy;
        _cache = new MetadataCache(storage, Math.Min(geometry.ClusterSize, 4096), cacheBytes, null, "refblock_update_part");
        _makeRoom = MakeRoomAsync;
        NeverUsed = new HostCluster(geometry.ClustersFor(storage.Length));
    }

    /// <summary>The clusters from here on have never been used: they read as zeroes.</summary>
    public HostCluster NeverUsed { get; private set; }

    /// <summary>Whether flushes leave out the counts.</summary>
    public bool IsLazy => _isLazy;

    /// <summary>Offset of the table in bytes.</summary>
    public HostOffset TableOffset => _tableOffset;

    /// <summary>Entries of the table; each stands for one block.</summary>
    public int TableEntries => _table.Length;

    /// <summary>Clusters that the table can count.</summary>
    public HostCluster TableEnd => new((long)_table.Length << _geometry.RefcountBlockBits);

    /// <summary>The first table entry after all that have a block.</summary>
    public int EntriesInUse => Array.FindLastIndex(_table, static entry => entry != 0) + 1;

    /// <summary>True when counts or the table differ from the storage.</summary>
    public bool HasDirty => _cache.HasDirty || _dirtyTableEntries.Count > 0;

    /// <inheritdoc/>
    public bool IsDue => !_isLazy && HasDirty;

    /// <summary>Where each block lies.</summary>
    public IEnumerable<HostOffset> Blocks
        => _table.Select(static entry => new HostOffset((long)(entry & TableOffsetMask))).Where(static offset => !offset.IsNone);

    public async ValueTask LoadTableAsync(HostOffset offset, uint clusters, CancellationToken cancellationToken)
    {
        _tableOffset = offset;
        var bytes = new byte[_geometry.BytesIn(clusters)];
        await _storage.OnEventAsync("reftable_load");
        await _storage.ReadAsync(offset.Value, bytes, cancellationToken);
        _table = new ulong[bytes.Length / 8];
        for (int i = 0; i < _table.Length; i++)
        {
            _table[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        }
    }

    /// <inheritdoc/>
    public void Begin()
    {
    }

    /// <summary>The count of one cluster.</summary>
    public async ValueTask<ulong> GetAsync(HostCluster cluster)
    {
        var block = await BlockAsync(cluster);
        if (block.IsNone)
        {
            return 0;
        }

        var (slice, index) = SliceOf(block, cluster);
        return RefcountCodec.Get(await _cache.GetAsync(slice, _makeRoom), index, _geometry.RefcountOrder);
    }

    /// <summary>Changes the counts of clusters that have a block.</summary>
    public ValueTask AddAsync(HostClusters clusters, int delta) => ChangeAsync(clusters, delta, null);

    /// <summary>Lowers counts by one.</summary>
    /// <param name="clusters">Clusters in use.</param>
    /// <param name="freed">Takes the runs of those that are free then.</param>
    public ValueTask LowerAsync(HostClusters clusters, List<HostClusters> freed) => ChangeAsync(clusters, -1, freed);

    /// <summary>Whether the counts of all clusters, which are in use, can rise by so much.</summary>
    /// <exception cref="UncountedClusterException">One has no refcount block: the entry that refers to it is invalid.</exception>
    public async ValueTask<bool> CanAddAsync(HostClusters clusters, ulong delta)
    {
        ulong most = _geometry.MaxRefcount - delta;
        for (var cluster = clusters.First; cluster < clusters.End;)
        {
            if ((await BlockAsync(cluster)).IsNone)
            {
                throw NoBlock(cluster);
            }

            var (bytes, index, count, _) = await LoadAsync(cluster, clusters.End);
            for (int i = index; i < index + count; i++)
            {
                if (RefcountCodec.Get(bytes, i, _geometry.RefcountOrder) > most)
                {
                    return false;
                }
            }

            cluster += count;
        }

        return true;
    }

    /// <summary>Which clusters have a count of exactly one.</summary>
    /// <param name="clusters">Clusters in use.</param>
    /// <param name="isOne">Takes a value for each of them.</param>
    public async ValueTask FindOnesAsync(HostClusters clusters, Memory<bool> isOne)
    {
        for (var cluster = clusters.First; cluster < clusters.End;)
        {
            if ((await BlockAsync(cluster)).IsNone)
            {
                // an entry that is invalid refers to it
                isOne.Span[(int)(cluster - clusters.First)] = false;
                cluster += 1;
                continue;
            }

            var (bytes, index, count, _) = await LoadAsync(cluster, clusters.End);
            var part = isOne.Span.Slice((int)(cluster - clusters.First), count);
            for (int i = 0; i < count; i++)
            {
                part[i] = RefcountCodec.Get(bytes, index + i, _geometry.RefcountOrder) == 1;
            }

            cluster += count;
        }
    }

    /// <summary>The clusters up to here are in use: they are not known to read as zeroes any more.</summary>
    public void Use(HostCluster end) => NeverUsed = HostCluster.Max(NeverUsed, end);

    /// <summary>The storage was cut. One that cannot be cut keeps its length, and its old bytes.</summary>
    public void FollowLength() => NeverUsed = new HostCluster(_geometry.ClustersFor(_storage.Length));

    /// <summary>The first gap of at least so many clusters from a cluster on, cut to the most that is asked for.</summary>
    /// <param name="from">Where the search starts.</param>
    /// <param name="most">Clusters wanted.</param>
    /// <param name="least">Clusters of the shortest gap that will do.</param>
    /// <param name="until">Where the search ends without a gap, with an empty run; null: at the first one.</param>
    public async ValueTask<HostClusters> FindGapAsync(HostCluster from, long most, long least, HostCluster? until = null)
    {
        int order = _geometry.RefcountOrder;
        int perSlice = _cache.SliceBytes * 8 >> order;
        var start = from;
        var cluster = start;
        while (cluster - start < most)
        {
            if (until is { } end && start >= end)
            {
                return new(start, 0);
            }

            var block = await BlockAsync(cluster);
            if (block.IsNone)
            {
                if (cluster > start && cluster - start >= least)
                {
                    break;
                }

                // a missing block counts only free clusters
                cluster = new(((cluster.Index >> _geometry.RefcountBlockBits) + 1) << _geometry.RefcountBlockBits);
                continue;
            }

            var (slice, index) = SliceOf(block, cluster);
            var bytes = await _cache.GetAsync(slice, _makeRoom);
            for (; index < perSlice && cluster - start < most; index++, cluster += 1)
            {
                if (RefcountCodec.Get(bytes, index, order) == 0)
                {
                    continue;
                }

                if (cluster > start && cluster - start >= least)
                {
                    return new(start, cluster - start);
                }

                start = cluster + 1;
            }
        }

        return new(start, Math.Min(most, cluster - start));
    }

    /// <summary>The last cluster in use among those of one table entry; null if all are free.</summary>
    /// <param name="index">The entry.</param>
    /// <param name="except">A cluster that does not matter.</param>
    public async ValueTask<HostCluster?> LastInUseAsync(int index, HostCluster? except)
    {
        var first = FirstOf(index);
        var block = BlockOf(first);
        int perSlice = _cache.SliceBytes * 8 >> _geometry.RefcountOrder;
        for (long slice = block.IsNone ? -1 : (_geometry.ClusterSize / _cache.SliceBytes) - 1; slice >= 0; slice--)
        {
            var bytes = await _cache.GetAsync(block.Value + (slice * _cache.SliceBytes), _makeRoom);
            for (int i = bytes.AsSpan().IndexOfAnyExcept((byte)0) < 0 ? -1 : perSlice - 1; i >= 0; i--)
            {
                var cluster = first + ((slice * perSlice) + i);
                if (cluster != except && RefcountCodec.Get(bytes, i, _geometry.RefcountOrder) != 0)
                {
                    return cluster;
                }
            }
        }

        return null;
    }

    /// <summary>The first cluster that a table entry's block counts.</summary>
    public HostCluster FirstOf(int tableIndex) => new((long)tableIndex << _geometry.RefcountBlockBits);

    /// <summary>Where the block lies that counts a cluster; none if the entry is empty.</summary>
    public HostOffset BlockOf(HostCluster cluster)
    {
        long index = cluster.Index >> _geometry.RefcountBlockBits;
        if (index >= _table.Length)
        {
            return default;
        }

        var block = new HostOffset((long)(_table[index] & TableOffsetMask));
        return _geometry.InCluster(block) == 0 && block.Value >= 0
            ? block
            : throw new ImageCorruptException("refcount table", _tableOffset, $"entry {index} is {block}, no cluster's offset");
    }

    /// <summary>Makes the blocks of clusters that the table can count, and takes the space of what changes there.</summary>
    /// <returns>True when a block was made: it takes one of the clusters itself where they are all that it counts.</returns>
    public async ValueTask<bool> EnsureBlocksAsync(HostClusters clusters)
    {
        bool made = false;
        long last = (clusters.End.Index - 1) >> _geometry.RefcountBlockBits;
        for (long index = clusters.First.Index >> _geometry.RefcountBlockBits; index <= last; index++)
        {
            if (_table[index] == 0)
            {
                await MakeBlockAsync((int)index, clusters.End);
                made = true;
            }
            else
            {
                await ReserveCountsAsync((int)index, clusters);
            }
        }

        return made;
    }

    /// <summary>Makes the block of a table entry in a cluster, whose own count is still to be set.</summary>
    public async ValueTask MakeBlockAtAsync(int tableIndex, HostCluster cluster)
    {
        var offset = _geometry.OffsetOf(cluster);
        await _storage.OnEventAsync("refblock_alloc");
        await SettleRemovalsAsync();
        await _reservation.EnsureEntryAsync(_tableOffset, _table.Length * 8L, tableIndex * 8L);
        await _storage.OnEventAsync("refblock_alloc_write");
        await _reservation.CreateAsync(offset, knownZero: cluster >= NeverUsed);
        _guard.Map.Set(cluster, MetadataKind.RefcountBlock);
        _ = await _cache.CreateAsync(offset.Value, _makeRoom);
        _cache.MarkDirty(offset.Value);
        _table[tableIndex] = (ulong)offset.Value;
        _dirtyTableEntries.Add(tableIndex);
        Use(cluster + 1);
    }

    /// <summary>
    /// Removes a block that counts nothing; its cluster is freed once this is durable (<see cref="SettleRemovalsAsync"/>).
    /// </summary>
    public async ValueTask RemoveBlockAsync(int tableIndex)
    {
        var block = new HostOffset((long)(_table[tableIndex] & TableOffsetMask));

        // should this fail, the entry may be gone all the same: the next flush writes it again
        _dirtyTableEntries.Add(tableIndex);
        _removalDue = true;
        await _storage.WriteAsync(_tableOffset.Value + (tableIndex * 8L), new byte[8]);
        _table[tableIndex] = 0;
        _dirtyTableEntries.Remove(tableIndex);
        _cache.Forget(block.Value, _geometry.ClusterSize);
        _guard.Map.Set(_geometry.ClusterOf(block), MetadataKind.None);
    }

    /// <summary>
    /// Makes the removal of blocks durable. Before that no block may be made: it would be in the place of one that the storage's table
    /// may still name.
    /// </summary>
    public async ValueTask SettleRemovalsAsync()
    {
        if (_removalDue)
        {
            await _storage.FlushAsync();
            _removalDue = false;
        }
    }

    /// <summary>A copy of the table.</summary>
    public ulong[] CopyTable(long entries)
    {
        var table = new ulong[entries];
        _table.CopyTo(table, 0);
        return table;
    }

    /// <summary>The header names another place of the table: it is the one in use from now on.</summary>
    public void MoveTable(HostOffset offset, ulong[] table) => (_tableOffset, _table) = (offset, table);

    /// <summary>Writes counts, then the table entries that refer to new blocks.</summary>
    public async ValueTask WriteAsync()
    {
        if (_guard.Blindness is { } cause)
        {
            throw new CountsLostException(cause);
        }

        await _cache.WriteBackAsync();
        if (_dirtyTableEntries.Count == 0)
        {
            return;
        }

        await _storage.FlushAsync();
        await _storage.OnEventAsync("refblock_alloc_hookup");
        var bytes = new byte[8];
        foreach (int index in _dirtyTableEntries)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes, _table[index]);
            await _storage.WriteAsync(_tableOffset.Value + ((long)index * 8), bytes);
        }

        _dirtyTableEntries.Clear();
    }

    /// <summary>
    /// Makes a block among the clusters that it counts, all of which are free: behind the run that needs it, as in QEMU, so that the run
    /// stays whole.
    /// </summary>
    private async ValueTask MakeBlockAsync(int tableIndex, HostCluster end)
    {
        if (tableIndex == 0)
        {
            // this one would lie on the header, and its entry would mean "none"
            await _guard.FailAsync("Preventing invalid allocation of refcount block at offset 0", default);
        }

        var first = FirstOf(tableIndex);
        var cluster = end > first && end < FirstOf(tableIndex + 1) ? end : first;
        await MakeBlockAtAsync(tableIndex, cluster);
        await AddAsync(new(cluster, 1), 1);
    }

    /// <summary>Takes the space of what a block counts of a run, in whole pieces where the block is larger than one.</summary>
    private ValueTask ReserveCountsAsync(int index, HostClusters clusters)
    {
        const long OnePiece = 64 << 10, FewCounts = 4096;
        long start = FirstOf(index).Index, end = Math.Min(clusters.End.Index, FirstOf(index + 1).Index);
        long from = (Math.Max(clusters.First.Index, start) - start) << _geometry.RefcountOrder >> 3;
        long to = (((end - start) << _geometry.RefcountOrder) + 7) >> 3;
        var block = BlockOf(FirstOf(index));
        if (_geometry.ClusterSize <= OnePiece)
        {
            return _reservation.EnsureAsync(block, _geometry.ClusterSize);
        }

        return to - from <= FewCounts
            ? EnsureBothAsync(block, from, to - 1)
            : _reservation.EnsureAsync(block, _geometry.ClusterSize);
    }

    /// <summary>Like <see cref="BlockOf"/>; an entry that is no cluster's offset makes the image corrupt.</summary>
    private async ValueTask<HostOffset> BlockAsync(HostCluster cluster)
    {
        long index = cluster.Index >> _geometry.RefcountBlockBits;
        long block = index < _table.Length ? (long)(_table[index] & TableOffsetMask) : 0;
        if (block < 0 || _geometry.InCluster(new HostOffset(block)) != 0)
        {
            await _guard.FailAsync($"Refblock offset 0x{block:x} unaligned (reftable index: 0x{index:x})", _tableOffset);
        }

        return new HostOffset(block);
    }

    private async ValueTask EnsureBothAsync(HostOffset block, long firstByte, long lastByte)
    {
        await _reservation.EnsureEntryAsync(block, _geometry.ClusterSize, firstByte);
        await _reservation.EnsureEntryAsync(block, _geometry.ClusterSize, lastByte);
    }

    private async ValueTask ChangeAsync(HostClusters clusters, int delta, List<HostClusters>? freed)
    {
        if (delta > 0)
        {
            _holes.Remove(clusters);
        }

        for (var cluster = clusters.First; cluster < clusters.End;)
        {
            // QEMU's names for the steps that find the block of a count to be changed, whether it is in memory or not
            await _storage.OnEventAsync("refblock_alloc");
            await _storage.OnEventAsync("refblock_load");
            var (bytes, index, count, slice) = await LoadAsync(cluster, clusters.End);
            for (int i = 0; i < count; i++)
            {
                ulong value = RefcountCodec.Get(bytes, index + i, _geometry.RefcountOrder);
                if (delta < 0 ? value == 0 : value == _geometry.MaxRefcount)
                {
                    throw new ImageCorruptException(
                        "refcount block", BlockOf(cluster), $"the count of cluster {cluster + i} is {value} and cannot change by {delta}");
                }

                if (i == 0)
                {
                    _cache.MarkDirty(slice);
                }

                RefcountCodec.Set(bytes, index + i, _geometry.RefcountOrder, value + (ulong)delta);
                if (freed is not null && value == 1)
                {
                    AddFreed(freed, cluster + i);
                }
            }

            cluster += count;
        }
    }

    // QEMU's error numbers: no refcount table can be so large; or it would have to grow
    private UncountedClusterException NoBlock(HostCluster cluster)
    {
        const int Again = 11;
        const long MaxEntries = Qcow2Limits.MaxRefcountTableBytes / sizeof(ulong);
        bool isImpossible = cluster.Index >> _geometry.RefcountBlockBits >= MaxEntries;
        return new(
            isImpossible ? BlockError.TooLarge : BlockError.Io,
            $"an L2 entry is invalid: it refers to cluster {cluster}, which has no refcount block")
        {
            Errno = isImpossible ? 0 : Again,
        };
    }

    private static void AddFreed(List<HostClusters> freed, HostCluster cluster)
    {
        if (freed.Count > 0 && freed[^1] is var last && last.End == cluster)
        {
            freed[^1] = last with { Count = last.Count + 1 };
        }
        else
        {
            freed.Add(new(cluster, 1));
        }
    }

    /// <summary>The counts of a cluster and of those after it, as far as one slice has them.</summary>
    private async ValueTask<(byte[] Bytes, int Index, int Count, long Slice)> LoadAsync(HostCluster cluster, HostCluster end)
    {
        var block = await BlockAsync(cluster);
        if (block.IsNone)
        {
            throw new ImageCorruptException("refcount table", _tableOffset, $"cluster {cluster} is in use and has no refcount block");
        }

        var (slice, index) = SliceOf(block, cluster);
        int perSlice = _cache.SliceBytes * 8 >> _geometry.RefcountOrder;
        return (await _cache.GetAsync(slice, _makeRoom), index, (int)Math.Min(perSlice - index, end - cluster), slice);
    }

    private (long Slice, int Index) SliceOf(HostOffset block, HostCluster cluster)
    {
        long inBlock = cluster.Index & ((1L << _geometry.RefcountBlockBits) - 1);
        int perSlice = _cache.SliceBytes * 8 >> _geometry.RefcountOrder;
        return (block.Value + (inBlock / perSlice * _cache.SliceBytes), (int)(inBlock % perSlice));
    }

    // nothing depends on a count being written late: when room is needed, all of them may go
    private ValueTask MakeRoomAsync() => _cache.WriteBackAsync();
}
