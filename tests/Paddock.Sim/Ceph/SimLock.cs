using Paddock.Block;
using Paddock.Rbd;

namespace Paddock.Sim.Ceph;

/// <summary>The exclusive lock in the header of the image, as a client sees it.</summary>
/// <param name="client">The client.</param>
/// <param name="flaw">Rule that is broken on purpose.</param>
internal sealed class SimLock(ClusterClient client, HandoverFlaw flaw) : IHeaderLock, IContestedLock
{
    private const int Blocklisted = -108;

    private SimCluster Cluster => client.Cluster;

    /// <inheritdoc/>
    public async Task<(int Result, LockHolder Holder)> ReadAsync()
    {
        try
        {
            return (0, await ReadHolderAsync());
        }
        catch (BlockException)
        {
            return (Blocklisted, default);
        }
    }

    /// <inheritdoc/>
    public Task<LockHolder> ReadHolderAsync()
        => client.CallAsync(SimCluster.HeaderOsd, () => new LockHolder(Cluster.Owner, (ulong)Cluster.Owner));

    /// <inheritdoc/>
    public async Task<RbdOwner?> FindOwnerAsync() => await ReadHolderAsync() is { Client: not 0 } holder ? OwnerOf(holder.Client) : null;

    /// <summary>A client as the holder of the lock.</summary>
    public static RbdOwner OwnerOf(long client) => new(client, $"10.0.0.{client}:0/{client}", (ulong)client);

    /// <inheritdoc/>
    public Task<bool> IsAliveAsync(RbdOwner owner) => client.CallAsync(SimCluster.HeaderOsd, () => Cluster.IsSeen((int)owner.Id));

    /// <inheritdoc/>
    public async Task<bool> BreakAsync(RbdOwner owner)
    {
        if (flaw != HandoverFlaw.NoFence)
        {
            await client.BlockAsync((int)owner.Id, isKnown: flaw != HandoverFlaw.OldEpoch);
        }

        return await client.CallAsync(SimCluster.HeaderOsd, () => Cluster.Unlock((int)owner.Id));
    }

    /// <summary>Acquires the lock; that of a client that the cluster has not seen for long is broken.</summary>
    /// <returns>The number of this owner, 0 if another client has the lock; and whether a lock was broken.</returns>
    public async Task<(int Generation, bool IsTakenOver)> AcquireAsync()
    {
        var before = await FindOwnerAsync();
        if (before is not null && (await IsAliveAsync(before) || !await BreakAsync(before)))
        {
            return default;
        }

        return (await client.CallAsync(SimCluster.HeaderOsd, () => Cluster.TryLock(client.Id)), before is not null);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => default;
}
