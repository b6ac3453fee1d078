using Paddock.Block;

namespace Paddock.Serving.Tests;

/// <summary>Renting and reuse in a pool of slabs.</summary>
public class SlabPoolTests
{
    private const int Small = 8 << 10, Large = 64 << 10;

    [Fact]
    public void Unused_buffer_sizes_are_freed_for_requested_ones()
    {
        var pool = new SlabPool(keeps: 4 * Large);
        Turn(pool, Large, 4);
        var first = Turn(pool, Small, 32);
        var second = Turn(pool, Small, 32);
        Assert.True(first.SetEquals(second));
    }

    [Fact]
    public void Kept_memory_stays_within_its_limit()
    {
        var pool = new SlabPool(keeps: 2 * Large);
        var first = Turn(pool, Large, 5);
        var second = Turn(pool, Large, 5);
        Assert.Equal(2, second.Count(first.Contains));
        Assert.Equal(0, pool.Lent);
    }

    [Fact]
    public void Lent_memory_stays_within_its_limit()
    {
        var pool = new SlabPool(limit: 3 * Small);
        var slabs = Enumerable.Range(0, 3).Select(_ => pool.Rent(Small)).ToList();
        Assert.Null(pool.TryRent(1));
        Assert.Equal(BlockError.NoMemory, Assert.Throws<BlockException>(() => pool.Rent(Small)).Error);
        slabs[0].Release();
        Assert.NotNull(pool.TryRent(Small));
    }

    // rents that many at once and returns them
    private static HashSet<Slab> Turn(SlabPool pool, int size, int count)
    {
        var slabs = Enumerable.Range(0, count).Select(_ => pool.Rent(size)).ToHashSet();
        foreach (var slab in slabs)
        {
            slab.Release();
        }

        return slabs;
    }
}
