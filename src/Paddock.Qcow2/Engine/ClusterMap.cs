using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// From guest clusters to where their data are: the L1 table and the L2 tables, which are cached in slices. Looked up at any time
/// by whoever holds the guest range; changed under the image's metadata mutex.
/// </summary>
/// <remarks>
/// Callers see runs of bytes of one kind: of clusters, or, with extended L2 entries, of subclusters (<see cref="SubclusterRuns"/>).
/// Only <see cref="GetAsync"/> and <see cref="SetAsync"/> have counterparts for extended entries.
/// </remarks>
internal sealed class ClusterMap : IFlushStage
{
    private readonly IStorage _storage;
    private readonly ClusterGeometry _geometry;
    private readonly EngineLocks _locks;
    private readonly L1Table _l1;
    private readonly Allocator _allocator;
    private readonly MetadataGuard _guard;
    private readonly MetadataReservation _reservation;
    private readonly FlushOrder _order;
    private readonly DecompressedCluster _decompressed;
    private readonly MetadataCache _cache;
    private readonly Func<ValueTask> _makeRoom;
    private readonly bool _isExternal;

    /// <param name="storage">Storage of the image.</param>
    /// <param name="geometry">The image's.</param>
    /// <param name="locks">The image's.</param>
    /// <param name="l1">The L1 table.</param>
    /// <param name="allocator">Allocates L2 tables, and frees what replaced entries referred to.</param>
    /// <param name="guard">Told where L2 tables are.</param>
    /// <param name="reservation">Takes the space of entries that change.</param>
    /// <param name="order">Makes room in the cache, and puts a barrier before entries.</param>
    /// <param name="decompressed">Dropped when a compressed cluster is replaced.</param>
    /// <param name="cacheBytes">Memory for cached L2 tables.</param>
    /// <param name="isExternal">Whether entries refer to an external data file.</param>
    public ClusterMap(
        IStorage storage, ClusterGeometry geometry, EngineLocks locks, L1Table l1, Allocator allocator, MetadataGuard guard,
        MetadataReservation reservation, FlushOrder order, DecompressedCluster decompressed, long cacheBytes, bool isExternal = false)
    {
        _isExternal = isExternal;
        _storage = storage;
        _geometry = geometry;
        _locks = locks;
        _l1 = l1;
        _allocator = allocator;
        _guard = guard;
        _reservation = reservation;
        _order = order;
        _decompressed = decompressed;
        _cache = new MetadataCache(storage, Math.Min(geometry.ClusterSize, 4096), cacheBytes, "l2_load", "l2_update");
        _makeRoom = order.WriteTablesAsync;
    }

    /// <inheritdoc/>
    public bool IsDue => _cache.HasDirty;

