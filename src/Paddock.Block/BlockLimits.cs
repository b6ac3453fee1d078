namespace Paddock.Block;

/// <summary>Limits of a single request, in bytes.</summary>
/// <param name="RequestAlignment">Every offset and length is a multiple of this power of two (1 where any byte will do).</param>
/// <param name="MaxTransfer">The longest read or write; never more than 2 GiB less one alignment unit.</param>
/// <param name="OptimalTransfer">The size with the lowest cost per byte (a cluster, for qcow2); 0 if unknown.</param>
public readonly record struct BlockLimits(int RequestAlignment, int MaxTransfer, int OptimalTransfer)
{
    /// <summary>Byte-granular, with the longest transfer that an <see cref="int"/> length allows.</summary>
    public static BlockLimits Bytes { get; } = new(1, int.MaxValue & ~511, 0);
}
