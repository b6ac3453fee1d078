using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

/// <summary>Finds L1 tables whose entries share L2 tables, which a small file can use to describe petabytes of data.</summary>
internal static class TableSharing
{
    /// <summary>
    /// Refuses an L1 table that names more L2 tables than the file has clusters. Truncated images stay readable: L2 tables are a
    /// small part of a file.
    /// </summary>
    /// <exception cref="ImageCorruptException">It does.</exception>
    public static void Refuse(ReadOnlySpan<ulong> l1, HostOffset at, ClusterGeometry geometry, long fileLength)
    {
        long tables = 0;
        foreach (ulong entry in l1)
        {
            tables += (entry & L2Entry.OffsetMask) != 0 ? 1 : 0;
        }

        long clusters = (fileLength + geometry.ClusterSize - 1) / geometry.ClusterSize;
        if (tables > clusters)
        {
            throw new ImageCorruptException(
                "L1 table", at,
                $"names {tables} L2 tables, but the file has only {clusters} clusters; 'paddock check' shows what is wrong");
        }
    }
}
