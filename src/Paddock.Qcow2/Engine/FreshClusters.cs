using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Clusters of data that were allocated since L2 tables were last written. No table on the storage refers to them, so one that is
/// freed again may be used at once, where any other must wait until the table without it is durable.
/// </summary>
internal sealed class FreshClusters
{
    private readonly PunchList _runs = new();

    /// <summary>Adds clusters. Where they lie so scattered that no run is left to hold them, they are treated like all others.</summary>
    public void Add(HostClusters clusters) => _runs.TryAdd(clusters.First.Index, clusters.End.Index);

    /// <summary>Whether a cluster is in.</summary>
    public bool Contains(HostCluster cluster) => _runs.Count > 0 && _runs.Contains(cluster.Index);

    /// <summary>Takes a cluster out; false when it is not in.</summary>
    public bool TryTake(HostCluster cluster)
    {
        if (_runs.Count == 0 || !_runs.Contains(cluster.Index))
        {
            return false;
        }

        _runs.Remove(cluster.Index, cluster.Index + 1);
        return true;
    }

    /// <summary>Takes out whichever clusters of a range are in.</summary>
    public void Remove(HostClusters clusters)
    {
        if (_runs.Count > 0)
        {
            _runs.Remove(clusters.First.Index, clusters.End.Index);
        }
    }

    /// <summary>Takes all out.</summary>
    public void Clear() => _runs.Clear();
}
