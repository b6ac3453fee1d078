using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Returns the space of freed clusters to the file system, late and in pieces. Under the image's metadata mutex.
/// </summary>
/// <remarks>The clusters are free; until their space is returned they may be used again as they are.</remarks>
/// <param name="storage">Where the image lies.</param>
/// <param name="geometry">The image's.</param>
/// <param name="reservation">Told which space is gone.</param>
/// <param name="freed">Which space can be returned, and when.</param>
/// <param name="timer">Armed while freed clusters take space.</param>
/// <param name="isOn">False where freed clusters keep their space for good (discard=ignore).</param>
internal sealed class HolePuncher(
    IStorage storage, ClusterGeometry geometry, MetadataReservation reservation, FreedSpace freed, PunchTimer timer, bool isOn)
{
    /// <summary>True when freed clusters still take space.</summary>
    public bool HoldsSpace => !freed.IsEmpty;

    /// <summary>Clusters were freed.</summary>
    public ValueTask AddAsync(HostClusters clusters)
    {
        if (clusters.Count <= 0 || !isOn)
        {
            return default;
        }

        if (!freed.TryAdd(clusters))
        {
            return DiscardAsync(clusters);
        }

        timer.Arm();
        return default;
    }

    /// <summary>Clusters are in use again.</summary>
    public void Remove(HostClusters clusters)
    {
        if (HoldsSpace)
        {
            freed.Remove(clusters);
        }
    }

    /// <summary>The storage ends before a cluster.</summary>
    public void RemoveFrom(HostCluster end) => freed.Remove(new(end, long.MaxValue - end.Index));

    /// <summary>
    /// Returns space that is due. A file system may tell its disk of a hole while everybody waits: the reset of a large zone must
    /// not stop the writes after it for seconds.
    /// </summary>
    /// <param name="bytes">Of so many bytes at most.</param>
    /// <returns>False when nothing was due.</returns>
    public async ValueTask<bool> PunchDueAsync(long bytes)
    {
        bool any = false;
        long left = Math.Max(1, bytes >> geometry.ClusterBits);
        while (left > 0 && freed.TryTakeDue(left, out var clusters))
        {
            any = true;
            left -= clusters.Count;
            await DiscardAsync(clusters);
        }

        return any;
    }

    /// <summary>Returns all of it.</summary>
    public async ValueTask PunchAllAsync()
    {
        while (freed.TryTakeAny(out var clusters))
        {
            await DiscardAsync(clusters);
        }
    }

    private async ValueTask DiscardAsync(HostClusters clusters)
    {
        var offset = geometry.OffsetOf(clusters.First);
        long length = geometry.BytesIn(clusters.Count);

        // a table that lies here next needs the space again
        reservation.Forget(offset, length);
        try
        {
            await storage.DiscardAsync(offset.Value, length);
        }
        catch (BlockException)
        {
            // the clusters are free all the same; only their space stays taken
        }
    }
}