    /// <inheritdoc/>
    public void Begin()
    {
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync()
    {
        _allocator.TablesReachStorage();
        return _cache.WriteBackAsync();
    }

    /// <summary>The image has no L2 table any more.</summary>
    public void Clear()
    {
        _l1.Clear();
        _cache.Clear();
        _decompressed.Drop();
    }

    /// <summary>The run of equally mapped bytes at <paramref name="offset"/>. The caller holds the guest range at least shared.</summary>
    /// <param name="offset">Of the guest.</param>
    /// <param name="length">The longest run of use.</param>
    /// <param name="writes">Whether the run is to be written, for the message about a corrupt entry.</param>
    /// <exception cref="ImageCorruptException">The entry cannot be right. The image is marked corrupt.</exception>
    public ValueTask<Mapping> FindAsync(GuestOffset offset, long length, bool writes = false)
        => TryFind(offset, length, out var mapping) ? ValueTask.FromResult(mapping) : LoadAndFindAsync(offset, length, writes);

    /// <summary>
    /// Where the part of an L2 table ends that is changed as one: entries of different slices are set in different calls.
    /// </summary>
    public GuestOffset SliceEnd(GuestOffset offset)
    {
        int shift = _geometry.ClusterBits + BitOperations.Log2((uint)_cache.SliceBytes) - _geometry.L2EntryBits;
        return new(((offset.Value >> shift) + 1) << shift);
    }

    /// <summary>Whether an offset has an L2 table.</summary>
    public bool HasTable(GuestOffset offset) => !_l1.Get(offset).IsNone;

    /// <summary>Makes the L2 table of an offset present and this image's own.</summary>
    /// <param name="offset">Of the guest.</param>
    /// <param name="reserve">Whether to take the table's space; entries that only become zero need none.</param>
    public async ValueTask<HostOffset> EnsureTableAsync(GuestOffset offset, bool reserve = true)
    {
        if (_l1.Pending is { } pending)
        {
            await pending.ShareAsync((int)_geometry.L1Index(offset));
        }

        var old = _l1.Get(offset);
        if (!old.IsNone && _l1.IsOwn(offset))
        {
            if (reserve)
            {
                await _reservation.EnsureEntryAsync(old, _geometry.ClusterSize, _geometry.L2EntryAt(offset));
            }

            return old;
        }

        await _reservation.EnsureEntryAsync(_l1.Offset, _l1.Count * 8L, _geometry.L1Index(offset) * 8L);
        var (cluster, _, knownZero) = await _allocator.AllocateAsync(1, "L2 table");
        var table = _geometry.OffsetOf(cluster);
        await _guard.CheckAsync(table, _geometry.ClusterSize);
        try
        {
            await _allocator.WriteLazyCountsAsync();
            await FillNewTableAsync(table, old, knownZero);
            if (old.IsNone)
            {
                // zeroes, as in the file: the first entry is set without a read
                await _cache.CreateAsync(SliceOf(table, offset).Slice, _makeRoom);
            }

            await _reservation.EnsureEntryAsync(table, _geometry.ClusterSize, _geometry.L2EntryAt(offset));
        }
        catch (BlockException)
        {
            _cache.Forget(table.Value, _geometry.ClusterSize);
            await _allocator.FreeNowAsync(new(cluster, 1));
            throw;
        }

        _guard.Map.Set(cluster, MetadataKind.ActiveL2);
        _l1.Set(offset, table);
        if (!old.IsNone)
        {
            var oldCluster = _geometry.ClusterOf(old);
            _guard.Map.Set(oldCluster, MetadataKind.None);
            _allocator.FreeLater(new(oldCluster, 1));
        }

        return table;
    }

    /// <summary>One standard entry of a table.</summary>
    public async ValueTask<L2Entry> GetAsync(HostOffset table, GuestOffset offset)
    {
        var (slice, index) = SliceOf(table, offset);
        return EntryAt(await _cache.GetAsync(slice, _makeRoom), index);
    }

    /// <summary>Sets one standard entry of a table that is this image's own.</summary>
    /// <returns>The entry before. What it referred to is not freed.</returns>
    public async ValueTask<L2Entry> SetAsync(HostOffset table, GuestOffset offset, L2Entry entry)
    {
        var (slice, index) = SliceOf(table, offset);
        var old = EntryAt(await _cache.GetAsync(slice, _makeRoom), index);
        if (old != entry)
        {
            _cache.Set64(slice, index, entry.Raw);
            if (RefersToMore(entry, old))
            {
                _order.RequireBarrier();
            }
        }

        return old;
    }

    /// <summary>The kind of an entry. In an external data file, offset 0 may hold data: then the entry is marked as copied.</summary>
    public ClusterKind KindOf(L2Entry entry)
    {
        var kind = entry.Kind;
        return _isExternal && kind == ClusterKind.Unallocated && entry.IsCopied ? ClusterKind.Normal : kind;
    }

    /// <summary>One extended entry of a table, whatever is in it.</summary>
    public async ValueTask<ExtendedL2Entry> GetExtendedAsync(HostOffset table, GuestOffset offset)
    {
        var (slice, index) = SliceOf(table, offset);
        return SubclusterRuns.EntryAt(await _cache.GetAsync(slice, _makeRoom), index, _isExternal);
    }

    /// <summary>One extended entry of a table, whose subclusters are to be changed.</summary>
    /// <exception cref="ImageCorruptException">The entry cannot be right. The image is marked corrupt.</exception>
    public async ValueTask<ExtendedL2Entry> GetValidExtendedAsync(HostOffset table, GuestOffset offset)
    {
        var entry = await GetExtendedAsync(table, offset);
        if (EntryProblem.Find(_geometry, entry, offset, table, writes: true) is { } problem)
        {
            await _guard.FailAsync(problem, table);
        }

        return entry;
    }

    /// <summary>Sets one extended entry of a table that is this image's own. What the entry before referred to is not freed.</summary>
    /// <param name="table">Offset of the table in bytes.</param>
    /// <param name="offset">Of the guest.</param>
    /// <param name="old">The entry before.</param>
    /// <param name="entry">The new one.</param>
    public async ValueTask SetExtendedAsync(HostOffset table, GuestOffset offset, ExtendedL2Entry old, ExtendedL2Entry entry)
    {
        if (entry == old)
        {
            return;
        }

        var (slice, index) = SliceOf(table, offset);
        await _cache.GetAsync(slice, _makeRoom);
        _cache.SetPair(slice, index, entry.Cluster.Raw, entry.Subclusters.Raw);
        if (RefersToMore(entry, old))
        {
            _order.RequireBarrier();
        }
    }

    /// <summary>Frees, when that is safe, the cluster or sectors of an entry that was replaced.</summary>
    public void Release(L2Entry old)
    {
        if (_isExternal)
        {
            // not counted; whoever replaced the entry discards the data
        }
        else if (old.IsCompressed)
        {
            var compressed = CompressedDescriptor.Decode(old, _geometry.ClusterBits);
            var first = _geometry.ClusterOf(compressed.Offset);
            var last = _geometry.ClusterOf(compressed.Offset + (compressed.Length - 1));
            _allocator.FreeLater(new(first, last - first + 1));
            _decompressed.Drop();
        }
        else if (!old.Offset.IsNone)
        {
            _allocator.FreeDataLater(_geometry.ClusterOf(old.Offset));
        }
    }

    /// <summary>Size of the pieces in which L2 tables are loaded.</summary>
    public int SliceBytes => _cache.SliceBytes;

    /// <summary>A piece of an L2 table of the active state or of a snapshot; valid until the next one is loaded.</summary>
    public ValueTask<byte[]> LoadSliceAsync(HostOffset slice) => _cache.GetAsync(slice.Value, _makeRoom);

    /// <summary>Changes COPIED flags in the piece of an L2 table that was loaded last.</summary>
    public void ReplaceSlice(HostOffset slice, ReadOnlySpan<byte> bytes) => _cache.Replace(slice.Value, bytes);

    /// <summary>The disk has other contents: data in memory are not its own any more.</summary>
    public void ForgetData() => _decompressed.Drop();

    /// <summary>Drops an L2 table that nothing refers to any more.</summary>
    public void ForgetTable(HostOffset table)
    {
        _cache.Forget(table.Value, _geometry.ClusterSize);
        _guard.Map.Set(_geometry.ClusterOf(table), MetadataKind.None);
    }

    /// <summary>Removes all L2 tables from an L1 entry on: the disk ends before what they map.</summary>
    /// <returns>Their clusters, to be freed once the L1 table is durable.</returns>
    public List<HostCluster> RemoveTables(long fromL1Index)
    {
        var removed = new List<HostCluster>();
        for (long i = fromL1Index; i < _l1.Count; i++)
        {
            var offset = _geometry.MappedBy(i);
            var table = _l1.Get(offset);
            if (!table.IsNone)
            {
                var cluster = _geometry.ClusterOf(table);
                _cache.Forget(table.Value, _geometry.ClusterSize);
                _guard.Map.Set(cluster, MetadataKind.None);
                removed.Add(cluster);
                _l1.Set(offset, default);
            }
        }

        return removed;
    }

    // data, or a cluster, that the entry before did not refer to
    private bool RefersToMore(L2Entry entry, L2Entry old)
        => KindOf(entry) switch
        {
            ClusterKind.Unallocated or ClusterKind.ZeroPlain => false,
            ClusterKind.ZeroAllocated => entry.Offset != old.Offset,
            _ => true,
        };

    private static bool RefersToMore(ExtendedL2Entry entry, ExtendedL2Entry old)
        => entry.Cluster.IsCompressed || (entry.HasCluster && entry.Cluster.Offset != old.Cluster.Offset)
            || (entry.Subclusters.Allocated & ~old.Subclusters.Allocated) != 0;

    private static L2Entry EntryAt(ReadOnlySpan<byte> slice, int index) => new(BinaryPrimitives.ReadUInt64BigEndian(slice[(index * 8)..]));

    private async ValueTask<Mapping> LoadAndFindAsync(GuestOffset offset, long length, bool writes)
    {
        await _locks.Metadata.AcquireAsync();
        try
        {
            Mapping mapping;
            while (!TryFind(offset, length, out mapping))
            {
                var table = _l1.Find(offset);
                if (_geometry.InCluster(table) != 0)
                {
                    await _guard.FailAsync($"L2 table offset {table} unaligned (L1 index: {_geometry.L1Index(offset):x})", _l1.Offset);
                }

                var (slice, index) = SliceOf(table, offset);
                var bytes = await _cache.GetAsync(slice, _makeRoom);
                if (ProblemIn(bytes, index, offset, table, writes) is { } problem)
                {
                    await _guard.FailAsync(problem, table);
                }
            }

            return mapping;
        }
        finally
        {
            _locks.Metadata.Release();
        }
    }

    private string? ProblemIn(ReadOnlySpan<byte> slice, int index, GuestOffset offset, HostOffset table, bool writes)
    {
        var extended = _geometry.HasSubclusters ? SubclusterRuns.EntryAt(slice, index, _isExternal) : default;
        var entry = _geometry.HasSubclusters ? extended.Cluster : EntryAt(slice, index);
        return (_geometry.HasSubclusters ? EntryProblem.Find(_geometry, extended, offset, table, writes)
            : EntryProblem.Find(_geometry, entry, offset, table, writes))
            ?? (_isExternal ? EntryProblem.FindExternal(_geometry, entry, HasCluster(entry, extended), offset, table) : null);
    }

    private bool HasCluster(L2Entry entry, ExtendedL2Entry extended)
        => _geometry.HasSubclusters ? extended.HasCluster : KindOf(entry) is ClusterKind.Normal or ClusterKind.ZeroAllocated;

    /// <summary>
    /// The same as <see cref="FindAsync"/>, in memory alone; false when a table must be loaded first, or the entry cannot be right.
    /// </summary>
    public bool TryFind(GuestOffset offset, long length, out Mapping mapping)
    {
        // before the entry is read: once the table is shared, its own flags are clear
        bool isPending = _l1.Pending is { } pending && pending.Contains(_geometry.L1Index(offset));
        var table = _l1.Find(offset);
        if (table.IsNone)
        {
            long rest = _geometry.MappedBy(_geometry.L1Index(offset) + 1) - offset;
            mapping = new Mapping(ClusterKind.Unallocated, Math.Min(length, rest), default, false, default);
            return true;
        }

        if (_geometry.InCluster(table) != 0)
        {
            mapping = default;
            return false;
        }

        var (slice, index) = SliceOf(table, offset);
        bool found = _cache.TryGet(slice, out var bytes, out var scope);
        try
        {
            mapping = !found ? default
                : _geometry.HasSubclusters ? SubclusterRuns.Map(_geometry, bytes, index, offset, length, _isExternal)
                : MapInSlice(bytes, index, offset, length);
            if (isPending)
            {
                mapping = mapping with { Writable = false, Entry = new L2Entry(mapping.Entry.Raw & ~L2Entry.CopiedFlag) };
            }

            return mapping.Length > 0;
        }
        finally
        {
            scope.Dispose();
        }
    }

    // a run of length 0: the entry cannot be right
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Mapping MapInSlice(ReadOnlySpan<byte> slice, int index, GuestOffset offset, long length)
    {
        int bits = _geometry.ClusterBits;
        int inCluster = _geometry.InCluster(offset);
        var entry = EntryAt(slice, index);
        var kind = KindOf(entry);
        if (_isExternal ? EntryProblem.IsForeign(entry, kind, offset + -inCluster) : entry.Raw == L2Entry.CopiedFlag)
        {
            // data that no external data file has; or no cluster, marked as copied: there is nothing
            return _isExternal ? default : new Mapping(kind, Math.Min((1L << bits) - inCluster, length), default, false, default);
        }

        long run = (1L << bits) - inCluster;
        if (kind == ClusterKind.Compressed)
        {
            return new Mapping(kind, Math.Min(run, length), default, false, entry);
        }

        bool hasHost = kind is ClusterKind.Normal or ClusterKind.ZeroAllocated;
        if (hasHost && _geometry.InCluster(entry.Offset) != 0)
        {
            return default;
        }

        ulong step = hasHost ? 1UL << bits : 0;
        ulong expected = entry.Raw;
        for (int next = index + 1; run < length && next * 8 < slice.Length; next++)
        {
            expected += step;
            if (EntryAt(slice, next).Raw != expected)
            {
                break;
            }

            run += 1L << bits;
        }

        return new Mapping(kind, Math.Min(run, length), entry.Offset + inCluster, kind == ClusterKind.Normal && entry.IsCopied, entry);
    }

    private (long Slice, int Index) SliceOf(HostOffset table, GuestOffset offset)
    {
        int at = _geometry.L2EntryAt(offset);
        int mask = _cache.SliceBytes - 1;
        return (table.Value + (at & ~mask), (at & mask) >> _geometry.L2EntryBits);
    }

    private async ValueTask FillNewTableAsync(HostOffset table, HostOffset old, bool knownZero)
    {
        int size = _geometry.ClusterSize;
        if (old.IsNone)
        {
            _cache.Forget(table.Value, size);
            await _storage.OnEventAsync("l2_alloc_write");
            await _reservation.CreateAsync(table, knownZero);
            return;
        }

        await _reservation.EnsureAsync(table, size);

        // a snapshot shares the old table: its dirty slices, if any, are the copy's too
        for (int at = 0; at < size; at += _cache.SliceBytes)
        {
            var bytes = (await _cache.GetAsync(old.Value + at, _makeRoom)).ToArray();
            await _storage.OnEventAsync("l2_alloc_cow_read");
            var copy = await _cache.CreateAsync(table.Value + at, _makeRoom);
            bytes.CopyTo(copy, 0);
            _cache.MarkDirty(table.Value + at);
        }

        await _storage.OnEventAsync("l2_alloc_write");
        _cache.Forget(old.Value, size);
    }
}
