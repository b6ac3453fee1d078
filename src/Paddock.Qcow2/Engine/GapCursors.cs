namespace Paddock.Qcow2.Engine;

/// <summary>
/// Where the searches for free clusters begin: below the first there is no gap at all, below the second none of a useful length.
/// </summary>
internal sealed class GapCursors
{
    private long _any;
    private long _useful;

    /// <summary>Where a search for a gap of at least so many clusters begins.</summary>
    public long StartFor(long least, long usefulRun) => least >= usefulRun ? Math.Max(_any, _useful) : _any;

    /// <summary>The first gap of at least <paramref name="least"/> clusters was found and taken.</summary>
    public void Allocated(long first, long count, long least, long usefulRun)
    {
        if (least == 1 || first == _any)
        {
            _any = first + count;
        }

        if (least == usefulRun)
        {
            _useful = first + count;
        }
    }

    /// <summary>A cluster became free.</summary>
    public void Freed(long cluster)
    {
        _any = Math.Min(_any, cluster);
        _useful = Math.Min(_useful, cluster);
    }
}
