using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Changes the L2 entries of whole clusters so that they read as zeroes or are free.</summary>
/// <remarks>
/// Data in an external file are not counted, so they are discarded here, after their entries; not where the backing image is to show
/// instead, as that must be durable first. A raw data file is zeroed instead, before the entries: it must read as the disk does.
/// </remarks>
internal sealed class ClusterClearing(ImageHeader header, EngineLocks locks, ClusterMap map, DataLayer data, IBlockDevice? backing)
{
    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Changes the entries of whole clusters, a table slice at a time.</summary>
    /// <param name="start">Start of a cluster.</param>
    /// <param name="end">End of a cluster.</param>
    /// <param name="how">What becomes of them.</param>
    public async ValueTask ClearAsync(GuestOffset start, GuestOffset end, Deallocation how)
    {
        while (start < end)
        {
            var sliceEnd = GuestOffset.Min(end, map.SliceEnd(start));
            bool leavesNoTrace = how == Deallocation.Remove || (backing is null && (how == Deallocation.Discard || !header.HasVersion3));
            if (leavesNoTrace && !map.HasTable(start))
            {
                // nothing there, and no backing image: on to the next table
                start = GuestOffset.Min(end, _geometry.MappedBy(_geometry.L1Index(start) + 1));
                continue;
            }

            var held = _geometry.ClustersOf(start, sliceEnd - start);
            await locks.AcquireAsync(held, exclusive: true);
            try
            {
                await ClearSliceAsync(start, sliceEnd, how);
                start = sliceEnd;
            }
            finally
            {
                locks.Release(held, exclusive: true);
            }
        }
    }

    /// <summary>Changes the entries of clusters of one table slice, which the caller holds.</summary>
    public async ValueTask ClearSliceAsync(GuestOffset start, GuestOffset end, Deallocation how)
    {
        // zeroes in the file would decrypt to garbage if power failed before the entries are durable: there the entries alone change
        if (data is { IsRaw: true, IsEncrypted: false } && how != Deallocation.Remove)
        {
            var flags = how == Deallocation.ZeroKeep ? ZeroFlags.None : ZeroFlags.MayUnmap;
            await data.ZeroAsync(new HostOffset(start.Value), end - start, flags);
        }

        long discarded = await ClearEntriesAsync(start, end, how);
        if (discarded > 0 && how != Deallocation.Remove && data is { IsExternal: true, IsRaw: false, IsEncrypted: false })
        {
            await data.DiscardAsync(new HostOffset(start.Value), end - start);
        }
    }

    /// <returns>How many clusters were freed.</returns>
    private async ValueTask<long> ClearEntriesAsync(GuestOffset start, GuestOffset end, Deallocation how)
    {
        long freed = 0;
        await locks.Metadata.AcquireAsync();
        try
        {
            bool onlyClears = how == Deallocation.Remove || (how == Deallocation.Discard && backing is null);
            var table = await map.EnsureTableAsync(start, reserve: !onlyClears);
            for (; start < end; start += _geometry.ClusterSize)
            {
                bool wasAllocated = await (_geometry.HasSubclusters
                    ? ClearExtendedAsync(table, start, how) : ClearOneAsync(table, start, how));
                freed += wasAllocated ? 1 : 0;
            }

            return freed;
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    /// <summary>Makes whole subclusters of one cluster read as zeroes. The cluster, if there is one, stays allocated.</summary>
    /// <param name="start">Start of a subcluster.</param>
    /// <param name="end">End of a subcluster of the same cluster.</param>
    /// <returns>False for a compressed cluster: only writing would do.</returns>
    public async ValueTask<bool> TryZeroSubclustersAsync(GuestOffset start, GuestOffset end)
    {
        var held = _geometry.ClustersOf(start, 1);
        await locks.AcquireAsync(held, exclusive: true);
        try
        {
            return await TryZeroHeldAsync(start, end);
        }
        finally
        {
            locks.Release(held, exclusive: true);
        }
    }

    /// <summary>As <see cref="TryZeroSubclustersAsync"/>, for a cluster that the caller holds.</summary>
    public async ValueTask<bool> TryZeroHeldAsync(GuestOffset start, GuestOffset end)
    {
        if (data is { IsRaw: true, IsEncrypted: false })
        {
            await data.ZeroAsync(new HostOffset(start.Value), end - start, ZeroFlags.None);
        }

        await locks.Metadata.AcquireAsync();
        try
        {
            var table = await map.EnsureTableAsync(start);
            var old = await map.GetValidExtendedAsync(table, start);
            if (old.Cluster.IsCompressed)
            {
                return false;
            }

            var bits = old.Subclusters.WithZero(_geometry.SubclustersOf(start, end - start));
            await map.SetExtendedAsync(table, start, old, old with { Subclusters = bits });
            return true;
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    /// <returns>Whether the cluster was allocated, and is not any more.</returns>
    private async ValueTask<bool> ClearOneAsync(HostOffset table, GuestOffset offset, Deallocation how)
    {
        var old = await map.GetAsync(table, offset);
        bool keeps = how == Deallocation.ZeroKeep && !old.IsCompressed && !old.Offset.IsNone && old.IsCopied && header.HasVersion3;
        L2Entry entry;
        if (keeps)
        {
            entry = new L2Entry(old.Raw | L2Entry.ZeroFlag);
        }
        else if (how == Deallocation.Remove || !header.HasVersion3
            || (map.KindOf(old) == ClusterKind.Unallocated && backing is null && how == Deallocation.Discard))
        {
            entry = L2Entry.Unallocated;
        }
        else
        {
            entry = L2Entry.Zero;
        }

        if (entry == old)
        {
            return false;
        }

        await map.SetAsync(table, offset, entry);
        if (!keeps)
        {
            map.Release(old);
        }

        return !keeps && map.KindOf(old) is ClusterKind.Normal or ClusterKind.ZeroAllocated;
    }

    private async ValueTask<bool> ClearExtendedAsync(HostOffset table, GuestOffset offset, Deallocation how)
    {
        var old = await map.GetExtendedAsync(table, offset);
        bool keeps = how == Deallocation.ZeroKeep && old.HasOwnCluster;
        bool isFree = old is { HasCluster: false, Cluster.IsCompressed: false };
        var entry = keeps ? old with { Subclusters = SubclusterMap.AllZero }
            : how == Deallocation.Remove ? ExtendedL2Entry.Unallocated
            : how == Deallocation.Discard && isFree && backing is null ? old
            : ExtendedL2Entry.Zero;
        if (entry == old)
        {
            return false;
        }

        await map.SetExtendedAsync(table, offset, old, entry);
        if (!keeps)
        {
            map.Release(old.Cluster);
        }

        return !keeps && old.HasCluster;
    }
}
