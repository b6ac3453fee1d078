using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// The reference counts of an image's clusters and the allocation that rests on them. Every call is made under the image's metadata mutex.
/// </summary>
/// <remarks>
/// A new refcount block describes itself: it is the first cluster of the range that it counts. Counts go up in the cache and reach the storage
/// before anything points at the clusters; they go down only after what pointed there is durably gone (<see cref="FreeLater"/>).
/// </remarks>
internal sealed partial class RefcountManager
{
    private const ulong TableOffsetMask = 0xffff_ffff_ffff_fe00;

    /// <summary>A gap of so many bytes, or clusters, is worth a request of its own; shorter ones are left to shorter requests.</summary>
    private const long UsefulBytes = 64 << 10, MaxUsefulRun = 8;

    private readonly IStorage _storage;
    private readonly MetadataCache _cache;
    private readonly MetadataReservation _reservation;
    private readonly ClusterGeometry _geometry;
    private readonly SortedSet<int> _dirtyTableEntries = [];
    private readonly List<(long First, long Count)> _pendingFrees = [];
    private readonly Func<ValueTask> _makeRoom;
    private ulong[] _table = [];
    private long _tableOffset;
    private readonly GapCursors _gaps = new();
    private readonly FreshClusters _fresh = new();
    private readonly List<long> _unreferenced = [];
    private readonly long _usefulRun;
    private long _freeByte;
    private long _pendingFreeClusters;

    public RefcountManager(
        IStorage storage, ClusterGeometry geometry, long cacheBytes, MetadataReservation reservation, FreedSpace? freed = null)
    {
        _reservation = reservation;
        _freed = freed ?? new FreedSpace(TimeSpan.Zero, TimeProvider.System);
        _storage = storage;
        _geometry = geometry;
        _cache = new MetadataCache(storage, Math.Min(geometry.ClusterSize, 4096), cacheBytes, "refblock_load", "refblock_update_part");
        _makeRoom = MakeRoomAsync;
        _usefulRun = Math.Clamp(UsefulBytes >> geometry.ClusterBits, 1, MaxUsefulRun);
        HighWater = geometry.ClustersFor(storage.Length);
    }

    /// <summary>Clusters from here on were never used since the image was opened, nor before: they read as zeroes.</summary>
    public long HighWater { get; private set; }

    /// <summary>Clusters whose counts wait to go down.</summary>
    public long PendingFreeClusters => _pendingFreeClusters;

    /// <summary>True when counts or the table differ from the storage.</summary>
    public bool HasDirty => _cache.HasDirty || _dirtyTableEntries.Count > 0;

    /// <summary>Where the table moved to, when it grew: the header must follow before the old place is used again.</summary>
    public Func<long, uint, ValueTask>? TableMoved { get; init; }

    /// <summary>Told of clusters that become or cease to be refcount blocks.</summary>
    public Action<long, bool>? BlockChanged { get; init; }

    /// <summary>Marks the image corrupt and closes it for writing; throws.</summary>
    public Func<string, ValueTask> Corrupted { get; init; } = static _ => default;

    /// <summary>Gives the space of freed clusters back, when set.</summary>
    public Func<long, long, ValueTask>? Discard { get; set; }

    public int TableEntries => _table.Length;

    /// <summary>Offset of each refcount block, 0 where there is none.</summary>
    public IEnumerable<long> BlockOffsets => _table.Select(static entry => (long)(entry & TableOffsetMask)).Where(static offset => offset != 0);

