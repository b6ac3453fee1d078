using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Clusters for guest data that has none: allocated before the data is written, mapped after it. Takes the metadata mutex; the
/// caller holds the guest clusters exclusively.
/// </summary>
/// <remarks>
/// In an external data file a cluster has its place, and is not counted. Where data are encrypted, no cluster is known to read as zeroes.
/// </remarks>
internal sealed class NewClusters(
    ClusterGeometry geometry, EngineLocks locks, ClusterMap map, Allocator allocator, bool isExternal = false, bool isEncrypted = false)
{
    /// <summary>Allocates up to so many adjacent clusters for the guest clusters from <paramref name="start"/> on.</summary>
    public async ValueTask<ClusterRun> AllocateAsync(GuestOffset start, long count)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            await map.EnsureTableAsync(start);
            if (isExternal)
            {
                return new ClusterRun(new HostCluster(geometry.ClusterOf(start).Index), count, KnownZero: false);
            }

            var run = await allocator.AllocateUpToAsync(count);
            return isEncrypted ? run with { KnownZero = false } : run;
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    /// <summary>Makes the table that maps an offset present, this image's own, and its space taken.</summary>
    public async ValueTask EnsureTableAsync(GuestOffset offset)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            await map.EnsureTableAsync(offset);
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    /// <summary>Frees clusters that were not mapped.</summary>
    public async ValueTask FreeAsync(ClusterRun run)
    {
        if (isExternal)
        {
            return;
        }

        await locks.Metadata.AcquireAsync();
        try
        {
            await allocator.FreeNowAsync(new(run.First, run.Count));
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    /// <summary>
    /// Maps the guest clusters from <paramref name="start"/> on to a run, and frees, when that is safe, what they had before.
    /// </summary>
    /// <param name="start">First guest byte.</param>
    /// <param name="run">The clusters.</param>
    /// <param name="flags">Bits that each entry has beside its offset.</param>
    public async ValueTask MapAsync(GuestOffset start, ClusterRun run, ulong flags = 0)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            var table = await map.EnsureTableAsync(start);
            var host = geometry.OffsetOf(run.First);
            for (long i = 0; i < run.Count; i++)
            {
                long at = geometry.BytesIn(i);
                var old = await map.SetAsync(table, start + at, new L2Entry(L2Entry.Normal(host + at).Raw | flags));
                if (old.IsCompressed || old.Offset != host + at)
                {
                    map.Release(old);
                }
            }
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    /// <summary>
    /// Marks the subclusters of a guest range, which lies in one slice of an L2 table, as stored. Clusters that were elsewhere before
    /// are freed when that is safe; their other subclusters keep their bits.
    /// </summary>
    /// <param name="offset">Where the range starts.</param>
    /// <param name="length">Its length; subclusters that it touches count.</param>
    /// <param name="host">Where its data lie, in adjacent clusters.</param>
    public ValueTask MapSubclustersAsync(GuestOffset offset, long length, HostOffset host)
        => SetSubclustersAsync(offset, length, host, stored: true);

    /// <summary>Gives guest clusters a run, in which nothing is stored yet: they read as before.</summary>
    /// <param name="start">First guest byte.</param>
    /// <param name="run">The clusters; those before must have stored nothing.</param>
    public ValueTask ReserveSubclustersAsync(GuestOffset start, ClusterRun run)
        => SetSubclustersAsync(start, geometry.BytesIn(run.Count), geometry.OffsetOf(run.First), stored: false);

    private async ValueTask SetSubclustersAsync(GuestOffset offset, long length, HostOffset host, bool stored)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            var table = await map.EnsureTableAsync(offset);
            var cluster = host + -geometry.InCluster(offset);
            for (var end = offset + length; offset < end;)
            {
                var next = GuestOffset.Min(end, geometry.AlignDown(offset) + geometry.ClusterSize);
                var old = await map.GetValidExtendedAsync(table, offset);
                var bits = old.Cluster.IsCompressed ? default : old.Subclusters;
                bits = stored ? bits.WithAllocated(geometry.SubclustersOf(offset, next - offset)) : bits;
                await map.SetExtendedAsync(table, offset, old, new(L2Entry.Normal(cluster), bits));
                if (old.Cluster.IsCompressed || old.Cluster.Offset != cluster)
                {
                    map.Release(old.Cluster);
                }

                offset = next;
                cluster += geometry.ClusterSize;
            }
        }
        finally
        {
            locks.Metadata.Release();
        }
    }
}
