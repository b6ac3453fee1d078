using System.Buffers;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Makes whole guest clusters refer to the clusters of others. Counts go up and the COPIED flags of the source's entries go, and both
/// are written; entries of the target follow, behind a barrier: a crash leaves counts that are too high at most, and a mark.
/// </summary>
internal sealed class ClusterSharing(
    ClusterGeometry geometry, EngineLocks locks, ClusterMap map, MetadataGuard guard, SharedClusters shared, HeldCounts held,
    FlushOrder order, IBlockDevice? backing)
{
    /// <summary>Clusters of one step, which holds the metadata mutex.</summary>
    public const int MaxClusters = 1 << 14;

    /// <summary>Shares clusters as far as they can be shared. The two ranges do not overlap.</summary>
    /// <param name="source">Start of the first cluster to be shared.</param>
    /// <param name="target">Start of the first that is to refer to it.</param>
    /// <param name="count">Clusters, at most <see cref="MaxClusters"/>.</param>
    /// <returns>Clusters, from 0 on, whose data are to be copied.</returns>
    public async ValueTask<IReadOnlyList<int>> RunAsync(GuestOffset source, GuestOffset target, int count)
    {
        long length = geometry.BytesIn(count);
        GuestClusters from = geometry.ClustersOf(source, length), to = geometry.ClustersOf(target, length);
        var plan = ArrayPool<Step>.Shared.Rent(count);
        await locks.AcquireBothAsync(from, to);
        await locks.Metadata.AcquireAsync();
        try
        {
            return await RunAsync(source, target, plan.AsMemory(0, count));
        }
        finally
        {
            locks.Metadata.Release();
            locks.Release(from, exclusive: true);
            locks.Release(to, exclusive: true);
            ArrayPool<Step>.Shared.Return(plan);
        }
    }

    private async ValueTask<IReadOnlyList<int>> RunAsync(GuestOffset source, GuestOffset target, Memory<Step> plan)
    {
        plan.Span.Clear();
        try
        {
            bool isShared = false;
            HostOffset table = default;
            for (int i = 0; i < plan.Length; i++)
            {
                var at = source + geometry.BytesIn(i);
                if (IsFirstOfSlice(i, at))
                {
                    table = map.HasTable(at) ? await map.EnsureTableAsync(at) : default;
                }

                isShared |= await CountAsync(table, at, i, plan, isShared);
            }

            if (isShared)
            {
                await order.WriteTablesAsync();
                order.RequireBarrier();
            }

            return await ReferAsync(target, plan);
        }
        catch
        {
            foreach (var step in plan.Span)
            {
                if (step.What == Action.Share)
                {
                    shared.Abandon(geometry.ClusterOf(step.Entry.Cluster.Offset));
                }
            }

            throw;
        }
    }

    /// <summary>Counts a reference to the cluster of an entry, and clears the entry's COPIED flag.</summary>
    /// <returns>Whether the cluster is to be shared.</returns>
    private async ValueTask<bool> CountAsync(HostOffset table, GuestOffset at, int index, Memory<Step> plan, bool isStarted)
    {
        var entry = table.IsNone ? default : await GetAsync(table, at);
        var action = Judge(entry, at, table);
        if (action == Action.Share && !isStarted)
        {
            await shared.StartAsync();
        }

        if (action == Action.Share && !await held.TryAddAsync(geometry.ClusterOf(entry.Cluster.Offset)))
        {
            action = Action.Copy;
        }

        var own = entry;
        entry = entry with { Cluster = new L2Entry(entry.Cluster.Raw & ~L2Entry.CopiedFlag) };
        plan.Span[index] = new Step(action, entry);
        if (action != Action.Share)
        {
            return false;
        }

        if (own != entry)
        {
            await SetAsync(table, at, own, entry);
        }

        return true;
    }

    /// <summary>Makes the target's entries refer to what was counted.</summary>
    private async ValueTask<IReadOnlyList<int>> ReferAsync(GuestOffset target, Memory<Step> plan)
    {
        var left = new List<int>();
        HostOffset table = default;
        for (int i = 0; i < plan.Length; i++)
        {
            var (action, entry) = plan.Span[i];
            var at = target + geometry.BytesIn(i);
            if (IsFirstOfSlice(i, at))
            {
                table = await map.EnsureTableAsync(at);
            }

            if (action == Action.Copy)
            {
                left.Add(i);
                continue;
            }

            var old = await GetAsync(table, at);
            entry = action == Action.Share ? entry
                : old == default && backing is null ? old
                : geometry.HasSubclusters ? ExtendedL2Entry.Zero : new(L2Entry.Zero, default);
            if (action == Action.Share || entry != old)
            {
                await SetAsync(table, at, old, entry);
                plan.Span[i] = default;
                map.Release(old.Cluster);
            }
        }

        return left;
    }

    private bool IsFirstOfSlice(int index, GuestOffset at) => index == 0 || map.SliceEnd(at + -1) == at;

    private Action Judge(ExtendedL2Entry entry, GuestOffset at, HostOffset table)
    {
        var cluster = entry.Cluster;
        if (cluster.IsCompressed)
        {
            return Action.Copy;
        }

        bool isZero, isWhole;
        if (geometry.HasSubclusters)
        {
            uint decided = entry.Subclusters.Allocated | entry.Subclusters.Zero;
            isWhole = backing is null || decided == uint.MaxValue;
            isZero = entry.Subclusters.Allocated == 0;
        }
        else
        {
            isWhole = backing is null || cluster.Kind != ClusterKind.Unallocated;
            isZero = cluster.Kind != ClusterKind.Normal;
        }

        bool isSound = !geometry.HasSubclusters ? EntryProblem.Find(geometry, cluster, at, table, writes: false) is null
            : EntryProblem.Find(geometry, entry, at, table, writes: false) is null;
        return !isWhole || !isSound ? Action.Copy
            : isZero ? Action.Zero
            : guard.Map.Find(cluster.Offset, geometry.ClusterSize) != MetadataKind.None ? Action.Copy
            : Action.Share;
    }

    // without extended entries: nothing but the cluster
    private async ValueTask<ExtendedL2Entry> GetAsync(HostOffset table, GuestOffset at)
        => geometry.HasSubclusters ? await map.GetExtendedAsync(table, at) : new(await map.GetAsync(table, at), default);

    private async ValueTask SetAsync(HostOffset table, GuestOffset at, ExtendedL2Entry old, ExtendedL2Entry entry)
    {
        if (geometry.HasSubclusters)
        {
            await map.SetExtendedAsync(table, at, old, entry);
        }
        else
        {
            await map.SetAsync(table, at, entry.Cluster);
        }
    }

    private enum Action
    {
        None,
        Zero,
        Copy,
        Share,
    }

    private readonly record struct Step(Action What, ExtendedL2Entry Entry);
}
