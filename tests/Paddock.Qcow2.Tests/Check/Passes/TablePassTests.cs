using Paddock.Qcow2.Check;
using Paddock.Qcow2.Check.Passes;
using Paddock.Qcow2.Format;
using static Paddock.Qcow2.Tests.Check.Passes.PassBench;

namespace Paddock.Qcow2.Tests.Check.Passes;

/// <summary>The passes that count the header, L1 and L2 tables, and snapshots.</summary>
public class TablePassTests
{
    [Fact]
    public async Task Header_pass_counts_the_first_cluster_alone()
    {
        var bench = await CreateAsync();
        await RunAsync(new HeaderPass(bench.Context));
        Assert.Equal((1UL, 0UL), (bench.CountOf(0), bench.CountOf(Cluster)));
        Assert.Empty(bench.Lines);
    }

    [Fact]
    public async Task Active_tables_pass_counts_L1_L2_and_data_once()
    {
        var bench = await CreateAsync(dataClusters: 3);
        await RunAsync(new ActiveTablesPass(bench.Context, new TableWalk(bench.Context)));
        var image = bench.Context.Image;
        Assert.Equal((1UL, 1UL), (bench.CountOf(image.L1Offset.Value), bench.CountOf(bench.L2)));
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(1UL, bench.CountOf((long)(bench.Read64(bench.L2 + (i * 8)) & EntryBits.OffsetMask)));
        }

        Assert.Equal(0UL, bench.CountOf(0));
        Assert.Equal(3, bench.Report.AllocatedClusters);
        Assert.NotEmpty(bench.Progress);
    }

    [Theory]
    [InlineData(Qcow2Repair.None, false)]
    [InlineData(Qcow2Repair.Leaks, false)]
    [InlineData(Qcow2Repair.All, true)]
    public async Task Unaligned_preallocated_entry_is_zeroed_only_when_errors_are_repaired(Qcow2Repair repair, bool zeroed)
    {
        const ulong entry = Copied | 0x600 | EntryBits.ZeroFlag;
        var bench = await CreateAsync();
        bench.Write64(bench.L2 + 64, entry);
        await bench.StartAsync(repair);
        await RunAsync(new ActiveTablesPass(bench.Context, new TableWalk(bench.Context)));
        Assert.Equal(zeroed ? EntryBits.ZeroFlag : entry, bench.Read64(bench.L2 + 64));
        Assert.Equal(zeroed ? (0, 1) : (1L, 0L), (bench.Report.Corruptions, bench.Report.CorruptionsFixed));
        Assert.StartsWith(zeroed ? "Repairing offset=600" : "ERROR offset=600", Assert.Single(bench.Lines), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Table_that_L1_names_three_times_is_walked_once_and_counted_three_times()
    {
        var bench = await CreateAsync(dataClusters: 1);
        long l1 = bench.Context.Image.L1Offset.Value, data = (long)(bench.Read64(bench.L2) & EntryBits.OffsetMask);
        bench.Write64(l1 + 8, bench.Read64(l1));
        bench.Write64(l1 + 16, bench.Read64(l1));
        await bench.StartAsync(Qcow2Repair.None);
        var walk = new TableWalk(bench.Context);
        await RunAsync(new ActiveTablesPass(bench.Context, walk));
        Assert.Equal((1UL, 1UL), (bench.CountOf(bench.L2), bench.CountOf(data)));
        Assert.Equal(3, bench.Report.AllocatedClusters);
        await RunAsync(new SharedTablesPass(walk));
        Assert.Equal((3UL, 3UL), (bench.CountOf(bench.L2), bench.CountOf(data)));
    }

    [Fact]
    public async Task Snapshot_counts_its_tables_without_adding_to_allocated_clusters()
    {
        var bench = await CreateAsync(dataClusters: 1);
        long table = AddSnapshot(bench, bench.Context.Image.L1Offset.Value, extraBytes: 16);
        await bench.StartAsync(Qcow2Repair.None);
        await RunAsync(
            new SnapshotTablesPass(bench.Context, new TableWalk(bench.Context)),
            new SnapshotEntriesPass(bench.Context, new SnapshotRewritePass(bench.Context)));
        Assert.Equal((1UL, 1UL), (bench.CountOf(bench.L2), bench.CountOf(table)));
        Assert.Equal(0, bench.Report.AllocatedClusters);
        Assert.Empty(bench.Lines);
    }

    [Fact]
    public async Task Snapshot_with_unaligned_L1_is_reported_and_not_walked()
    {
        var bench = await CreateAsync(dataClusters: 1);
        AddSnapshot(bench, bench.Context.Image.L1Offset.Value + 512, extraBytes: 16);
        await bench.StartAsync(Qcow2Repair.None);
        await RunAsync(new SnapshotTablesPass(bench.Context, new TableWalk(bench.Context)));
        Assert.Contains("L1 table is not cluster aligned", Assert.Single(bench.Lines), StringComparison.Ordinal);
        Assert.Equal((0UL, 1L), (bench.CountOf(bench.L2), bench.Report.Corruptions));
    }

    [Fact]
    public async Task Snapshot_entry_without_the_data_of_version_3_is_incomplete()
    {
        var bench = await CreateAsync();
        AddSnapshot(bench, bench.Context.Image.L1Offset.Value, extraBytes: 0);
        await bench.StartAsync(Qcow2Repair.None);
        await RunAsync(new SnapshotEntriesPass(bench.Context, new SnapshotRewritePass(bench.Context)));
        Assert.Equal(["ERROR snapshot table entry 0 is incomplete"], bench.Lines);
    }

    /// <summary>Adds a snapshot without a name, in a new cluster at the end of the file.</summary>
    private static long AddSnapshot(PassBench bench, long l1, uint extraBytes)
    {
        var image = bench.Context.Image;
        long table = image.ClustersOf(bench.Storage.Length) * Cluster;
        bench.Storage.Live.SetLength(table + Cluster);
        bench.Write64(table, (ulong)l1);
        bench.Write64(table + 8, (ulong)image.L1Entries << 32);
        bench.Write64(table + 32, extraBytes);
        bench.Write64(60, (1UL << 32) | (ulong)(table >> 32));
        bench.Write64(64, (ulong)table);
        return table;
    }
}
