using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Changes the L2 entries of whole clusters so that they read as zeroes or are free.</summary>
internal sealed class ClusterClearing(ImageHeader header, EngineLocks locks, ClusterMap map, IBlockDevice? backing)
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
        await locks.Metadata.AcquireAsync();
        try
        {
            bool onlyClears = how == Deallocation.Remove || (how == Deallocation.Discard && backing is null);
            var table = await map.EnsureTableAsync(start, reserve: !onlyClears);
            for (; start < end; start += _geometry.ClusterSize)
            {
                if (_geometry.HasSubclusters)
                {
                    await ClearExtendedAsync(table, start, how);
                }
                else
                {
                    await ClearOneAsync(table, start, how);
                }
            }
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

    private async ValueTask ClearOneAsync(HostOffset table, GuestOffset offset, Deallocation how)
    {
        var old = await map.GetAsync(table, offset);
        bool keeps = how == Deallocation.ZeroKeep && !old.IsCompressed && !old.Offset.IsNone && old.IsCopied && header.HasVersion3;
        L2Entry entry;
        if (keeps)
        {
            entry = new L2Entry(old.Raw | L2Entry.ZeroFlag);
        }
        else if (how == Deallocation.Remove || !header.HasVersion3
            || (old.Kind == ClusterKind.Unallocated && backing is null && how == Deallocation.Discard))
        {
            entry = L2Entry.Unallocated;
        }
        else
        {
            entry = L2Entry.Zero;
        }

        if (entry != old)
        {
            await map.SetAsync(table, offset, entry);
            if (!keeps)
            {
                map.Release(old);
            }
        }
    }

    private async ValueTask ClearExtendedAsync(HostOffset table, GuestOffset offset, Deallocation how)
    {
        var old = await map.GetExtendedAsync(table, offset);
        bool keeps = how == Deallocation.ZeroKeep && old.HasOwnCluster;
        bool isFree = old is { HasCluster: false, Cluster.IsCompressed: false };
        var entry = keeps ? old with { Subclusters = SubclusterMap.AllZero }
            : how == Deallocation.Remove ? ExtendedL2Entry.Unallocated
            : how == Deallocation.Discard && isFree && backing is null ? old
            : ExtendedL2Entry.Zero;
        if (entry != old)
        {
            await map.SetExtendedAsync(table, offset, old, entry);
            if (!keeps)
            {
                map.Release(old.Cluster);
            }
        }
    }
}
