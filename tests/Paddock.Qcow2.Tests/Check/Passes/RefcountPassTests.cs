using Paddock.Block;
using Paddock.Qcow2.Check;
using Paddock.Qcow2.Check.Passes;
using Paddock.Qcow2.Format;
using Paddock.Testing;
using static Paddock.Qcow2.Tests.Check.Passes.PassBench;

namespace Paddock.Qcow2.Tests.Check.Passes;

/// <summary>The passes that count and compare refcounts, rebuild their structures, and complete a repair.</summary>
public class RefcountPassTests
{
    [Fact]
    public async Task Refcount_table_pass_counts_the_table_and_loads_it()
    {
        var bench = await CreateAsync();
        await RunAsync(new RefcountTablePass(bench.Context));
        Assert.Equal(1UL, bench.CountOf(RefcountTable));
        Assert.Equal((ulong)RefcountBlock, bench.Context.Stored.Table[0]);
    }

    [Theory]
    [InlineData(RefcountBlock | 1, "ERROR refcount table entry 0 has reserved bits set")]
    [InlineData(RefcountBlock | 512, "ERROR refcount block 0 is not cluster aligned; refcount table entry corrupted")]
    [InlineData(RefcountTable, "ERROR refcount block 0 refcount=2")]
    [InlineData(1L << 30, "ERROR refcount block 0 is outside image")]
    public async Task Wrong_refcount_table_entry_needs_a_rebuild(long entry, string line)
    {
        var bench = await CreateAsync(change: image => Write64(image, RefcountTable, (ulong)entry));
        await RunAsync(new RefcountTablePass(bench.Context), new RefcountBlocksPass(bench.Context));
        Assert.Equal([line], bench.Lines);
        Assert.True(bench.Context.NeedsRebuild);
    }

    [Fact]
    public async Task Refcount_block_past_the_end_is_repaired_by_growing_the_file()
    {
        var bench = await CreateAsync(Qcow2Repair.All, change: static image => Write64(image, RefcountTable, 1 << 20));
        await RunAsync(new RefcountTablePass(bench.Context), new RefcountBlocksPass(bench.Context));
        Assert.Equal(((1 << 20) + Cluster, 1UL), (bench.Storage.Length, bench.CountOf(1 << 20)));
        Assert.Equal((0L, 1L), (bench.Report.Corruptions, bench.Report.CorruptionsFixed));
    }

    [Theory]
    [InlineData(Qcow2Repair.None, "Leaked cluster 20 refcount=1 reference=0", 1, false)]
    [InlineData(Qcow2Repair.Leaks, "Repairing cluster 20 refcount=1 reference=0", 0, true)]
    public async Task Leak_is_freed_only_where_leaks_are_repaired(Qcow2Repair repair, string line, long leaks, bool discards)
    {
        var bench = await CreateAsync(repair, change: static image =>
        {
            SetRefcount(image, 20, 1);
            image.SetLength(21 * Cluster);
        });
        var freed = await RunRefcountsAsync(bench);
        Assert.Equal(line, bench.Lines[^1]);
        Assert.Equal(leaks, bench.Report.Leaks);
        await freed.DiscardAsync(default);
        Assert.Equal(discards, HasStep(bench.Storage.Log, StorageStep.Discard, 20 * Cluster, Cluster));
    }

    [Fact]
    public async Task Missing_refcounts_are_rebuilt_and_a_second_check_is_clean()
    {
        var bench = await CreateAsync(Qcow2Repair.All, change: static image => Write64(image, RefcountTable, 0));
        await RunRefcountsAsync(bench);
        Assert.Contains("Rebuilding refcount structure", bench.Lines);
        Assert.NotEqual((ulong)RefcountTable, bench.Read64(48));
        await bench.StartAsync(Qcow2Repair.None);
        await new CheckPasses(bench.Context).RunAsync(default);
        Assert.Empty(bench.Lines);
    }

    [Fact]
    public async Task Rebuild_cut_at_any_step_leaves_an_image_that_a_repair_completes()
    {
        int steps = await CutAsync(int.MaxValue);
        Assert.InRange(steps, 4, 100);
        for (int step = 1; step <= steps; step++)
        {
            await CutAsync(step);
        }
    }

