using Paddock.Block;

namespace Paddock.Sim.Ceph;

/// <summary>A connection of a process to the cluster. Its name in the cluster, and so its place on the blocklist, is its own.</summary>
/// <param name="cluster">The cluster.</param>
/// <param name="process">The process.</param>
/// <param name="link">The network between them.</param>
/// <param name="random">Source of all random choices.</param>
internal sealed class ClusterClient(SimCluster cluster, SimProcess process, SimLink link, Random random)
{
    private readonly TaskCompletionSource _lost = new();
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

    /// <summary>Completes when the client learns that it is not the owner any more.</summary>
    public Task Lost => _lost.Task;

    /// <summary>Why the lock was lost; null: it was not.</summary>
    public string? LossReason { get; private set; }

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
                    Lose("blocklisted");
                    source.SetException(Failure());
                }
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

    /// <summary>Calls another client through its watch of the header object.</summary>
    /// <param name="other">Number of the other client.</param>
    /// <param name="timeout">Microseconds after which the OSD stops waiting for its answer.</param>
    /// <returns>Whether it has answered.</returns>
    /// <exception cref="BlockException">This client is on the blocklist.</exception>
    public async Task<bool> PingAsync(int other, long timeout)
    {
        var answer = await CallAsync(cluster.HeaderOsd, () =>
        {
            var source = new TaskCompletionSource<bool>();
            if (cluster.WatcherOf(other) is { } watcher)
            {
                watcher.Link.Send(watcher.Process, () => watcher.Link.Send(null, () => source.TrySetResult(true)));
            }

            process.Time.After(timeout, null, () => source.TrySetResult(false));
            return source.Task;
        });
        bool hasAnswered = await answer;
        return await CallAsync(cluster.HeaderOsd, () => hasAnswered);
    }

    /// <summary>The client is not the owner any more.</summary>
    public void Lose(string reason)
    {
        if (LossReason is null)
        {
            LossReason = reason;
            _lost.SetResult();
        }
    }

    /// <summary>The failure of requests without ownership.</summary>
    public BlockException Failure() => new(BlockError.Io, $"not the owner: {LossReason}") { Errno = 108 };
}
