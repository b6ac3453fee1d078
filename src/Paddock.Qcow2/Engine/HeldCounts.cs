using System.Runtime.InteropServices;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// The counts of clusters to which several entries of the active L2 tables refer, after a copy that moved no data. Under the image's
/// metadata mutex.
/// </summary>
/// <remarks>
/// An entry whose cluster has a count of one must have the COPIED flag, so when one of two references goes, the flag of the other would
/// have to be set, and nothing knows where that is. Such a count is kept one too high, which a crash makes a leak, until
/// <see cref="SharedClusters"/> looks at all entries.
/// </remarks>
internal sealed class HeldCounts(Refcounts counts, BlocksHeader blocks)
{
    private readonly Dictionary<HostCluster, ulong> _held = [];

    /// <summary>Whether clusters of the image may be shared.</summary>
    public bool IsActive => blocks.Extension.SharesClusters;

    /// <summary>Clusters whose counts are too high.</summary>
    public int Count => _held.Count;

    /// <summary>Counts another reference to a cluster.</summary>
    /// <returns>False where the count is at its limit, or is that of a free cluster.</returns>
    public async ValueTask<bool> TryAddAsync(HostCluster cluster)
    {
        if (_held.Remove(cluster, out ulong held))
        {
            // a reference that went and is still counted
            Hold(cluster, held - 1);
            return true;
        }

        var one = new HostClusters(cluster, 1);
        if (await counts.GetAsync(cluster) == 0 || !await counts.CanAddAsync(one, 1))
        {
            return false;
        }

        await counts.AddAsync(one, 1);
        return true;
    }

    /// <summary>A reference that was counted is not made after all.</summary>
    public void Abandon(HostCluster cluster) => CollectionsMarshal.GetValueRefOrAddDefault(_held, cluster, out _)++;

    /// <summary>Decides about a cluster that one entry no longer refers to.</summary>
    /// <returns>How often its count is to be lowered: not at all where one reference stays.</returns>
    public async ValueTask<ulong> ReleaseAsync(HostCluster cluster)
    {
        ulong count = await counts.GetAsync(cluster);
        _held.Remove(cluster, out ulong held);
        if (count <= held + 1)
        {
            return held + 1;
        }

        bool staysOne = count == held + 2;
        Hold(cluster, staysOne ? held + 1 : held);
        return staysOne ? 0UL : 1UL;
    }

    /// <summary>Takes out all of them, to be lowered by the caller.</summary>
    public KeyValuePair<HostCluster, ulong>[] TakeAll()
    {
        var all = _held.ToArray();
        _held.Clear();
        return all;
    }

    private void Hold(HostCluster cluster, ulong held)
    {
        if (held > 0)
        {
            _held[cluster] = held;
        }
    }
}
