namespace Paddock.Qcow2.Check.Passes;

/// <summary>Reports snapshot table entries that lack the extra data that version 3 requires.</summary>
internal sealed class SnapshotEntriesPass(CheckContext context) : ICheckPass
{
    private const uint RequiredExtraBytes = 16;

    public ValueTask RunAsync(CancellationToken cancellationToken)
    {
        var snapshots = context.Image.Snapshots;
        for (int i = 0; i < snapshots.Count; i++)
        {
            if (context.Image.IsVersion3 && snapshots[i].Extra.Length < RequiredExtraBytes)
            {
                context.ReportCorruption($"ERROR snapshot table entry {i} is incomplete");
            }
        }

        return ValueTask.CompletedTask;
    }
}