    [Theory]
    [InlineData(Qcow2Repair.None, 1, 0)]
    [InlineData(Qcow2Repair.All, 0, 1)]
    public async Task Copied_flag_must_agree_with_the_refcount(Qcow2Repair repair, long corruptions, long corrected)
    {
        var bench = await CreateAsync(repair);
        bench.Write64(bench.L2, bench.Read64(bench.L2) & ~Copied);
        await RunAsync(new RefcountTablePass(bench.Context), new CopiedFlagsPass(bench.Context));
        Assert.Equal((corruptions, corrected), (bench.Report.Corruptions, bench.Report.CorruptionsFixed));
        Assert.Equal(corrected != 0, (bench.Read64(bench.L2) & Copied) != 0);
        Assert.Contains("OFLAG_COPIED data cluster", Assert.Single(bench.Lines), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    public async Task Dirty_bit_is_cleared_only_when_no_corruption_is_left(int corruptions, ulong bits)
    {
        var bench = await CreateAsync(Qcow2Repair.All, change: static image => Write64(image, 72, 1));
        bench.Report.Corruptions = corruptions;
        await RunAsync(new CompletionPass(bench.Context, new FreedClusters(bench.Context)));
        Assert.Equal(bits, bench.Read64(72));
    }

    [Fact]
    public async Task Freed_clusters_are_discarded_as_one_run_after_a_flush()
    {
        var bench = await CreateAsync(Qcow2Repair.Leaks, dataClusters: 8);
        var freed = new FreedClusters(bench.Context);
        freed.Add(new(5));
        freed.Add(new(6));
        await RunAsync(new CompletionPass(bench.Context, freed));
        Assert.Equal(StorageStep.Sync, bench.Storage.Log[0].Step);
        var discard = bench.Storage.Log[1];
        Assert.Equal((StorageStep.Discard, 5L * Cluster, 2L * Cluster), (discard.Step, discard.Offset, discard.Length));
    }

    [Fact]
    public async Task Passes_report_progress_that_ends_at_one()
    {
        var bench = await CreateAsync();
        await new CheckPasses(bench.Context).RunAsync(default);
        Assert.Equal(0, bench.Progress[0]);
        Assert.Equal([0.7, 0.9, 1], bench.Progress[^3..]);
        Assert.Equal(bench.Progress.Order(), bench.Progress);
    }

    private static async Task<FreedClusters> RunRefcountsAsync(PassBench bench)
    {
        var context = bench.Context;
        var walk = new TableWalk(context);
        var freed = new FreedClusters(context);
        var counting = new ReferenceCount(
            context, walk,
            [
                new HeaderPass(context), new ActiveTablesPass(context, walk),
                new RefcountTablePass(context), new RefcountBlocksPass(context),
            ]);
        await RunAsync(counting, new RefcountsPass(context, counting, freed));
        return freed;
    }

    /// <summary>Cuts the power at a change during a rebuild and repairs what is left; returns the number of changes.</summary>
    private static async Task<int> CutAsync(int step)
    {
        var bench = await CreateAsync(Qcow2Repair.All, change: static image => Write64(image, RefcountTable, 0));
        bench.Storage.FailChange = step;
        try
        {
            await new CheckPasses(bench.Context).RunAsync(default);
        }
        catch (BlockException)
        {
            // the power goes here
        }

        for (int seed = 0; seed < 4; seed++)
        {
            var left = bench.Storage.Reboot(seed);
            await Qcow2Image.CheckAsync(left, Qcow2Repair.All);
            List<string> lines = [];
            await Qcow2Image.CheckAsync(left, Qcow2Repair.None, lines.Add);
            Assert.True(lines.Count == 0, $"step {step}, seed {seed}: {string.Join('\n', lines)}");
        }

        return bench.Storage.Changes;
    }

    private static bool HasStep(StorageLog log, StorageStep step, long offset, long length)
        => Enumerable.Range(0, log.Count).Any(i => log[i].Step == step && log[i].Offset == offset && log[i].Length == length);
}
