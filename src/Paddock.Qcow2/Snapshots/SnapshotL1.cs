using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Snapshots;

/// <summary>The L1 table of a snapshot, validated before anything of its size is read.</summary>
internal static class SnapshotL1
{
    /// <summary>Reads the table. COPIED flags are cleared: they count in the active table alone.</summary>
    /// <exception cref="BlockException">It is beyond a limit, or its offset is not that of a cluster.</exception>
    public static async ValueTask<ulong[]> ReadAsync(
        IStorage storage, ClusterGeometry geometry, SnapshotEntry entry, CancellationToken cancellationToken = default)
    {
        Check(geometry, entry);
        var offset = entry.Header.L1TableOffset;
        var entries = await L1Table.ReadAsync(storage, offset, entry.Header.L1Entries, cancellationToken);
        TableSharing.Refuse(entries, offset, geometry, storage.Length);
        for (int i = 0; i < entries.Length; i++)
        {
            entries[i] &= ~L2Entry.CopiedFlag;
        }

        return entries;
    }

    /// <summary>Refuses a table that cannot be read.</summary>
    /// <exception cref="SnapshotL1Exception">It is beyond a limit, or its offset is not that of a cluster.</exception>
    public static void Check(ClusterGeometry geometry, SnapshotEntry entry)
    {
        var offset = entry.Header.L1TableOffset;
        uint count = entry.Header.L1Entries;
        if (count * 8L > Qcow2Limits.MaxL1Bytes)
        {
            throw new SnapshotL1Exception(BlockError.TooLarge, "Snapshot L1 table too large");
        }

        if (geometry.InCluster(offset) != 0 || offset.Value < 0 || offset.Value > long.MaxValue - Qcow2Limits.MaxL1Bytes)
        {
            throw new SnapshotL1Exception(BlockError.InvalidArgument, "Snapshot L1 table offset invalid");
        }
    }

    /// <summary>The L2 tables that a table names.</summary>
    public static IEnumerable<HostOffset> TablesOf(ulong[] entries)
        => entries.Select(static entry => new HostOffset((long)(entry & L2Entry.OffsetMask))).Where(static table => !table.IsNone);
}
