using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>What lies after the disk's end in its last cluster.</summary>
internal sealed class DiskTail(ImageHeader header, EngineLocks locks, ClusterMap map, ZeroWriter zeroes, IBlockDevice? backing)
{
    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Makes the rest of a partly used last cluster read as zeroes, where it does not anyway.</summary>
    /// <param name="end">The disk's end.</param>
    /// <param name="hideBacking">Whether data of the backing image after the end matter: the disk is about to grow.</param>
    /// <param name="allocate">Whether the cluster is to be stored in any case.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    public async ValueTask ClearAsync(GuestOffset end, bool hideBacking, bool allocate, CancellationToken cancellationToken)
    {
        if (_geometry.InCluster(end) == 0)
        {
            return;
        }

        var partEnd = _geometry.SubclusterUp(end);
        await ClearSubclustersAsync(partEnd, _geometry.AlignUp(end), end, hideBacking, cancellationToken);
        long rest = partEnd - end;
        if (rest == 0)
        {
            return;
        }

        var mapping = await FindAsync(_geometry.SubclusterDown(end), 1);
        bool stored = mapping.Kind is ClusterKind.Normal or ClusterKind.Compressed;
        bool shows = hideBacking && Shows(mapping, end);
        if (stored || allocate || (shows && !header.HasVersion3))
        {
            // with the copy of what is before it, where the cluster is new
            await zeroes.WriteBytesAsync(end, rest, ZeroFlags.None, cancellationToken);
        }
        else if (shows)
        {
            await zeroes.ZeroPartAsync(end, rest, ZeroFlags.MayUnmap, cancellationToken);
        }
    }

    /// <summary>The same for the whole subclusters of the last cluster, if it has some after the end.</summary>
    private async ValueTask ClearSubclustersAsync(
        GuestOffset start, GuestOffset clusterEnd, GuestOffset end, bool hideBacking, CancellationToken cancellationToken)
    {
        for (var at = start; at < clusterEnd;)
        {
            var mapping = await FindAsync(at, clusterEnd - at);
            if (mapping.Kind is ClusterKind.Normal or ClusterKind.Compressed || (hideBacking && Shows(mapping, end)))
            {
                await zeroes.ZeroSubclustersAsync(start, clusterEnd, ZeroFlags.None, cancellationToken);
                return;
            }

            at += mapping.Length;
        }
    }

    private bool Shows(Mapping mapping, GuestOffset end)
        => mapping.Kind == ClusterKind.Unallocated && backing is not null && backing.Length > end.Value;

    private async ValueTask<Mapping> FindAsync(GuestOffset start, long length)
    {
        var held = _geometry.ClustersOf(start, 1);
        await locks.AcquireAsync(held, exclusive: false);
        try
        {
            return await map.FindAsync(start, length);
        }
        finally
        {
            locks.Release(held, exclusive: false);
        }
    }
}
