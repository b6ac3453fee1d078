using Paddock.Block;

namespace Paddock.Qcow2.Check.Passes;

/// <summary>Compares refcounts with references and repairs them: in place if possible, else by rebuilding their structures.</summary>
internal sealed class RefcountsPass(CheckContext context, ReferenceCount counting, FreedClusters freed) : ICheckPass
{
    private readonly RefcountComparison _comparison = new(context, freed);

    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        var before = context.Report with { };
        await _comparison.RunAsync(false, false, cancellationToken);
        if (context.NeedsRebuild && context.FixesErrors)
        {
            await RebuildAsync(cancellationToken);
        }
        else if (context.Repair != Qcow2Repair.None)
        {
            if (context.NeedsRebuild)
            {
                context.Print("ERROR need to rebuild refcount structures");
                throw new BlockException(BlockError.Io, "the refcount structures are broken; only a repair of everything can rebuild them");
            }

            if (context.Report.Leaks != 0 || context.Report.Corruptions != 0)
            {
                context.Report = before;
                await _comparison.RunAsync(context.FixesLeaks, context.FixesErrors, cancellationToken);
            }
        }
    }

    /// <summary>Rebuilds, then counts and compares again: only that tells what the rebuild has repaired.</summary>
    private async ValueTask RebuildAsync(CancellationToken cancellationToken)
    {
        context.Print("Rebuilding refcount structure");
        var old = context.Report with { };
        await new RefcountRebuild(context).RunAsync(cancellationToken);

        context.Report = new Qcow2CheckReport
        {
            TotalClusters = old.TotalClusters, CorruptionsFixed = old.CorruptionsFixed, LeaksFixed = old.LeaksFixed,
        };
        context.NeedsRebuild = false;
        context.RepairsEntries = false;
        context.RefreshLength();
        await counting.RunAsync(cancellationToken);
        var recount = context.Report with { };
        await _comparison.RunAsync(context.FixesLeaks, false, cancellationToken);
        if (context.NeedsRebuild)
        {
            context.Print("ERROR rebuilt refcount structure is still broken");
        }

        recount.CorruptionsFixed += Math.Max(0, old.Corruptions - recount.Corruptions);
        recount.LeaksFixed += Math.Max(0, old.Leaks - recount.Leaks);
        context.Report = recount;
    }
}
