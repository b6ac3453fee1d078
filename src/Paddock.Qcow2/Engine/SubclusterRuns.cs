using System.Buffers.Binary;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Finds runs of equally stored subclusters in a slice of an L2 table with extended entries.</summary>
internal static class SubclusterRuns
{
    private const int EntryBytes = 1 << ClusterGeometry.ExtendedEntryBits;

    /// <summary>An entry of a slice.</summary>
    /// <param name="slice">Part of an L2 table.</param>
    /// <param name="index">Of the entry in the slice.</param>
    /// <param name="isExternal">Whether data may lie at offset 0: in an external data file, marked as copied.</param>
    public static ExtendedL2Entry EntryAt(ReadOnlySpan<byte> slice, int index, bool isExternal)
    {
        var bytes = slice.Slice(index * EntryBytes, EntryBytes);
        ulong cluster = BinaryPrimitives.ReadUInt64BigEndian(bytes);
        cluster = cluster == L2Entry.CopiedFlag && !isExternal ? 0 : cluster;
        return new(new(cluster), new(BinaryPrimitives.ReadUInt64BigEndian(bytes[8..])));
    }

    /// <summary>The run of equally stored bytes at an offset, as far as the slice reaches.</summary>
    /// <param name="geometry">The image's.</param>
    /// <param name="slice">Part of an L2 table.</param>
    /// <param name="index">Of the offset's entry in the slice.</param>
    /// <param name="offset">Of the guest.</param>
    /// <param name="length">The longest run of use.</param>
    /// <param name="isExternal">Whether the data are in an external data file.</param>
    /// <returns>A run of length 0 if the entry cannot be right.</returns>
    public static Mapping Map(
        in ClusterGeometry geometry, ReadOnlySpan<byte> slice, int index, GuestOffset offset, long length, bool isExternal)
    {
        int bits = geometry.SubclusterBits;
        int inCluster = geometry.InCluster(offset);
        int subcluster = inCluster >> bits;
        var entry = EntryAt(slice, index, isExternal);
        var kind = entry.KindOf(subcluster);
        if (isExternal && (entry.Cluster.IsCompressed
            || (entry.HasCluster && entry.Cluster.Offset.Value != geometry.AlignDown(offset).Value)))
        {
            return default;
        }

        if (kind == ClusterKind.Compressed)
        {
            return new Mapping(kind, Math.Min(geometry.ClusterSize - inCluster, length), default, false, entry.Cluster);
        }

        if (entry.IsInvalid || (entry.HasCluster && geometry.InCluster(entry.Cluster.Offset) != 0))
        {
            return default;
        }

        int last = subcluster + entry.Subclusters.RunFrom(subcluster);
        long run = ((long)last << bits) - inCluster;
        ulong expected = entry.Cluster.Raw;
        ulong step = entry.HasCluster ? (ulong)geometry.ClusterSize : 0;
        for (int next = index + 1; last == SubclusterMap.Count && run < length && (next + 1) * EntryBytes <= slice.Length; next++)
        {
            expected += step;
            var following = EntryAt(slice, next, isExternal);
            if (following.Cluster.Raw != expected || following.IsInvalid || following.KindOf(0) != kind)
            {
                break;
            }

            last = following.Subclusters.RunFrom(0);
            run += (long)last << bits;
        }

        return new Mapping(
            kind, Math.Min(run, length), entry.HasCluster ? entry.Cluster.Offset + inCluster : default,
            kind == ClusterKind.Normal && entry.Cluster.IsCopied, entry.Cluster);
    }
}
