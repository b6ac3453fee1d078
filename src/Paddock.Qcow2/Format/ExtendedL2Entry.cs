namespace Paddock.Qcow2.Format;

/// <summary>
/// One entry of an L2 table in an image with extended L2 entries (qcow2 specification, "Extended L2 Entries"), 128 bits:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       8     the cluster, as in a standard entry; bit 0 (reads as zeroes) is reserved
/// 8       8     its subclusters: a <see cref="SubclusterMap"/>
/// </code>
/// </summary>
/// <param name="Cluster">The cluster.</param>
/// <param name="Subclusters">Its subclusters.</param>
internal readonly record struct ExtendedL2Entry(L2Entry Cluster, SubclusterMap Subclusters)
{
    /// <summary>No cluster, and nothing in this layer.</summary>
    public static ExtendedL2Entry Unallocated => default;

    /// <summary>Zeroes without a cluster.</summary>
    public static ExtendedL2Entry Zero => new(default, SubclusterMap.AllZero);

    /// <summary>
    /// Whether a cluster is allocated that is not compressed. One at offset 0, in an external data file, is marked as copied.
    /// </summary>
    public bool HasCluster => !Cluster.IsCompressed && (!Cluster.Offset.IsNone || Cluster.IsCopied);

    /// <summary>Whether the cluster can be written in place: nothing else refers to it.</summary>
    public bool HasOwnCluster => HasCluster && Cluster.IsCopied;

    /// <summary>Whether data are stored, compressed or not.</summary>
    public bool HoldsData => Cluster.IsCompressed || Subclusters.Allocated != 0;

    /// <summary>Whether the bits contradict each other, or the cluster. The bits of a compressed cluster are ignored.</summary>
    public bool IsInvalid
        => !Cluster.IsCompressed && (HasCluster ? Subclusters.IsContradictory : Subclusters.Allocated != 0);

    /// <summary>How a subcluster is stored.</summary>
    /// <param name="index">0 to 31.</param>
    public ClusterKind KindOf(int index)
        => Cluster.IsCompressed ? ClusterKind.Compressed
            : (Subclusters.Zero >> index & 1) != 0 ? (HasCluster ? ClusterKind.ZeroAllocated : ClusterKind.ZeroPlain)
            : (Subclusters.Allocated >> index & 1) != 0 ? ClusterKind.Normal
            : ClusterKind.Unallocated;
}
