namespace Paddock.Qcow2.Check.Passes;

/// <summary>Counts the snapshot table and the tables and clusters of each snapshot.</summary>
internal sealed class SnapshotTablesPass(CheckContext context, TableWalk walk) : ICheckPass
{
    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        foreach (var snapshot in context.Image.Snapshots)
        {
            if (!context.Image.IsAligned(snapshot.L1Offset))
            {
                context.ReportCorruption($"ERROR snapshot {snapshot.Id} ({snapshot.Name}) l1_offset=0x{snapshot.L1Offset.Value:x}: " +
                    "L1 table is not cluster aligned; snapshot table entry corrupted");
            }
            else if (snapshot.L1Entries > CheckedImage.MaxL1Bytes / 8)
            {
                context.ReportCorruption($"ERROR snapshot {snapshot.Id} ({snapshot.Name}) l1_size=0x{snapshot.L1Entries:x}: " +
                    "L1 table is too large; snapshot table entry corrupted");
            }
            else
            {
                await walk.CountL1Async(snapshot.L1Offset, snapshot.L1Entries, active: false, cancellationToken);
            }
        }

        context.Count(context.Image.SnapshotTableOffset, context.Image.SnapshotTableBytes);
    }
}
