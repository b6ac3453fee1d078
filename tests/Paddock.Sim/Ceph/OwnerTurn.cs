namespace Paddock.Sim.Ceph;

/// <summary>
/// The waiting side of ownership: completes when nobody has the lock. An owner that does not answer is put on the blocklist; its lock is
/// broken after the lease that it may still believe in.
/// </summary>
internal static class OwnerTurn
{
    private const long Poll = 250 * VirtualTime.Millisecond, Timeout = 1000 * VirtualTime.Millisecond;

    /// <summary>Waits for the lock to be free.</summary>
    /// <param name="client">The client that waits.</param>
    /// <param name="flaw">Rule that is broken on purpose.</param>
    public static async Task WaitAsync(ClusterClient client, HandoverFlaw flaw)
    {
        var cluster = client.Cluster;
        int silent = 0, asked = 0;
        while (await client.CallAsync(cluster.HeaderOsd, () => cluster.Owner) is var owner && owner != 0)
        {
            silent = owner == asked ? silent : 0;
            asked = owner;
            silent = await client.PingAsync(owner, Timeout) ? 0 : silent + 1;
            if (silent >= 2)
            {
                await FenceAsync(client, owner, flaw);
            }
            else if (silent == 0)
            {
                await client.Process.DelayAsync(Poll);
            }
        }
    }

    private static async Task FenceAsync(ClusterClient client, int owner, HandoverFlaw flaw)
    {
        var cluster = client.Cluster;
        if (flaw != HandoverFlaw.NoFence)
        {
            await client.BlockAsync(owner, isKnown: flaw != HandoverFlaw.OldEpoch);
        }

        if (flaw != HandoverFlaw.NoLease)
        {
            // from this request on, the owner cannot renew its lease
            await client.CallAsync(cluster.HeaderOsd, () => true);
            await client.Process.DelayAsync(OwnerLease.Length);
        }

        await client.CallAsync(cluster.HeaderOsd, () =>
        {
            cluster.Unlock(owner);
            return true;
        });
    }
}

/// <summary>A rule of hand-overs that is broken on purpose, to show that the simulator notices.</summary>
internal enum HandoverFlaw
{
    /// <summary>None.</summary>
    None,

    /// <summary>The lock is broken without the blocklist.</summary>
    NoFence,

    /// <summary>The new owner does not wait until it knows the blocklist, so that OSDs do not learn it from its requests.</summary>
    OldEpoch,

    /// <summary>The lock is broken while the owner may believe in its lease.</summary>
    NoLease,

    /// <summary>The owner answers requests without a look at its lease.</summary>
    NoCheck,

    /// <summary>A planned hand-over does not flush.</summary>
    NoFlush,
}
