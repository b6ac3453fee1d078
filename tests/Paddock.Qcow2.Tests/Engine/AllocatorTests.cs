using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>Allocation and freeing of host clusters, without an image around them.</summary>
public class AllocatorTests
{
    [Fact]
    public async Task Allocation_takes_the_first_gap_and_raises_its_counts()
    {
        var kit = await EngineKit.CreateAsync();
        var run = await kit.Allocator.AllocateAsync(3);
        Assert.Equal(new ClusterRun(new HostCluster(4), 3, KnownZero: true), run);
        Assert.Equal(1UL, await kit.Counts.GetAsync(new HostCluster(6)));
        Assert.Equal(0UL, await kit.Counts.GetAsync(new HostCluster(7)));
        Assert.Equal(0UL, await kit.StoredCountAsync(new HostCluster(4)));
        await kit.Order.RunAsync();
        Assert.Equal(1UL, await kit.StoredCountAsync(new HostCluster(4)));
    }

    [Fact]
    public async Task Freed_clusters_are_used_again_only_after_a_flush()
    {
        var kit = await EngineKit.CreateAsync();
        var run = await kit.Allocator.AllocateAsync(2);
        kit.Allocator.FreeLater(new(run.First, run.Count));
        Assert.Equal(2, kit.Allocator.PendingFreeClusters);
        Assert.Equal(new HostCluster(6), (await kit.Allocator.AllocateAsync(2)).First);
        await kit.Order.RunAsync();
        Assert.Equal(0, kit.Allocator.PendingFreeClusters);
        var again = await kit.Allocator.AllocateAsync(2);
        Assert.Equal(run.First, again.First);
        Assert.False(again.KnownZero);
    }

    [Fact]
    public async Task Data_cluster_that_no_stored_table_refers_to_is_used_again_at_once()
    {
        var kit = await EngineKit.CreateAsync();
        var run = await kit.Allocator.AllocateUpToAsync(1);
        kit.Allocator.FreeLater(new(run.First, 1));
        Assert.Equal(run.First, (await kit.Allocator.AllocateUpToAsync(1)).First);

        // an entry may have reached the storage from here on
        kit.Allocator.TablesReachStorage();
        kit.Allocator.FreeLater(new(run.First, 1));
        Assert.NotEqual(run.First, (await kit.Allocator.AllocateUpToAsync(1)).First);
    }

    [Fact]
    public async Task New_refcount_block_follows_the_run_that_needs_it()
    {
        var kit = await EngineKit.CreateAsync();
        await kit.Allocator.AllocateAsync(250);
        var run = await kit.Allocator.AllocateAsync(10);
        Assert.Equal(254, run.First.Index);
        Assert.Equal(264L * EngineKit.Cluster, kit.Counts.BlockOf(new HostCluster(257)).Value);
        Assert.Equal(1UL, await kit.Counts.GetAsync(new HostCluster(264)));
        Assert.Equal(MetadataKind.RefcountBlock, kit.Guard.Map.Find(new HostOffset(264 * EngineKit.Cluster), 1));
    }

    [Fact]
    public async Task Table_that_cannot_count_more_is_moved_to_a_larger_place()
    {
        var kit = await EngineKit.CreateAsync();
        await kit.Allocator.AllocateAsync(64 * 256);
        Assert.True(kit.Counts.TableEntries > 64);
        Assert.Equal(kit.Counts.TableOffset.Value, (long)kit.Header.Fields.RefcountTableOffset);
        Assert.Equal(0UL, await kit.Counts.GetAsync(new HostCluster(1)));
        Assert.Equal(MetadataKind.RefcountTable, kit.Guard.Map.Find(kit.Counts.TableOffset, 1));
        Assert.Equal(MetadataKind.None, kit.Guard.Map.Find(new HostOffset(EngineKit.Cluster), 1));
    }

