namespace Paddock.Qcow2.Format;

/// <summary>Everything that follows from the cluster size and the refcount width; derived here and nowhere else.</summary>
/// <param name="ClusterBits">log2 of the cluster size, 9 to 21.</param>
/// <param name="RefcountOrder">log2 of the refcount width in bits, 0 to 6.</param>
public readonly record struct ClusterGeometry(int ClusterBits, int RefcountOrder)
{
    /// <summary>Bytes in a cluster.</summary>
    public int ClusterSize => 1 << ClusterBits;

    /// <summary>log2 of the entries in an L2 table.</summary>
    public int L2Bits => ClusterBits - 3;

    /// <summary>log2 of the guest bytes that one L2 table maps.</summary>
    public int L1Shift => ClusterBits + L2Bits;

    /// <summary>log2 of the clusters that one refcount block counts.</summary>
    public int RefcountBlockBits => ClusterBits + 3 - RefcountOrder;

    /// <summary>The highest refcount that an entry can hold.</summary>
    public ulong MaxRefcount => RefcountOrder == 6 ? ulong.MaxValue : (1UL << (1 << RefcountOrder)) - 1;

    /// <summary>How many clusters hold this many bytes.</summary>
    public long ClustersFor(long bytes) => (long)(((ulong)bytes + (ulong)ClusterSize - 1) >> ClusterBits);

    /// <summary>Entries that an L1 table needs for a disk of this size.</summary>
    public long L1EntriesFor(long virtualSize) => (long)(((ulong)virtualSize + (1UL << L1Shift) - 1) >> L1Shift);

    /// <summary>The offset rounded down to its cluster.</summary>
    public long AlignDown(long offset) => offset & ~((long)ClusterSize - 1);

    /// <summary>Position inside its cluster.</summary>
    public int InCluster(long offset) => (int)(offset & (ClusterSize - 1));

    /// <summary>Index of an offset's entry in its L2 table.</summary>
    public int L2Index(long guestOffset) => (int)(guestOffset >> ClusterBits) & ((1 << L2Bits) - 1);
}