    public async ValueTask LoadTableAsync(long offset, uint clusters, CancellationToken cancellationToken)
    {
        _tableOffset = offset;
        var bytes = new byte[(long)clusters << _geometry.ClusterBits];
        await _storage.OnEventAsync("reftable_load");
        await _storage.ReadAsync(offset, bytes, cancellationToken);
        _table = new ulong[bytes.Length / 8];
        for (int i = 0; i < _table.Length; i++)
        {
            _table[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        }
    }

    /// <summary>The count of one cluster.</summary>
    public async ValueTask<ulong> GetAsync(long cluster)
    {
        long block = BlockOf(cluster);
        if (block == 0)
        {
            return 0;
        }

        var (slice, index) = SliceOf(block, cluster);
        return RefcountCodec.Get(await _cache.GetAsync(slice, _makeRoom), index, _geometry.RefcountOrder);
    }

    /// <summary>Allocates adjoining clusters with a count of one.</summary>
    /// <returns>The first, and whether all of them are known to read as zeroes.</returns>
    /// <param name="count">How many.</param>
    /// <param name="what">What they are for, in messages.</param>
    public async ValueTask<(long First, bool KnownZero)> AllocateAsync(long count, string what = "metadata")
    {
        if (count >= 1L << _geometry.RefcountBlockBits)
        {
            // blocks that describe themselves leave no run of this length between them
            return await AllocateLongRunAsync(count);
        }

        var run = await AllocateRunAsync(count, count, $"Preventing invalid allocation of {what} at offset 0");
        return (run.First, run.KnownZero);
    }

    /// <summary>
    /// Allocates adjoining clusters for data, with a count of one: as many as asked for, or the next gap of a useful length. Gaps that are passed
    /// over would be lost to a client that writes in long requests.
    /// </summary>
    public async ValueTask<ClusterRun> AllocateUpToAsync(long count)
    {
        count = Math.Min(count, (1L << _geometry.RefcountBlockBits) - 1);
        var run = await AllocateRunAsync(
            count, count < _usefulRun ? 1 : _usefulRun, "Preventing invalid write on metadata (overlaps with qcow2_header)");
        _fresh.Add(run.First, run.Count);
        return run;
    }

    private async ValueTask<ClusterRun> AllocateRunAsync(long most, long least, string invalid)
    {
        await FreeUnreferencedAsync();
        while (true)
        {
            var (first, count) = await FindRunAsync(most, least);
            if (first + count > long.MaxValue >> _geometry.ClusterBits)
            {
                throw new BlockException(BlockError.TooLarge, "the image is full: no host offset is left");
            }

            // a new block takes a cluster itself, perhaps one of those just found: look again
            if (await EnsureBlocksAsync(first, count))
            {
                continue;
            }

            if (first == 0)
            {
                // the header's cluster is counted as free: nothing that is allocated here is safe
                await Corrupted(invalid);
                throw new ImageCorruptException("refcount block", new HostOffset(0), invalid);
            }

            await AddAsync(first, count, 1);
            bool knownZero = first >= HighWater;
            HighWater = Math.Max(HighWater, first + count);
            _gaps.Allocated(first, count, least, _usefulRun);
            return new ClusterRun(first, count, knownZero);
        }
    }

    /// <summary>Room for a compressed cluster; several share a host cluster and may reach into the next.</summary>
    public async ValueTask<long> AllocateBytesAsync(int bytes)
    {
        int clusterSize = _geometry.ClusterSize;
        int left = _freeByte == 0 ? 0 : clusterSize - _geometry.InCluster(_freeByte);
        if (left == clusterSize)
        {
            left = 0;
        }

        long current = _freeByte >> _geometry.ClusterBits;
        bool canShare = left > 0 && await GetAsync(current) < _geometry.MaxRefcount;
        long at;
        if (canShare && left >= bytes)
        {
            await AddAsync(current, 1, 1);
            at = _freeByte;
        }
        else
        {
            long next = (await AllocateAsync(1, "compressed cluster")).First;
            at = next << _geometry.ClusterBits;
            if (canShare && next == current + 1)
            {
                await AddAsync(current, 1, 1);
                at = _freeByte;
            }
        }

        _freeByte = at + bytes;
        return at;
    }

    /// <summary>Lowers counts at the next safe moment: once the tables that no longer point there are durable.</summary>
    public void FreeLater(long firstCluster, long count)
    {
        _pendingFreeClusters += count;
        if (count == 1 && _fresh.TryTake(firstCluster))
        {
            // no table on the storage has ever pointed there: the next allocation may have it
            _unreferenced.Add(firstCluster);
            return;
        }

        if (_pendingFrees.Count > 0 && _pendingFrees[^1] is var (first, length) && first + length == firstCluster)
        {
            _pendingFrees[^1] = (first, length + count);
            return;
        }

        _pendingFrees.Add((firstCluster, count));
    }

    /// <summary>L2 tables are about to be written: whatever they point at is not fresh any more.</summary>
    public void TablesReachStorage() => _fresh.Clear();

    /// <summary>Lowers the counts that wait; what pointed there is durably gone.</summary>
    public async ValueTask ApplyFreesAsync()
    {
        await FreeUnreferencedAsync();
        int done = 0;
        try
        {
            while (done < _pendingFrees.Count)
            {
                var (first, count) = _pendingFrees[done++];
                _pendingFreeClusters -= count;
                await FreeNowAsync(first, count);
            }
        }
        finally
        {
            // a run that failed half way is not tried again: it may leak; the others wait for the next flush
            _pendingFrees.RemoveRange(0, done);
        }
    }

    /// <summary>Lowers counts of clusters that nothing durable ever pointed at.</summary>
    public async ValueTask FreeNowAsync(long first, long count)
    {
        long runStart = first;
        for (long cluster = first; cluster < first + count; cluster++)
        {
            await AddAsync(cluster, 1, -1);
            if (await GetAsync(cluster) != 0)
            {
                await PunchLaterAsync(runStart, cluster);
                runStart = cluster + 1;
                continue;
            }

            _gaps.Freed(cluster);
            if (_freeByte >> _geometry.ClusterBits == cluster)
            {
                _freeByte = 0;
            }
        }

        _fresh.Remove(first, first + count);
        await PunchLaterAsync(runStart, first + count);
    }

    private async ValueTask FreeUnreferencedAsync()
    {
        while (_unreferenced.Count > 0)
        {
            long cluster = _unreferenced[^1];
            _unreferenced.RemoveAt(_unreferenced.Count - 1);
            _pendingFreeClusters--;
            await FreeNowAsync(cluster, 1);
        }
    }

    /// <summary>Writes counts, then the table entries that point at new blocks.</summary>
    public async ValueTask WriteBackAsync()
    {
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
            await _storage.WriteAsync(_tableOffset + ((long)index * 8), bytes);
        }

        _dirtyTableEntries.Clear();
    }

