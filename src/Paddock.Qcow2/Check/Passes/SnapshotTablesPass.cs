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

            await CountZonesAsync(snapshot, cancellationToken);
        }

        context.Count(context.Image.SnapshotTableOffset, context.Image.SnapshotTableBytes);
    }

    private async ValueTask CountZonesAsync(CheckedSnapshot snapshot, CancellationToken cancellationToken)
    {
        if (CheckedSnapshotZones.Find(snapshot.Extra, context.Image.ClusterSize) is not { } zones)
        {
            if (CheckedSnapshotZones.IsIn(snapshot.Extra))
            {
                context.ReportCorruption($"ERROR snapshot {snapshot.Id} ({snapshot.Name}): the place of its zone record is not sound");
            }

            return;
        }

        context.Count(zones.Offset, zones.Bytes);
        string? problem = await context.ReadTableAsync(zones.Offset, zones.Bytes, cancellationToken) is { } record
            ? zones.Problem(record) : "lies outside the file";
        if (problem is not null)
        {
            context.ReportCorruption(
                $"ERROR snapshot {snapshot.Id} ({snapshot.Name}) zone record at 0x{zones.Offset.Value:x} {problem}; delete the snapshot");
        }
    }
}
