namespace Paddock.Rbd.Tests;

/// <summary>What librbd's cache may hold: which flushes are needed.</summary>
public class CacheTests
{
    [Fact]
    public void Flush_without_changes_is_not_needed()
    {
        var cache = new RbdCache(RbdCacheMode.WriteAround);
        Assert.True(cache.IsSettled);
        Assert.False(cache.TryBeginFlush());
    }

    [Fact]
    public void Change_is_unsettled_until_a_flush_after_it_has_ended()
    {
        var cache = new RbdCache(RbdCacheMode.WriteAround);
        cache.MarkDirty();
        Assert.False(cache.IsSettled);
        Assert.True(cache.TryBeginFlush());
        Assert.False(cache.IsSettled);
        cache.EndFlush(isDone: true);
        Assert.True(cache.IsSettled);
    }

    [Fact]
    public void Change_that_completes_during_a_flush_needs_another()
    {
        var cache = new RbdCache(RbdCacheMode.WriteAround);
        cache.MarkDirty();
        Assert.True(cache.TryBeginFlush());
        cache.MarkDirty();
        cache.EndFlush(isDone: true);
        Assert.False(cache.IsSettled);
        Assert.True(cache.TryBeginFlush());
    }

    [Fact]
    public void Second_flush_does_not_end_before_the_first()
    {
        var cache = new RbdCache(RbdCacheMode.WriteAround);
        cache.MarkDirty();
        Assert.True(cache.TryBeginFlush());
        Assert.True(cache.TryBeginFlush());
    }

    [Fact]
    public void Failed_flush_leaves_the_cache_unsettled()
    {
        var cache = new RbdCache(RbdCacheMode.WriteAround);
        cache.MarkDirty();
        Assert.True(cache.TryBeginFlush());
        cache.EndFlush(isDone: false);
        Assert.False(cache.IsSettled);
        Assert.True(cache.TryBeginFlush());
    }

    [Fact]
    public void Without_a_cache_every_change_is_durable()
    {
        var cache = new RbdCache(RbdCacheMode.Off);
        cache.MarkDirty();
        Assert.True(cache.IsSettled && cache.CanWriteThrough);
    }

    [Fact]
    public void With_an_unknown_cache_no_write_is_durable_by_itself()
    {
        var cache = new RbdCache(RbdCacheMode.Other);
        cache.MarkDirty();
        Assert.False(cache.IsSettled || cache.CanWriteThrough);
    }
}
