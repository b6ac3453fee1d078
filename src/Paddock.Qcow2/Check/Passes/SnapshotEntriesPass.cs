namespace Paddock.Qcow2.Check.Passes;

/// <summary>
/// Reports snapshot table entries that lack the extra data that version 3 requires, and takes entries beyond QEMU's limits out of the
/// header's count.
/// </summary>
internal sealed class SnapshotEntriesPass(CheckContext context, SnapshotRewritePass rewrite) : ICheckPass
{
    private const uint RequiredExtraBytes = 16;

    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        var table = context.Image.SnapshotTable;
        if (table.Dropped > 0)
        {
            await context.Image.WriteSnapshotCountAsync((uint)table.Entries.Count, cancellationToken);
            context.Report.CorruptionsFixed += table.Dropped;
        }

        rewrite.Entries += table.Cut;
        for (int i = 0; i < table.Entries.Count; i++)
        {
            if (!context.Image.IsVersion3 || table.Entries[i].Extra.Length >= RequiredExtraBytes)
            {
                continue;
            }

            context.Print($"{(context.FixesErrors ? "Repairing" : "ERROR")} snapshot table entry {i} is incomplete");
            if (context.FixesErrors)
            {
                rewrite.Entries++;
            }
            else
            {
                context.Report.Corruptions++;
            }
        }
    }
}
