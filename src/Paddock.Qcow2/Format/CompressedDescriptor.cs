namespace Paddock.Qcow2.Format;

/// <summary>
/// Where a compressed cluster lies (qcow2 specification, "Compressed Clusters Descriptor"), 62 bits, with x = 62 - (cluster_bits - 8):
/// <code>
/// BIT        FIELD
/// 0 to x-1   host offset in bytes, not aligned
/// x to 61    number of 512-byte sectors beyond the one that the offset is in
/// </code>
/// </summary>
/// <param name="Offset">Where the data starts.</param>
/// <param name="Length">Bytes up to the end of its last sector; the compressed stream may end earlier.</param>
internal readonly record struct CompressedDescriptor(HostOffset Offset, int Length)
{
    private const int Sector = 512;

    public static CompressedDescriptor Decode(L2Entry entry, int clusterBits)
    {
        int x = OffsetBits(clusterBits);
        long offset = (long)(entry.Raw & ((1UL << x) - 1));
        int sectors = (int)((entry.Raw >> x) & ((1UL << (62 - x)) - 1)) + 1;
        return new(new HostOffset(offset), (sectors * Sector) - (int)(offset & (Sector - 1)));
    }

    /// <summary>The entry for a stream of <paramref name="bytes"/> bytes at <paramref name="offset"/>.</summary>
    public static L2Entry Encode(HostOffset offset, int bytes, int clusterBits)
    {
        int x = OffsetBits(clusterBits);
        long sectors = ((offset.Value + bytes - 1) / Sector) - (offset.Value / Sector);
        return new((ulong)offset.Value | ((ulong)sectors << x) | L2Entry.CompressedFlag);
    }

    /// <summary>Offsets must stay below this for the descriptor to hold them.</summary>
    public static long OffsetLimit(int clusterBits) => 1L << OffsetBits(clusterBits);

    private static int OffsetBits(int clusterBits) => 62 - (clusterBits - 8);
}
