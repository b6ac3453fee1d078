using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Where the searches for free clusters begin: below the first cursor there is no gap at all, below the second none of a useful length.
/// Between them and a third there are a few short gaps that were passed over, as QEMU does, to keep the data of a request in one piece.
/// </summary>
internal sealed class GapCursors
{
    /// <summary>Free clusters that are left behind at a time; beyond that, all gaps are filled.</summary>
    public const long MaxPassed = 32;

    private HostCluster _any;
    private HostCluster _useful;
    private HostCluster _ahead;
    private HostCluster _usefulAhead;
    private HostCluster _fillTo;
    private long _passed;

    /// <summary>Where a search for a gap of at least so many clusters begins.</summary>
    public HostCluster StartFor(long least, long usefulRun)
    {
        var any = HostCluster.Max(_any, _ahead);
        return least >= usefulRun ? HostCluster.Max(any, HostCluster.Max(_useful, _usefulAhead)) : any;
    }

    /// <summary>Clusters of gaps that a search from a cluster on may pass over.</summary>
    public long MayPass(HostCluster start) => start < _fillTo ? 0 : MaxPassed - _passed;

    /// <summary>A gap of at least <paramref name="least"/> clusters, the first from the cursor on, was found and taken.</summary>
    public void Allocated(HostClusters gap, long least, long usefulRun)
    {
        if (_ahead.Index > 0)
        {
            _ahead = least == 1 || gap.First == _ahead ? gap.End : _ahead;
            _usefulAhead = least == usefulRun ? gap.End : _usefulAhead;
            return;
        }

        if (least == 1 || gap.First == _any)
        {
            _any = gap.End;
        }

        if (least == usefulRun)
        {
            _useful = gap.End;
        }
    }

    /// <summary>A gap was taken, and shorter ones before it were passed over.</summary>
    /// <param name="gap">The gap.</param>
    /// <param name="passed">Clusters of those before it.</param>
    public void AllocatedBehind(HostClusters gap, long passed)
    {
        _ahead = gap.End;
        _passed += passed;
    }

    /// <summary>Too much would be passed over: searches begin at the first gap again, and pass over none up to here.</summary>
    public void FillAll()
    {
        _fillTo = HostCluster.Max(_fillTo, _ahead);
        _ahead = _usefulAhead = default;
        _passed = 0;
    }

    /// <summary>A cluster became free.</summary>
    public void Freed(HostCluster cluster)
    {
        _any = HostCluster.Min(_any, cluster);
        _useful = HostCluster.Min(_useful, cluster);
        _ahead = HostCluster.Min(_ahead, cluster);
        _usefulAhead = HostCluster.Min(_usefulAhead, cluster);
    }
}
