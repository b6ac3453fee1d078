using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check;

/// <summary>Runs of clusters that a repair has freed in the refcounts.</summary>
internal sealed class FreedClusters(CheckContext context)
{
    private readonly List<HostClusters> _runs = [];

    /// <summary>Adds a cluster; clusters are added in ascending order, so that neighbours become one run.</summary>
    public void Add(HostCluster cluster)
    {
        if (_runs.Count > 0 && _runs[^1] is var last && last.End == cluster)
        {
            _runs[^1] = last with { Count = last.Count + 1 };
        }
        else
        {
            _runs.Add(new(cluster, 1));
        }
    }

    /// <summary>Discards the runs. The refcounts that free them must be durable.</summary>
    public async ValueTask DiscardAsync(CancellationToken cancellationToken)
    {
        foreach (var (first, count) in _runs)
        {
            long offset = context.Image.OffsetOf(first).Value;
            long bytes = Math.Min(count << context.Image.ClusterBits, context.Storage.Length - offset);
            if (bytes > 0)
            {
                await context.Storage.DiscardAsync(offset, bytes, cancellationToken);
            }
        }
    }
}
