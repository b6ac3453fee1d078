namespace Paddock.Qcow2.Engine;

// the space of freed clusters, which goes back to the file system in pieces
internal sealed partial class RefcountManager
{
    /// <summary>
    /// Bytes whose space a flush gives back. A file system may tell its disk of a hole while everybody waits; the reset of a large zone must not
    /// stop the writes behind it for seconds.
    /// </summary>
    private const long PunchBytesAFlush = 64 << 20;

    private readonly PunchList _punches = new();

    /// <summary>Gives back the space of some freed clusters.</summary>
    public ValueTask PunchSomeAsync() => _punches.Count == 0 ? default : PunchAsync(PunchBytesAFlush >> _geometry.ClusterBits);

    /// <summary>Gives back the space of all freed clusters.</summary>
    public ValueTask PunchAllAsync() => _punches.Count == 0 ? default : PunchAsync(long.MaxValue);

    private async ValueTask PunchAsync(long clusters)
    {
        while (clusters > 0 && _punches.TryTakeLast(clusters, out long first, out long end))
        {
            clusters -= end - first;
            await DiscardRunAsync(first, end);
        }
    }

    // they are free; until their space is given back they may be used again as they are
    private ValueTask PunchLaterAsync(long first, long end)
        => first >= end || Discard is null || _punches.TryAdd(first, end) ? default : DiscardRunAsync(first, end);
}
