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

        long rest = _geometry.ClusterSize - _geometry.InCluster(end);
        var mapping = await FindAsync(_geometry.AlignDown(end));
        bool stored = mapping.Kind is ClusterKind.Normal or ClusterKind.Compressed;
        bool shows = hideBacking && mapping.Kind == ClusterKind.Unallocated && backing is not null && backing.Length > end.Value;
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

    private async ValueTask<Mapping> FindAsync(GuestOffset start)
    {
        var held = _geometry.ClustersOf(start, 1);
        await locks.AcquireAsync(held, exclusive: false);
        try
        {
            return await map.FindAsync(start, 1);
        }
        finally
        {
            locks.Release(held, exclusive: false);
        }
    }
}
