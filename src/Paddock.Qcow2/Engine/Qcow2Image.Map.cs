using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// from guest offsets to host offsets
public sealed partial class Qcow2Image
{
    /// <summary>The run of equally mapped bytes at <paramref name="offset"/>. The caller holds the guest range at least shared.</summary>
    private ValueTask<Mapping> MapAsync(long offset, long length)
        => TryMap(offset, length, out var mapping) ? ValueTask.FromResult(mapping) : LoadAndMapAsync(offset, length);

    private async ValueTask<Mapping> LoadAndMapAsync(long offset, long length)
    {
        await _meta.AcquireAsync();
        try
        {
            Mapping mapping;
            while (!TryMap(offset, length, out mapping))
            {
                await _l2.GetAsync(SliceOf(L2TableOf(offset), offset).Slice, _makeRoom);
            }

            return mapping;
        }
        finally
        {
            _meta.Release();
        }
    }

    /// <summary>Looks up in memory alone; false when a table must be loaded first.</summary>
    private bool TryMap(long offset, long length, out Mapping mapping)
    {
        var l1 = Volatile.Read(ref _l1);
        long l1Index = offset >> _geometry.L1Shift;
        long table = l1Index < l1.Length ? (long)(Volatile.Read(ref l1[l1Index]) & L1OffsetMask) : 0;
        if (table == 0)
        {
            long end = (l1Index + 1) << _geometry.L1Shift;
            mapping = new Mapping(ClusterKind.Unallocated, Math.Min(length, end - offset), 0, false, default);
            return true;
        }

        if (_geometry.InCluster(table) != 0)
        {
            mapping = default;
            return false;
        }

        var (slice, index) = SliceOf(table, offset);
        bool found = _l2.TryGet(slice, out var bytes, out var scope);
        try
        {
            mapping = found ? MapInSlice(bytes, index, offset, length, slice) : default;
            return found;
        }
        finally
        {
            scope.Dispose();
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Mapping MapInSlice(ReadOnlySpan<byte> slice, int index, long offset, long length, long sliceOffset)
    {
        int bits = _geometry.ClusterBits;
        int inCluster = _geometry.InCluster(offset);
        var entry = new L2Entry(ReadEntry(slice, index));
        var kind = entry.Kind;
        long run = (1L << bits) - inCluster;
        if (kind == ClusterKind.Compressed)
        {
            return new Mapping(kind, Math.Min(run, length), 0, false, entry);
        }

        bool hasHost = kind is ClusterKind.Normal or ClusterKind.ZeroAllocated;
        if (hasHost && _geometry.InCluster(entry.Offset.Value) != 0)
        {
            throw new ImageCorruptException(
                "L2 table", new HostOffset(sliceOffset),
                $"entry {index} is 0x{entry.Raw:x16}: the cluster's offset {entry.Offset} is not aligned to {1 << bits}");
        }

        ulong step = hasHost ? 1UL << bits : 0;
        ulong expected = entry.Raw;
        for (int next = index + 1; run < length && next * 8 < slice.Length; next++)
        {
            expected += step;
            if (ReadEntry(slice, next) != expected)
            {
                break;
            }

            run += 1L << bits;
        }

        return new Mapping(kind, Math.Min(run, length), entry.Offset.Value + inCluster, kind == ClusterKind.Normal && entry.IsCopied, entry);
    }

    /// <summary>The L2 table that maps an offset, checked; 0 when there is none.</summary>
    private long L2TableOf(long offset)
    {
        long l1Index = offset >> _geometry.L1Shift;
        long table = l1Index < _l1.Length ? (long)(_l1[l1Index] & L1OffsetMask) : 0;
        return _geometry.InCluster(table) == 0
            ? table
            : throw new ImageCorruptException(
                "L1 table", new HostOffset((long)_header.L1Offset), $"L2 table offset 0x{table:x} unaligned (L1 index: 0x{l1Index:x})");
    }

    private (long Slice, int Index) SliceOf(long table, long offset)
    {
        int at = _geometry.L2Index(offset) * 8;
        int mask = _l2.SliceBytes - 1;
        return (table + (at & ~mask), (at & mask) / 8);
    }

    /// <summary>Makes the L2 table of an offset present and this image's own. Under the metadata mutex.</summary>
    /// <param name="offset">Of the guest.</param>
    /// <param name="reserve">Whether to take the table's space; entries that only become zero need none.</param>
    private async ValueTask<long> EnsureL2TableAsync(long offset, bool reserve = true)
    {
        int l1Index = (int)(offset >> _geometry.L1Shift);
        long old = L2TableOf(offset);
        if (old != 0 && (_l1[l1Index] & L2Entry.CopiedFlag) != 0)
        {
            if (reserve)
            {
                await _reservation.EnsureEntryAsync(old, _geometry.ClusterSize, _geometry.L2Index(offset) * 8L);
            }

            return old;
        }

        await _reservation.EnsureEntryAsync((long)_header.L1Offset, _l1.Length * 8L, l1Index * 8L);
        var (cluster, knownZero) = await _refcounts.AllocateAsync(1, "L2 table");
        long table = cluster << _geometry.ClusterBits;
        await CheckOverlapAsync(table, _geometry.ClusterSize);
        try
        {
            await FillNewL2TableAsync(table, old, knownZero);
            await _reservation.EnsureEntryAsync(table, _geometry.ClusterSize, _geometry.L2Index(offset) * 8L);
        }
        catch (BlockException)
        {
            _l2.Forget(table, _geometry.ClusterSize);
            await _refcounts.FreeNowAsync(cluster, 1);
            throw;
        }

        _metadataMap.Set(table, MetadataKind.ActiveL2);
        Volatile.Write(ref _l1[l1Index], (ulong)table | L2Entry.CopiedFlag);
        _dirtyL1.Add(l1Index);
        if (old != 0)
        {
            _metadataMap.Set(old, MetadataKind.None);
            _refcounts.FreeLater(old >> _geometry.ClusterBits, 1);
        }

        return table;
    }

    private async ValueTask FillNewL2TableAsync(long table, long old, bool knownZero)
    {
        int size = _geometry.ClusterSize;
        if (old == 0)
        {
            _l2.Forget(table, size);
            await _storage.OnEventAsync("l2_alloc_write");
            await _reservation.CreateAsync(table, knownZero);
            return;
        }

        await _reservation.EnsureAsync(table, size);

        // a snapshot shares the old table: its dirty slices, if any, are the copy's too
        for (int at = 0; at < size; at += _l2.SliceBytes)
        {
            var bytes = (await _l2.GetAsync(old + at, _makeRoom)).ToArray();
            await _storage.OnEventAsync("l2_alloc_cow_read");
            var copy = await _l2.CreateAsync(table + at, _makeRoom);
            bytes.CopyTo(copy, 0);
            _l2.MarkDirty(table + at);
        }

        await _storage.OnEventAsync("l2_alloc_write");
        _l2.Forget(old, size);
    }

    /// <summary>Sets one entry of an L2 table that is this image's own. Under the metadata mutex.</summary>
    private async ValueTask<L2Entry> SetEntryAsync(long table, long offset, L2Entry entry)
    {
        var (slice, index) = SliceOf(table, offset);
        var bytes = await _l2.GetAsync(slice, _makeRoom);
        var old = new L2Entry(ReadEntry(bytes, index));
        if (old != entry)
        {
            _l2.Set64(slice, index, entry.Raw);
            _barrierDue |= entry.Kind is not (ClusterKind.Unallocated or ClusterKind.ZeroPlain);
        }

        return old;
    }

    /// <summary>Queues the cluster or sectors of a replaced entry to be given back.</summary>
    private void Release(L2Entry old)
    {
        if (old.IsCompressed)
        {
            var compressed = CompressedDescriptor.Decode(old, _geometry.ClusterBits);
            long first = compressed.Offset.Value >> _geometry.ClusterBits;
            long last = (compressed.Offset.Value + compressed.Length - 1) >> _geometry.ClusterBits;
            _refcounts.FreeLater(first, last - first + 1);
            DropDecompressed();
        }
        else if (old.Offset.Value != 0)
        {
            _refcounts.FreeLater(old.Offset.Value >> _geometry.ClusterBits, 1);
        }
    }
}
