using Paddock.Qcow2.Check.Passes;

namespace Paddock.Qcow2.Check;

/// <summary>The passes of a check, in order, and the share done after each.</summary>
internal sealed class CheckPasses
{
    private readonly CheckContext _context;
    private readonly (ICheckPass Pass, double Done)[] _passes;

    public CheckPasses(CheckContext context)
    {
        _context = context;
        var walk = new TableWalk(context);
        var freed = new FreedClusters(context);
        var rewrite = new SnapshotRewritePass(context);

        // after a rebuild of the refcount structures these run again. Shared tables come after all that refers to tables, and the refcount
        // blocks last, because a block that anything else refers to means a rebuild
        var counting = new ReferenceCount(context, walk,
        [
            new HeaderPass(context),
            new ActiveTablesPass(context, walk),
            new SnapshotTablesPass(context, walk),
            new RefcountTablePass(context),
            new BitmapsPass(context),
            new EncryptionHeaderPass(context),
            new ZoneTablePass(context),
            new ZoneAttributesPass(context),
            new UnreadableRangesPass(context),
            new SharedTablesPass(walk),
            new RefcountBlocksPass(context),
        ]);
        _passes =
        [
            (new SnapshotEntriesPass(context, rewrite), 0.0),
            (counting, 0.7),
            (new RefcountsPass(context, counting, freed), 0.9),

            // COPIED flags depend on refcounts, which are repaired by now
            (new CopiedFlagsPass(context), 0.9),
            (new ZonedBitPass(context), 0.9),
            (new ZonePointersPass(context), 0.9),

            // frees space and clears the dirty bit: only when everything else is durable
            (new CompletionPass(context, freed), 1.0),

            // takes clusters that are free by now, and are not to be discarded any more
            (rewrite, 1.0),
        ];
    }

    /// <summary>Checks and repairs an image.</summary>
    public async ValueTask<Qcow2CheckReport> RunAsync(CancellationToken cancellationToken)
    {
        double done = 0;
        _context.ReportProgress(0);
        foreach (var (pass, share) in _passes)
        {
            await pass.RunAsync(cancellationToken);
            if (share != done)
            {
                _context.ReportProgress(done = share);
            }
        }

        return _context.Report;
    }
}
