namespace Paddock.Qcow2.Format;

/// <summary>What an L2 entry says of its cluster.</summary>
internal enum ClusterKind
{
    /// <summary>This layer holds nothing.</summary>
    Unallocated,

    /// <summary>Reads as zeroes; no cluster is allocated.</summary>
    ZeroPlain,

    /// <summary>Reads as zeroes; a cluster is reserved.</summary>
    ZeroAllocated,

    /// <summary>Stored in a cluster.</summary>
    Normal,

    /// <summary>Stored compressed.</summary>
    Compressed,
}

/// <summary>
/// One entry of an L2 table (qcow2 specification, "Cluster mapping"), 64 bits:
/// <code>
/// BIT    FIELD
/// 63     COPIED: the refcount is exactly one
/// 62     compressed
/// 0-61   standard cluster: bit 0 reads as zeroes, 1-8 reserved, 9-55 host offset, 56-61 reserved
///        compressed cluster: a <see cref="CompressedDescriptor"/>
/// </code>
/// </summary>
/// <param name="Raw">The bits.</param>
internal readonly record struct L2Entry(ulong Raw)
{
    public const ulong CopiedFlag = 1UL << 63;
    public const ulong CompressedFlag = 1UL << 62;
    public const ulong ZeroFlag = 1;
    public const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;

    /// <summary>No cluster.</summary>
    public static L2Entry Unallocated => default;

    /// <summary>Zeroes without a cluster.</summary>
    public static L2Entry Zero => new(ZeroFlag);

    public bool IsCopied => (Raw & CopiedFlag) != 0;

    public bool IsCompressed => (Raw & CompressedFlag) != 0;

    /// <summary>Where the cluster lies; meaningless for a compressed one.</summary>
    public HostOffset Offset => new((long)(Raw & OffsetMask));

    public ClusterKind Kind
        => IsCompressed ? ClusterKind.Compressed
            : (Raw & ZeroFlag) != 0 ? ((Raw & OffsetMask) != 0 ? ClusterKind.ZeroAllocated : ClusterKind.ZeroPlain)
            : (Raw & OffsetMask) != 0 ? ClusterKind.Normal
            : ClusterKind.Unallocated;

    /// <summary>A cluster with data that nothing else refers to.</summary>
    public static L2Entry Normal(HostOffset offset) => new((ulong)offset.Value | CopiedFlag);
}
