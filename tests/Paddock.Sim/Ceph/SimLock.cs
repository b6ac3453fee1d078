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
    public async Task<(int Result, long Client)> ReadAsync()
    {
        try
        {
            return (0, await ReadHolderAsync());
        }
        catch (BlockException)
        {
            return (Blocklisted, 0);
        }
    }

    /// <inheritdoc/>
    public Task<long> ReadHolderAsync() => client.CallAsync(Cluster.HeaderOsd, () => (long)Cluster.Owner);

    /// <inheritdoc/>
    public async Task<RbdOwner?> FindOwnerAsync() => await ReadHolderAsync() is var owner and not 0 ? OwnerOf(owner) : null;

    /// <summary>A client as the holder of the lock.</summary>
    public static RbdOwner OwnerOf(long client) => new(client, $"10.0.0.{client}:0/{client}");

    /// <inheritdoc/>
    public Task<bool> IsAliveAsync(long other) => client.CallAsync(Cluster.HeaderOsd, () => Cluster.IsSeen((int)other));

    /// <inheritdoc/>
    public async Task<bool> BreakAsync(RbdOwner owner)
    {
        if (flaw != HandoverFlaw.NoFence)
        {
            await client.BlockAsync((int)owner.Id, isKnown: flaw != HandoverFlaw.OldEpoch);
        }

        return await client.CallAsync(Cluster.HeaderOsd, () => Cluster.Unlock((int)owner.Id));
    }

    /// <summary>Acquires the lock; that of a client that the cluster has not seen for long is broken.</summary>
    /// <returns>The number of this owner, 0 if another client has the lock; and whether a lock was broken.</returns>
    public async Task<(int Generation, bool IsTakenOver)> AcquireAsync()
    {
        var before = await FindOwnerAsync();
        if (before is not null && (await IsAliveAsync(before.Id) || !await BreakAsync(before)))
        {
            return default;
        }

        return (await client.CallAsync(Cluster.HeaderOsd, () => Cluster.TryLock(client.Id)), before is not null);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => default;
}
