using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Further tables in free clusters, which header extensions name: what zones have beside their pointers. Under the metadata mutex.
/// </summary>
internal sealed class ImageTables(IStorage storage, ClusterGeometry geometry, MetadataGuard guard, Allocator allocator)
{
    /// <summary>Puts a table into free clusters. Nothing refers to it until the caller, after a flush, makes something do so.</summary>
    public async ValueTask<HostOffset> PlaceAsync(ReadOnlyMemory<byte> table)
    {
        long clusters = geometry.ClustersFor(table.Length);
        var offset = geometry.OffsetOf((await allocator.AllocateAsync(clusters)).First);
        await guard.CheckAsync(offset, geometry.BytesIn(clusters));
        await storage.WriteAsync(offset.Value, table);
        Register(offset, table.Length);
        return offset;
    }

    /// <summary>Takes free clusters, and their space in the file, for a table that <see cref="PlaceAtAsync"/> stores later.</summary>
    public async ValueTask<HostClusters> ReserveAsync(long bytes)
    {
        long clusters = geometry.ClustersFor(bytes);
        var first = (await allocator.AllocateAsync(clusters)).First;
        var offset = geometry.OffsetOf(first);
        await guard.CheckAsync(offset, geometry.BytesIn(clusters));

        // zeroes are written: on a file system that is full later, they are overwritten
        await storage.WriteZeroesAsync(offset.Value, geometry.BytesIn(clusters), ZeroFlags.None);
        Register(offset, geometry.BytesIn(clusters));
        return new HostClusters(first, clusters);
    }

    /// <summary>Puts a table into clusters that were reserved, or to which nothing durable refers any more.</summary>
    public async ValueTask<HostOffset> PlaceAtAsync(HostClusters place, ReadOnlyMemory<byte> table)
    {
        var offset = geometry.OffsetOf(place.First);
        await storage.WriteAsync(offset.Value, table);
        Register(offset, table.Length);
        return offset;
    }

    /// <summary>The clusters of a table.</summary>
    public HostClusters ClustersOf(HostOffset offset, long bytes) => geometry.ClustersOf(offset, bytes);

    /// <summary>Bytes of clusters.</summary>
    public long BytesOf(HostClusters clusters) => geometry.BytesIn(clusters.Count);

    /// <summary>Frees clusters that hold no table.</summary>
    public void Free(HostClusters clusters) => Free(geometry.OffsetOf(clusters.First), geometry.BytesIn(clusters.Count));

    /// <summary>Frees a table's clusters, once what referred to it is durably gone.</summary>
    public void Free(HostOffset offset, long bytes)
    {
        SetKind(offset, bytes, MetadataKind.None);
        allocator.FreeLater(geometry.ClustersOf(offset, bytes));
    }

    /// <summary>A table that is there: its clusters are guarded like the zone table's.</summary>
    public void Register(HostOffset offset, long bytes) => SetKind(offset, bytes, MetadataKind.ZoneTable);

    /// <summary>Whether a range touches metadata that is known by now.</summary>
    public bool IsMetadata(HostOffset offset, long bytes) => guard.Map.Find(offset, bytes) != MetadataKind.None;

    private void SetKind(HostOffset offset, long bytes, MetadataKind kind)
    {
        for (long at = 0; at < bytes; at += geometry.ClusterSize)
        {
            guard.Map.Set(geometry.ClusterOf(offset + at), kind);
        }
    }
}
