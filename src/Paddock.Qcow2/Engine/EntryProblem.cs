using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Describes L2 entries that cannot be right, in QEMU's words.</summary>
internal static class EntryProblem
{
    /// <summary>Bytes of an L2 table that QEMU caches as one, and counts entries in.</summary>
    private const int PeerSliceBytes = 65536;

    /// <summary>What is wrong with a standard entry; null: nothing.</summary>
    /// <param name="geometry">The image's.</param>
    /// <param name="entry">The entry.</param>
    /// <param name="offset">A guest offset that it maps.</param>
    /// <param name="table">Offset of its table in bytes.</param>
    /// <param name="writes">Whether the offset is to be written.</param>
    public static string? Find(in ClusterGeometry geometry, L2Entry entry, GuestOffset offset, HostOffset table, bool writes)
        => entry.Kind switch
        {
            ClusterKind.Normal => Unaligned(geometry, entry, offset, table, writes, isZero: false),
            ClusterKind.ZeroAllocated => Unaligned(geometry, entry, offset, table, writes, isZero: true),
            _ => null,
        };

    /// <summary>What is wrong with an extended entry; null: nothing.</summary>
    /// <param name="geometry">The image's.</param>
    /// <param name="entry">The entry.</param>
    /// <param name="offset">A guest offset that it maps.</param>
    /// <param name="table">Offset of its table in bytes.</param>
    /// <param name="writes">Whether the offset is to be written.</param>
    public static string? Find(in ClusterGeometry geometry, ExtendedL2Entry entry, GuestOffset offset, HostOffset table, bool writes)
        => entry.IsInvalid ? $"Invalid cluster entry found {(writes ? "" : " ")}{Place(geometry, offset, table)}"
            : entry.HasCluster ? Unaligned(geometry, entry.Cluster, offset, table, writes, entry.Subclusters.Allocated == 0)
            : null;

    /// <summary>
    /// Whether an entry has data that an external data file does not have: compressed, or elsewhere than at its guest offset.
    /// </summary>
    /// <param name="entry">The entry.</param>
    /// <param name="kind">Its kind.</param>
    /// <param name="offset">The guest offset of its cluster.</param>
    public static bool IsForeign(L2Entry entry, ClusterKind kind, GuestOffset offset)
        => kind == ClusterKind.Compressed
            || (kind is ClusterKind.Normal or ClusterKind.ZeroAllocated && entry.Offset.Value != offset.Value);

    /// <summary>
    /// What is wrong with an entry, or the cluster of an extended one, in an image with an external data file; null: nothing.
    /// </summary>
    /// <param name="geometry">The image's.</param>
    /// <param name="entry">The entry.</param>
    /// <param name="hasCluster">Whether it refers to a cluster that is not compressed.</param>
    /// <param name="offset">A guest offset that it maps.</param>
    /// <param name="table">Offset of its table in bytes.</param>
    public static string? FindExternal(
        in ClusterGeometry geometry, L2Entry entry, bool hasCluster, GuestOffset offset, HostOffset table)
    {
        var start = geometry.AlignDown(offset);
        return entry.IsCompressed
                ? $"Compressed cluster entry found in image with external data file {Place(geometry, offset, table)}"
            : hasCluster && entry.Offset.Value != start.Value
                ? $"External data file host cluster offset {Hex(entry.Offset.Value)} does not match guest cluster offset: {
                    Hex(start.Value)}, L2 index: {Hex(geometry.L2Index(offset))})"
            : null;
    }

    private static string? Unaligned(
        in ClusterGeometry geometry, L2Entry entry, GuestOffset offset, HostOffset table, bool writes, bool isZero)
    {
        if (geometry.InCluster(entry.Offset) == 0)
        {
            return null;
        }

        string what = !isZero ? writes ? "Data cluster" : "Cluster allocation" : "Preallocated zero cluster";
        string where = writes ? $"(guest offset: {Hex(offset.Value)})" : Place(geometry, offset, table);
        return $"{what} offset {entry.Offset} unaligned {where}";
    }

    private static string Place(in ClusterGeometry geometry, GuestOffset offset, HostOffset table)
    {
        int perSlice = Math.Min(geometry.ClusterSize, PeerSliceBytes) >> geometry.L2EntryBits;
        return $"(L2 offset: {table}, L2 index: {Hex(geometry.L2Index(offset) & (perSlice - 1))})";
    }

    // as printf's %#x
    private static string Hex(long value) => value == 0 ? "0" : $"0x{value:x}";
}