    [Fact]
    public async Task Table_that_fails_to_move_stays_in_use()
    {
        var kit = await EngineKit.CreateAsync();
        kit.Storage.FailWriteAt = 0;
        await Assert.ThrowsAsync<Block.BlockException>(async () => await kit.Allocator.AllocateAsync(64 * 256));
        Assert.Equal(EngineKit.Cluster, kit.Counts.TableOffset.Value);
        Assert.Equal(1UL, await kit.Counts.GetAsync(new HostCluster(1)));
    }

    [Fact]
    public async Task Trimming_removes_empty_blocks_and_cuts_the_storage()
    {
        var kit = await EngineKit.CreateAsync();
        var run = await kit.Allocator.AllocateAsync(64 * 256);
        await kit.Order.RunAsync();
        kit.Allocator.FreeLater(new(run.First, run.Count));
        await kit.Order.RunAsync();
        var trimming = new RefcountTrimming(
            kit.Storage, kit.Header.Geometry, kit.Reservation, kit.Counts, kit.Growth, kit.Allocator, kit.Holes);
        await trimming.TrimAsync();
        Assert.Single(kit.Counts.Blocks);
        Assert.InRange(kit.Storage.Length, 5 * EngineKit.Cluster, 16 * EngineKit.Cluster);
    }

    [Fact]
    public async Task Compressed_data_share_a_cluster_until_it_is_full()
    {
        var kit = await EngineKit.CreateAsync();
        var first = await kit.Allocator.AllocateBytesAsync(200);
        var second = await kit.Allocator.AllocateBytesAsync(200);
        Assert.Equal(first + 200, second);
        Assert.Equal(2UL, await kit.Counts.GetAsync(new HostCluster(4)));
        var third = await kit.Allocator.AllocateBytesAsync(200);
        Assert.Equal(second + 200, third);
        Assert.Equal(3UL, await kit.Counts.GetAsync(new HostCluster(4)));
        Assert.Equal(1UL, await kit.Counts.GetAsync(new HostCluster(5)));
    }

    [Fact]
    public async Task Header_that_is_counted_as_free_closes_the_image()
    {
        var kit = await EngineKit.CreateAsync();
        await kit.Counts.AddAsync(new(new HostCluster(0), 1), -1);
        await Assert.ThrowsAsync<ImageCorruptException>(async () => await kit.Allocator.AllocateAsync(1));
        Assert.True(kit.Guard.HasFailed);
        Assert.True(kit.Header.Has(IncompatibleFeatures.Corrupt));
    }

    [Fact]
    public async Task Count_below_zero_is_refused()
    {
        var kit = await EngineKit.CreateAsync();
        await Assert.ThrowsAsync<ImageCorruptException>(async () => await kit.Allocator.FreeNowAsync(new(new HostCluster(9), 1)));
    }

    [Fact]
    public async Task Lazy_counts_are_no_part_of_a_flush()
    {
        var kit = await EngineKit.CreateAsync(isLazy: true);
        await kit.Allocator.AllocateAsync(1);
        await kit.Order.RunAsync();
        Assert.Equal(0UL, await kit.StoredCountAsync(new HostCluster(4)));
        await kit.Counts.WriteAsync();
        Assert.Equal(1UL, await kit.StoredCountAsync(new HostCluster(4)));
    }

    [Fact]
    public async Task Refcount_block_is_made_again_only_after_its_removal_is_durable()
    {
        const int first = EngineKit.Cluster * 8 / 16;
        var kit = await EngineKit.CreateAsync();
        var counted = new HostClusters(new HostCluster(first), 1);
        Assert.True(await kit.Counts.EnsureBlocksAsync(counted));
        await kit.Order.RunAsync();
        await kit.Counts.RemoveBlockAsync(1);
        kit.Storage.Restart();

        // the storage's table may still name the old block, which lies in the same place
        Assert.True(await kit.Counts.EnsureBlocksAsync(counted));
        int flushed = kit.Storage.Log.IndexOf("flush");
        int written = kit.Storage.Log.IndexOf($"write {(first + 1) * EngineKit.Cluster}+{EngineKit.Cluster}");
        Assert.InRange(flushed, 0, written);
    }
}
