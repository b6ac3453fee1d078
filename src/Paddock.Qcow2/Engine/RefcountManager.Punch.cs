namespace Paddock.Qcow2.Engine;

// the space of freed clusters, which goes back to the file system late and in pieces
internal sealed partial class RefcountManager
{
    private readonly FreedSpace _freed;

    /// <summary>True when freed clusters still take space.</summary>
    public bool HoldsFreedSpace => !_freed.IsEmpty;

    /// <summary>
    /// Gives back the space of freed clusters that is due. A file system may tell its disk of a hole while everybody waits: the reset of a large
    /// zone must not stop the writes behind it for seconds.
    /// </summary>
    /// <param name="bytes">Of so many bytes at most.</param>
    /// <returns>False when nothing was due.</returns>
    public async ValueTask<bool> PunchDueAsync(long bytes)
    {
        bool any = false;
        for (long clusters = Math.Max(1, bytes >> _geometry.ClusterBits); clusters > 0 && _freed.TryTakeDue(clusters, out long first, out long end);)
        {
            any = true;
            clusters -= end - first;
            await DiscardRunAsync(first, end);
        }

        return any;
    }

    /// <summary>Gives back the space of all freed clusters.</summary>
    public async ValueTask PunchAllAsync()
    {
        while (_freed.TryTakeAny(out long first, out long end))
        {
            await DiscardRunAsync(first, end);
        }
    }

    // they are free; until their space is given back they may be used again as they are
    private ValueTask PunchLaterAsync(long first, long end)
        => first >= end || Discard is null || _freed.TryAdd(first, end) ? default : DiscardRunAsync(first, end);
}
