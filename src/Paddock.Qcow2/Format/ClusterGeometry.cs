namespace Paddock.Qcow2.Format;

/// <summary>
/// Everything that follows from the cluster size, the refcount width and the size of L2 entries; derived here and nowhere else.
/// </summary>
/// <param name="ClusterBits">log2 of the cluster size, 9 to 21.</param>
/// <param name="RefcountOrder">log2 of the refcount width in bits, 0 to 6.</param>
/// <param name="L2EntryBits">log2 of the bytes in an L2 entry: 3, or 4 for extended entries (<see cref="ExtendedL2Entry"/>).</param>
internal readonly record struct ClusterGeometry(int ClusterBits, int RefcountOrder, int L2EntryBits = ClusterGeometry.StandardEntryBits)
{
    /// <summary>log2 of the bytes in a standard L2 entry.</summary>
    public const int StandardEntryBits = 3;

    /// <summary>log2 of the bytes in an extended L2 entry.</summary>
    public const int ExtendedEntryBits = 4;

    /// <summary>Bytes in a cluster.</summary>
    public int ClusterSize => 1 << ClusterBits;

    /// <summary>Whether L2 entries are extended: the parts of a cluster are allocated one by one.</summary>
    public bool HasSubclusters => L2EntryBits == ExtendedEntryBits;

    /// <summary>log2 of the bytes in a subcluster; without extended L2 entries, of a cluster.</summary>
    public int SubclusterBits => HasSubclusters ? ClusterBits - SubclusterMap.CountBits : ClusterBits;

    /// <summary>Bytes in the smallest part that is allocated, copied or zeroed by itself: a subcluster, or a cluster.</summary>
    public int SubclusterSize => 1 << SubclusterBits;

    /// <summary>log2 of the entries in an L2 table.</summary>
    public int L2Bits => ClusterBits - L2EntryBits;

    /// <summary>log2 of the guest bytes that one L2 table maps.</summary>
    public int L1Shift => ClusterBits + L2Bits;

    /// <summary>log2 of the clusters that one refcount block counts.</summary>
    public int RefcountBlockBits => ClusterBits + 3 - RefcountOrder;

    /// <summary>The highest refcount that an entry can hold.</summary>
    public ulong MaxRefcount => RefcountOrder == 6 ? ulong.MaxValue : (1UL << (1 << RefcountOrder)) - 1;

    /// <summary>How many clusters hold this many bytes.</summary>
    public long ClustersFor(long bytes) => (long)(((ulong)bytes + (ulong)ClusterSize - 1) >> ClusterBits);

    /// <summary>Bytes in this many clusters.</summary>
    public long BytesIn(long clusters) => clusters << ClusterBits;

    /// <summary>Entries that an L1 table needs for a disk of this size.</summary>
    public long L1EntriesFor(long virtualSize) => (long)(((ulong)virtualSize + (1UL << L1Shift) - 1) >> L1Shift);

    /// <summary>The offset rounded down to its cluster.</summary>
    public GuestOffset AlignDown(GuestOffset offset) => new(offset.Value & ~((long)ClusterSize - 1));

    /// <summary>The offset rounded up to a cluster's start.</summary>
    public GuestOffset AlignUp(GuestOffset offset) => new(ClustersFor(offset.Value) << ClusterBits);

    /// <summary>The offset rounded down to its subcluster.</summary>
    public GuestOffset SubclusterDown(GuestOffset offset) => new(offset.Value & ~((long)SubclusterSize - 1));

    /// <summary>The offset rounded up to a subcluster's start.</summary>
    public GuestOffset SubclusterUp(GuestOffset offset) => SubclusterDown(offset + (SubclusterSize - 1));

    /// <summary>Position inside its cluster.</summary>
    public int InCluster(long offset) => (int)(offset & (ClusterSize - 1));

    /// <summary>Position inside its cluster.</summary>
    public int InCluster(GuestOffset offset) => InCluster(offset.Value);

    /// <summary>Position inside its cluster.</summary>
    public int InCluster(HostOffset offset) => InCluster(offset.Value);

    /// <summary>The cluster that holds an offset.</summary>
    public GuestCluster ClusterOf(GuestOffset offset) => new(offset.Value >> ClusterBits);

    /// <summary>The cluster that holds an offset.</summary>
    public HostCluster ClusterOf(HostOffset offset) => new(offset.Value >> ClusterBits);

    /// <summary>The clusters that hold a range of at least one byte.</summary>
    public GuestClusters ClustersOf(GuestOffset offset, long length) => new(ClusterOf(offset), ClusterOf(offset + (length - 1)));

    /// <summary>The clusters that hold a table; it starts at a cluster's start.</summary>
    public HostClusters ClustersOf(HostOffset offset, long length) => new(ClusterOf(offset), ClustersFor(length));

    /// <summary>Where a cluster starts.</summary>
    public HostOffset OffsetOf(HostCluster cluster) => new(cluster.Index << ClusterBits);

    /// <summary>Index of the L1 entry that maps an offset.</summary>
    public long L1Index(GuestOffset offset) => offset.Value >> L1Shift;

    /// <summary>The first guest byte that an L1 entry maps.</summary>
    public GuestOffset MappedBy(long l1Index) => new(l1Index << L1Shift);

    /// <summary>Index of an offset's entry in its L2 table.</summary>
    public int L2Index(GuestOffset offset) => (int)(offset.Value >> ClusterBits) & ((1 << L2Bits) - 1);

    /// <summary>Position of an offset's entry in its L2 table, in bytes.</summary>
    public int L2EntryAt(GuestOffset offset) => L2Index(offset) << L2EntryBits;

    /// <summary>The subclusters that a range inside one cluster touches, as a mask.</summary>
    public uint SubclustersOf(GuestOffset offset, long length)
    {
        int first = InCluster(offset) >> SubclusterBits;
        int last = InCluster(offset + (length - 1)) >> SubclusterBits;
        return SubclusterMap.Range(first, last - first + 1);
    }
}
