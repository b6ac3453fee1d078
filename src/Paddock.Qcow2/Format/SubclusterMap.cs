using System.Numerics;

namespace Paddock.Qcow2.Format;

/// <summary>
/// The bitmap of an extended L2 entry (qcow2 specification, "Extended L2 Entries"), 64 bits for 32 subclusters:
/// <code>
/// BIT    FIELD
/// 0-31   allocated: bit n is set if subcluster n is stored in the cluster
/// 32-63  zero: bit 32+n is set if subcluster n reads as zeroes
/// </code>
/// Both bits of a subcluster set, and an allocated subcluster of an entry without a cluster, are invalid. In the entry of a
/// compressed cluster all bits are 0.
/// </summary>
/// <param name="Raw">The bits.</param>
internal readonly record struct SubclusterMap(ulong Raw)
{
    /// <summary>log2 of the subclusters in a cluster.</summary>
    public const int CountBits = 5;

    /// <summary>Subclusters in a cluster.</summary>
    public const int Count = 1 << CountBits;

    public SubclusterMap(uint allocated, uint zero)
        : this(allocated | ((ulong)zero << Count))
    {
    }

    /// <summary>Every subcluster is stored in the cluster.</summary>
    public static SubclusterMap AllAllocated => new(uint.MaxValue, 0);

    /// <summary>Every subcluster reads as zeroes.</summary>
    public static SubclusterMap AllZero => new(0, uint.MaxValue);

    /// <summary>Mask of the subclusters that are stored in the cluster.</summary>
    public uint Allocated => (uint)Raw;

    /// <summary>Mask of the subclusters that read as zeroes.</summary>
    public uint Zero => (uint)(Raw >> Count);

    /// <summary>Whether a subcluster is both stored and zero.</summary>
    public bool IsContradictory => (Allocated & Zero) != 0;

    /// <summary>A mask of adjacent subclusters.</summary>
    /// <param name="first">0 to 31.</param>
    /// <param name="count">At least 1; <paramref name="first"/> and this are at most 32 together.</param>
    public static uint Range(int first, int count) => uint.MaxValue >> (Count - count) << first;

    /// <summary>The map with some subclusters stored.</summary>
    public SubclusterMap WithAllocated(uint mask) => new(Allocated | mask, Zero & ~mask);

    /// <summary>The map with some subclusters reading as zeroes.</summary>
    public SubclusterMap WithZero(uint mask) => new(Allocated & ~mask, Zero | mask);

    /// <summary>The number of subclusters from <paramref name="first"/> on that have the same bits as it.</summary>
    public int RunFrom(int first)
    {
        uint same = Same(Allocated, first) & Same(Zero, first);
        return BitOperations.TrailingZeroCount(~(same >> first) | (1UL << (Count - first)));
    }

    private static uint Same(uint bits, int index) => (bits >> index & 1) != 0 ? bits : ~bits;
}
