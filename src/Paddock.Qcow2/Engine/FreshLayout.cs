using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Gives an image the tables of a new one: header, refcount table, refcount block and an L1 table without entries, one after the other at
/// the start of the file. The image is marked dirty meanwhile: a crash leaves an image without data whose counts the next opening repairs.
/// Under the image's metadata mutex.
/// </summary>
internal sealed class FreshLayout(IStorage storage, ImageHeader header, ClusterMap map, HolePuncher holes)
{
    private const int TableCluster = 1, BlockCluster = 2, L1Cluster = 3;

    // what refers to clusters that would have to stay
    private static readonly uint[] Referring =
    [
        HeaderExtension.Bitmaps, HeaderExtension.FullDiskEncryption, HeaderExtension.Zoned, HeaderExtension.Paddock,
        HeaderExtension.PaddockBlocks,
    ];

    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Whether the image can be marked dirty, has nothing but its disk, and one refcount block counts the tables.</summary>
    public bool IsPossible
        => header.HasVersion3 && header.Fields.SnapshotCount == 0 && header.Fields.EncryptionMethod == 0
            && !header.Has(IncompatibleFeatures.ExternalDataFile) && !header.Extensions.Exists(e => Referring.Contains(e.Type))
            && Clusters <= 1L << _geometry.RefcountBlockBits;

    private long L1Clusters => _geometry.ClustersFor((long)header.Fields.L1Entries * 8);

    private long Clusters => L1Cluster + L1Clusters;

    /// <summary>Writes the tables, and ends the file behind them. The events are those of QEMU.</summary>
    public async ValueTask WriteAsync()
    {
        await header.PutAsync(header.Fields with { Incompatible = header.Fields.Incompatible | IncompatibleFeatures.Dirty });
        await storage.OnEventAsync("l1_update");
        await ZeroAsync((long)header.Fields.L1Offset, _geometry.BytesIn(L1Clusters));
        map.Clear();
        holes.RemoveFrom(default);

        await storage.OnEventAsync("empty_image_prepare");
        await ZeroAsync(_geometry.ClusterSize, _geometry.BytesIn(Clusters - TableCluster));
        await storage.OnEventAsync("l1_update");
        await storage.OnEventAsync("reftable_update");
        await header.PutAsync(header.Fields with
        {
            L1Offset = (ulong)_geometry.BytesIn(L1Cluster),
            RefcountTableOffset = (ulong)_geometry.BytesIn(TableCluster),
            RefcountTableClusters = 1,
        });

        await storage.OnEventAsync("refblock_alloc");
        await WriteCountsAsync();
        await header.PutAsync(header.Fields with { Incompatible = header.Fields.Incompatible & ~IncompatibleFeatures.Dirty });
        await storage.SetLengthAsync(_geometry.BytesIn(Clusters));
        await storage.FlushAsync();
    }

    private async ValueTask ZeroAsync(long offset, long length)
    {
        await storage.WriteZeroesAsync(offset, length, ZeroFlags.None);
        await storage.FlushAsync();
    }

    private async ValueTask WriteCountsAsync()
    {
        var entry = new byte[sizeof(long)];
        BinaryPrimitives.WriteInt64BigEndian(entry, _geometry.BytesIn(BlockCluster));
        await storage.WriteAsync(_geometry.BytesIn(TableCluster), entry);
        var counts = new byte[_geometry.ClusterSize];
        for (int i = 0; i < Clusters; i++)
        {
            RefcountCodec.Set(counts, i, _geometry.RefcountOrder, 1);
        }

        await storage.WriteAsync(_geometry.BytesIn(BlockCluster), counts);
        await storage.FlushAsync();
    }
}
