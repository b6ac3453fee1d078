using Paddock.Block;
using Paddock.Rbd;

namespace Paddock.Sim.Ceph;

/// <summary>A connection of a process to the cluster. Its name in the cluster, and so its place on the blocklist, is its own.</summary>
/// <param name="cluster">The cluster.</param>
/// <param name="process">The process.</param>
/// <param name="link">The network between them.</param>
/// <param name="random">Source of all random choices.</param>
internal sealed class ClusterClient(SimCluster cluster, SimProcess process, SimLink link, Random random)
{
    private int _epoch;

    /// <summary>Number of this client.</summary>
    public int Id { get; } = cluster.NextClient();

    /// <summary>The cluster.</summary>
    public SimCluster Cluster => cluster;

    /// <summary>The process.</summary>
    public SimProcess Process => process;

    /// <summary>The network between them.</summary>
    public SimLink Link => link;

    /// <summary>Which owner this is, once it has the lock; 0: it never had it.</summary>
    public int Generation { get; set; }

    /// <summary>Whether the lock was lost.</summary>
    public OwnershipLoss Loss { get; } = new("rbd", isInline: true);

    /// <summary>Sends a request to an OSD.</summary>
    /// <param name="osd">The OSD.</param>
    /// <param name="action">What the OSD does, in one step, if the client is not on the blocklist.</param>
    /// <exception cref="BlockException">The client is on the blocklist.</exception>
    public Task<T> CallAsync<T>(int osd, Func<T> action)
    {
        var source = new TaskCompletionSource<T>();
        int epoch = _epoch;
        link.Send(null, () =>
        {
            // what a killed process has sent may still arrive
            if (process.IsDead && random.Next(2) == 0)
            {
                return;
            }

            bool isAdmitted = cluster.Admits(osd, Id, epoch);
            var result = isAdmitted ? action() : default;
            link.Send(process, () =>
            {
                if (isAdmitted)
                {
                    source.SetResult(result!);
                }
                else
                {
                    // as requests of an image do
                    Loss.Set(RbdErrors.Blocklisted);
                    source.SetException(new BlockException(BlockError.NotOwner, RbdErrors.Blocklisted) { Errno = 108 });
                }
            });
        });
        return source.Task;
    }

    /// <summary>Asks the monitor for the latest blocklist.</summary>
    public Task<int> CatchUpAsync()
    {
        var source = new TaskCompletionSource<int>();
        link.Send(null, () =>
        {
            int epoch = cluster.Epoch;
            link.Send(process, () =>
            {
                _epoch = Math.Max(_epoch, epoch);
                source.SetResult(0);
            });
        });
        return source.Task;
    }

    /// <summary>Has the monitor put another client on the blocklist; later requests of this client make each OSD know it.</summary>
    /// <param name="other">Number of the other client.</param>
    /// <param name="isKnown">Whether this client waits for the list.</param>
    public Task BlockAsync(int other, bool isKnown)
    {
        var source = new TaskCompletionSource();
        link.Send(null, () =>
        {
            int epoch = cluster.Block(other);
            link.Send(process, () =>
            {
                _epoch = isKnown ? Math.Max(_epoch, epoch) : _epoch;
                source.SetResult();
            });
        });
        return source.Task;
    }
}
