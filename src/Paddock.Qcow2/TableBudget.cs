using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

/// <summary>Limits the memory that the tables of several images take together, such as those of a chain of backing files.</summary>
/// <param name="limit">Bytes.</param>
internal sealed class TableBudget(long limit)
{
    private long _taken;

    /// <summary>Counts the tables of an image, before they are read.</summary>
    /// <exception cref="BlockException">They do not fit the rest.</exception>
    internal void Take(Qcow2Header header)
        => Take((header.L1Entries * 8L) + ((long)header.RefcountTableClusters << (int)header.ClusterBits));

    /// <summary>Counts a table.</summary>
    /// <exception cref="BlockException">It does not fit the rest.</exception>
    internal void Take(long bytes)
    {
        if (bytes > limit - _taken)
        {
            throw new BlockException(
                BlockError.TooLarge,
                $"the L1, refcount and snapshot tables of the image and its backing files take more than {limit} bytes");
        }

        _taken += bytes;
    }
}