    private async ValueTask DiscardRunAsync(long first, long end)
    {
        if (first >= end || Discard is null)
        {
            return;
        }

        // a table that lies here next needs the space again
        _reservation.Forget(first << _geometry.ClusterBits, (end - first) << _geometry.ClusterBits);
        try
        {
            await Discard(first << _geometry.ClusterBits, (end - first) << _geometry.ClusterBits);
        }
        catch (BlockException)
        {
            // the clusters are free all the same; only their space stays taken
        }
    }

    private async ValueTask AddAsync(long first, long count, int delta)
    {
        int order = _geometry.RefcountOrder;
        if (delta > 0 && HoldsFreedSpace)
        {
            _freed.Remove(first, first + count);
        }

        for (long cluster = first; cluster < first + count; cluster++)
        {
            long block = BlockOf(cluster);
            if (block == 0)
            {
                throw new ImageCorruptException("refcount table", new HostOffset(_tableOffset), $"cluster {cluster} is in use and has no refcount block");
            }

            var (slice, index) = SliceOf(block, cluster);
            var bytes = await _cache.GetAsync(slice, _makeRoom);
            ulong value = RefcountCodec.Get(bytes, index, order);
            if (delta < 0 ? value == 0 : value == _geometry.MaxRefcount)
            {
                throw new ImageCorruptException(
                    "refcount block", new HostOffset(block), $"the count of cluster {cluster} is {value} and cannot change by {delta}");
            }

            RefcountCodec.Set(bytes, index, order, value + (ulong)delta);
            _cache.MarkDirty(slice);
        }
    }

    private long BlockOf(long cluster)
    {
        long index = cluster >> _geometry.RefcountBlockBits;
        if (index >= _table.Length)
        {
            return 0;
        }

        long block = (long)(_table[index] & TableOffsetMask);
        return _geometry.InCluster(block) == 0 && block >= 0
            ? block
            : throw new ImageCorruptException("refcount table", new HostOffset(_tableOffset), $"entry {index} is 0x{block:x}, no cluster's offset");
    }

    private (long Slice, int Index) SliceOf(long block, long cluster)
    {
        long inBlock = cluster & ((1L << _geometry.RefcountBlockBits) - 1);
        int perSlice = _cache.SliceBytes * 8 >> _geometry.RefcountOrder;
        return (block + (inBlock / perSlice * _cache.SliceBytes), (int)(inBlock % perSlice));
    }

    // nothing depends on a count being written late: when room is needed, all of them may go
    private ValueTask MakeRoomAsync() => _cache.WriteBackAsync();
}
