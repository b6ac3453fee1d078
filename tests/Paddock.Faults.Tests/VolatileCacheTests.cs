using Paddock.Block;

namespace Paddock.Faults.Tests;

/// <summary>The parts of a volatile cache in isolation: its contents, and the runs written from it.</summary>
public class VolatileCacheTests
{
    private const int Sector = CachedBlock.SectorSize, Block = CachedBlock.Size;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void Empty_cache_leaves_the_whole_range_to_the_storage_below()
        => Assert.Equal([(0, 1000)], new SectorCache(1 << 20).Read(0, new byte[1000]));

    [Fact]
    public void Read_returns_cached_sectors_and_names_the_gaps()
    {
        var cache = new SectorCache(1 << 20);
        Put(cache, Block, 7, Sector);
        var read = new byte[3 * Sector];
        Assert.Equal([(0, Sector), (2 * Sector, Sector)], cache.Read(Block - Sector, read));
        Assert.Equal(-1, read.AsSpan(Sector, Sector).IndexOfAnyExcept((byte)7));
    }

    [Fact]
    public void Part_of_a_sector_needs_its_rest_from_below()
    {
        var cache = new SectorCache(1 << 20);
        byte[] data = [1, 2, 3], edges = new byte[2 * Sector];
        edges.AsSpan().Fill(9);
        Assert.False(cache.TryPut(10, data, data.Length, null, -1));
        Assert.True(cache.TryPut(10, data, data.Length, edges, cache.Drained));
        var read = new byte[Sector];
        Assert.Empty(cache.Read(0, read));
        Assert.Equal([9, 1, 2, 3, 9], read[9..14]);
    }

    [Fact]
    public void Edges_that_were_read_before_a_drain_are_refused()
    {
        var cache = new SectorCache(1 << 20);
        long seen = cache.Drained;
        cache.SettleZeroes([]);
        Assert.False(cache.TryPut(10, new byte[3], 3, new byte[2 * Sector], seen));
    }

    [Fact]
    public void Zeroed_range_replaces_data_and_data_replaces_it()
    {
        var cache = new SectorCache(1 << 20);
        Put(cache, 0, 7, Block);
        cache.Zero(Sector, 2 * Sector, mayUnmap: true);
        Assert.Equal(CachePlace.Block, cache.Locate(0, Block).Place);
        Assert.Equal((CachePlace.Zeroes, 2 * Sector), cache.Locate(Sector, Block));
        Put(cache, Sector, 8, Sector);
        Assert.True(cache.HoldsAll(0, Block));
        Assert.Equal(0, cache.Zeroes.Count);
    }

    [Fact]
    public void Oldest_blocks_leave_first_and_come_back_as_the_oldest()
    {
        var cache = new SectorCache(1 << 20);
        foreach (int index in new[] { 5, 1, 3 })
        {
            Put(cache, index * Block, 7, Block);
        }

        long[] oldest = cache.TakeOldest(Block);
        Assert.Equal([5, 1], oldest);
        cache.PutBack(oldest);
        Assert.Equal([5], cache.TakeOldest(2 * Block));
    }

    [Fact]
    public void Run_holds_whole_neighbours_or_one_block_with_holes()
    {
        var cache = new SectorCache(1 << 20);
        Put(cache, 0, 1, 2 * Block);
        Put(cache, 2 * Block, 2, Sector);
        Put(cache, 4 * Block, 3, Block);
        var run = new CacheRun();
        long[] order = [0, 1, 2, 3, 4];
        Assert.Equal((2, 2), (cache.Stage(order, 0, run), run.Count));
        Assert.Equal((3, 1), (cache.Stage(order, 2, run), run.Count));
        Assert.Equal((4, 0), (cache.Stage(order, 3, run), run.Count));
        Assert.Equal((5, 1), (cache.Stage(order, 4, run), run.Count));
    }

    [Fact]
    public void Block_that_changed_while_it_was_written_stays()
    {
        var cache = new SectorCache(1 << 20);
        Put(cache, 0, 1, 2 * Block);
        var run = new CacheRun();
        cache.Stage([0, 1], 0, run);
        Put(cache, Block, 2, Sector);
        cache.Settle(run);
        Assert.Equal([1], cache.Blocks);
        Assert.Equal(1, cache.Drained);
    }

    [Fact]
    public async Task Run_with_holes_writes_its_sectors_alone_and_not_past_the_end()
    {
        var cache = new SectorCache(1 << 20);
        Put(cache, Sector, 1, Sector);
        Put(cache, 7 * Sector, 2, Sector);
        var run = new CacheRun();
        cache.Stage([0], 0, run);
        await using var below = new MemoryStorage();
        await below.WriteAsync(0, Enumerable.Repeat((byte)9, Block).ToArray(), Token);
        await run.WriteAsync(below, Block - 100);
        var read = new byte[Block];
        await below.ReadAsync(0, read, Token);
        Assert.Equal((9, 1, 9), (read[Sector - 1], read[Sector], read[2 * Sector]));
        Assert.Equal((2, 2, 9), (read[7 * Sector], read[Block - 101], read[Block - 100]));
    }

    [Fact]
    public void Everything_fails_once_the_power_is_cut()
    {
        var cache = new SectorCache(0);
        cache.ThrowIfDead();
        cache.Kill();
        Assert.Equal(BlockError.NoMedium, Assert.Throws<BlockException>(cache.ThrowIfDead).Error);
    }

    [Fact]
    public async Task Drain_moves_contents_and_length_below()
    {
        var cache = new SectorCache(0);
        Put(cache, 0, 7, 2 * Block);
        cache.Length = Block + 10;
        await using var below = new MemoryStorage();
        await new CacheDrain(below, cache, 1 << 20).FlushAsync(Token);
        Assert.True(cache.IsEmpty);
        Assert.Equal(Block + 10, below.Length);
    }

    private static void Put(SectorCache cache, long offset, byte value, int length)
    {
        var data = new byte[length];
        data.AsSpan().Fill(value);
        Assert.True(cache.TryPut(offset, data, length, null, -1));
    }
}
