using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>From guest clusters to host clusters, on a storage in memory and with the smallest cache.</summary>
public class ClusterMapTests
{
    private const int Cluster = EngineKit.Cluster, PerTable = Cluster / 8;

    [Fact]
    public async Task Unmapped_range_is_one_run_up_to_the_end_of_its_table()
    {
        var kit = await EngineKit.CreateAsync();
        var run = await kit.Map.FindAsync(new GuestOffset(700), 1 << 20);
        Assert.Equal(ClusterKind.Unallocated, run.Kind);
        Assert.Equal((PerTable * Cluster) - 700, run.Length);
    }

    [Fact]
    public async Task Adjacent_clusters_are_one_run_that_may_begin_inside_a_cluster()
    {
        var kit = await EngineKit.CreateAsync();
        await MapAsync(kit, first: 2, host: 100, count: 3);
        var run = await kit.Map.FindAsync(new GuestOffset((2 * Cluster) + 10), 1 << 20);
        Assert.Equal((ClusterKind.Normal, (3L * Cluster) - 10, true), (run.Kind, run.Length, run.Writable));
        Assert.Equal((100 * Cluster) + 10, run.Host.Value);
    }

    [Fact]
    public async Task Cluster_of_a_snapshot_is_not_written_in_place()
    {
        var kit = await EngineKit.CreateAsync();
        var table = await kit.Map.EnsureTableAsync(default);
        await kit.Map.SetAsync(table, default, new L2Entry(50 * Cluster));
        Assert.False((await kit.Map.FindAsync(default, Cluster)).Writable);
    }

    [Fact]
    public async Task Full_cache_writes_counts_and_a_barrier_before_the_tables()
    {
        var kit = await EngineKit.CreateAsync();
        kit.Storage.Restart();
        for (int i = 0; i < 12; i++)
        {
            await MapAsync(kit, first: i * PerTable, host: 200 + i, count: 1);
        }

        var steps = kit.Storage.Steps.ToList();
        int tables = steps.IndexOf("l2_update");
        Assert.InRange(steps.IndexOf("refblock_update_part"), 0, tables);
        Assert.Contains("flush", steps[steps.IndexOf("refblock_update_part")..tables]);
        Assert.DoesNotContain("l1_update", steps);
        for (int i = 0; i < 12; i++)
        {
            Assert.Equal((200L + i) * Cluster, (await kit.Map.FindAsync(At(i * PerTable), Cluster)).Host.Value);
        }
    }

    [Fact]
    public async Task Flush_writes_the_table_before_the_entry_that_refers_to_it()
    {
        var kit = await EngineKit.CreateAsync();
        await MapAsync(kit, first: 0, host: 100, count: 1);
        kit.Storage.Restart();
        await kit.Order.RunAsync();
        Assert.Equal(
            [
                "flush_to_os", "refblock_update_part", "flush_to_disk", "flush", "l2_update", "flush", "l1_update", "flush_to_disk",
                    "flush",
            ],
            kit.Storage.Steps);
        var stored = await L1Table.ReadAsync(kit.Storage, kit.Fields, CancellationToken.None);
        Assert.Equal((ulong)kit.L1.Find(default).Value | L2Entry.CopiedFlag, stored[0]);
    }

    [Fact]
    public async Task Table_that_a_snapshot_shares_is_copied_before_it_changes()
    {
        var kit = await EngineKit.CreateAsync();
        await MapAsync(kit, first: 1, host: 100, count: 1);
        await kit.Order.RunAsync();
        var shared = kit.L1.Find(default);
        var map = await ReopenAsync(kit, (ulong)shared.Value);
        var table = await map.Map.EnsureTableAsync(default);
        Assert.NotEqual(shared, table);
        Assert.Equal(100 * Cluster, (await map.Map.FindAsync(At(1), Cluster)).Host.Value);
        Assert.True(map.L1.IsOwn(default));
    }

    [Fact]
    public async Task Replaced_cluster_is_freed_by_the_next_flush()
    {
        var kit = await EngineKit.CreateAsync();
        var run = await kit.Allocator.AllocateAsync(1);
        await MapAsync(kit, first: 0, host: run.First.Index, count: 1);
        await kit.Order.RunAsync();
        var table = await kit.Map.EnsureTableAsync(default);
        kit.Map.Release(await kit.Map.SetAsync(table, default, L2Entry.Zero));
        Assert.Equal(1UL, await kit.Counts.GetAsync(run.First));
        await kit.Order.RunAsync();
        Assert.Equal(0UL, await kit.Counts.GetAsync(run.First));
        Assert.Equal(ClusterKind.ZeroPlain, (await kit.Map.FindAsync(default, Cluster)).Kind);
    }

    [Fact]
    public async Task Removed_tables_are_unmapped_and_no_longer_guarded()
    {
        var kit = await EngineKit.CreateAsync();
        await MapAsync(kit, first: 0, host: 100, count: 1);
        await MapAsync(kit, first: PerTable, host: 101, count: 1);
        var second = kit.L1.Find(At(PerTable));
        kit.Map.RemoveTables(1);
        Assert.True(kit.Map.HasTable(default));
        Assert.False(kit.Map.HasTable(At(PerTable)));
        Assert.Equal(MetadataKind.None, kit.Guard.Map.Find(second, Cluster));
    }

    private static GuestOffset At(long cluster) => new(cluster * Cluster);

    private static async Task MapAsync(EngineKit kit, long first, long host, int count)
    {
        var table = await kit.Map.EnsureTableAsync(At(first));
        for (int i = 0; i < count; i++)
        {
            await kit.Map.SetAsync(table, At(first + i), L2Entry.Normal(new HostOffset((host + i) * Cluster)));
        }
    }

    // the same storage, seen by a map whose first L1 entry is another one
    private static async Task<(ClusterMap Map, L1Table L1)> ReopenAsync(EngineKit kit, ulong entry)
    {
        var entries = await L1Table.ReadAsync(kit.Storage, kit.Fields, CancellationToken.None);
        entries[0] = entry;
        var l1 = new L1Table(kit.Storage, kit.Header, entries);
        return (new ClusterMap(
            kit.Storage, kit.Header.Geometry, new EngineLocks(), l1, kit.Allocator, kit.Guard, kit.Reservation, kit.Order,
            new DecompressedCluster(), 0), l1);
    }
}
