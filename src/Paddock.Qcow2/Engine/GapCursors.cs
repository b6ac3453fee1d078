using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Where the searches for free clusters begin: below the first there is no gap at all, below the second none of a useful length.
/// </summary>
internal sealed class GapCursors
{
    private HostCluster _any;
    private HostCluster _useful;

    /// <summary>Where a search for a gap of at least so many clusters begins.</summary>
    public HostCluster StartFor(long least, long usefulRun) => least >= usefulRun ? HostCluster.Max(_any, _useful) : _any;

    /// <summary>The first gap of at least <paramref name="least"/> clusters was found and taken.</summary>
    public void Allocated(HostClusters gap, long least, long usefulRun)
    {
        if (least == 1 || gap.First == _any)
        {
            _any = gap.End;
        }

        if (least == usefulRun)
        {
            _useful = gap.End;
        }
    }

    /// <summary>A cluster became free.</summary>
    public void Freed(HostCluster cluster)
    {
        _any = HostCluster.Min(_any, cluster);
        _useful = HostCluster.Min(_useful, cluster);
    }
}
