using Microsoft.Extensions.Time.Testing;
using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>When the space of freed clusters goes back to the storage.</summary>
public class FreedSpaceTests
{
    private const int Cluster = 65536, Clusters = 64;
    private static readonly TimeSpan Keep = TimeSpan.FromSeconds(10);

    [Fact]
    public void What_is_free_for_a_period_becomes_due_and_what_is_used_again_does_not()
    {
        var clock = new FakeTimeProvider();
        var freed = new FreedSpace(Keep, clock);
        Assert.True(freed.TryAdd(Run(10, 20)));
        clock.Advance(Keep);
        Assert.False(freed.TryTakeDue(100, out _));
        Assert.True(freed.TryAdd(Run(30, 40)));
        freed.Remove(Run(12, 14));
        clock.Advance(Keep);
        Assert.True(freed.TryTakeDue(100, out var taken));
        Assert.Equal(Run(14, 20), taken);
        Assert.True(freed.TryTakeDue(1, out taken));
        Assert.Equal(Run(11, 12), taken);
        Assert.True(freed.TryTakeDue(100, out taken));
        Assert.Equal(Run(10, 11), taken);
        Assert.False(freed.TryTakeDue(100, out _));
        clock.Advance(Keep);
        Assert.True(freed.TryTakeDue(100, out taken));
        Assert.Equal(Run(30, 40), taken);
        Assert.True(freed.IsEmpty);
    }

    [Fact]
    public void Without_a_period_all_is_due_at_once()
    {
        var freed = new FreedSpace(TimeSpan.Zero, new FakeTimeProvider());
        Assert.True(freed.TryAdd(Run(1, 2)));
        Assert.True(freed.TryTakeDue(1, out _));
        Assert.True(freed.IsEmpty);
    }

    [Fact]
    public void Everything_can_be_taken_before_its_time()
    {
        var clock = new FakeTimeProvider();
        var freed = new FreedSpace(Keep, clock);
        Assert.True(freed.TryAdd(Run(1, 2)));
        clock.Advance(Keep);
        Assert.False(freed.TryTakeDue(1, out _));
        Assert.True(freed.TryAdd(Run(3, 4)));
        Assert.True(freed.TryTakeAny(out _) && freed.TryTakeAny(out _));
        Assert.False(freed.TryTakeAny(out _));
    }

    [Fact]
    public async Task A_flush_gives_space_back_where_none_is_kept()
    {
        var (image, storage, full) = await FilledAsync(new Qcow2OpenOptions());
        await image.DiscardAsync(0, Clusters * Cluster, TestContext.Current.CancellationToken);
        await image.FlushAsync(TestContext.Current.CancellationToken);
        Assert.Equal(full - (Clusters * Cluster), storage.AllocatedBytes);
        await image.DisposeAsync();
    }

    [Fact(Timeout = 60_000)]
    public async Task Kept_space_goes_back_by_itself_and_is_used_again_before()
    {
        var clock = new FakeTimeProvider();
        var (image, storage, full) = await FilledAsync(new Qcow2OpenOptions { KeepFreedSpace = Keep, Clock = clock });
        for (int round = 0; round < 5; round++)
        {
            await image.DiscardAsync(0, Clusters * Cluster, TestContext.Current.CancellationToken);
            await image.FlushAsync(TestContext.Current.CancellationToken);
            clock.Advance(Keep / 2);
            Assert.Equal(full, storage.AllocatedBytes);
            await image.WriteAsync(0, new byte[Clusters * Cluster], cancellationToken: TestContext.Current.CancellationToken);
            Assert.Equal(full, storage.AllocatedBytes);
        }

        await image.DiscardAsync(0, Clusters * Cluster, TestContext.Current.CancellationToken);
        await image.FlushAsync(TestContext.Current.CancellationToken);
        while (storage.AllocatedBytes == full)
        {
            // the time limit of the test ends the wait for space that never goes back
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
            clock.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }

        while (storage.AllocatedBytes > full - (Clusters * Cluster))
        {
            await Task.Delay(1, TestContext.Current.CancellationToken);
        }

        await image.DisposeAsync();
        Assert.Equal(full - (Clusters * Cluster), storage.AllocatedBytes);
    }

    [Fact]
    public async Task Closing_releases_kept_space()
    {
        var (image, storage, full) = await FilledAsync(new Qcow2OpenOptions { KeepFreedSpace = Keep, Clock = new FakeTimeProvider() });
        await image.DiscardAsync(0, Clusters * Cluster, TestContext.Current.CancellationToken);
        await image.DisposeAsync();
        Assert.Equal(full - (Clusters * Cluster), storage.AllocatedBytes);
    }

    private static HostClusters Run(long first, long end) => new(new(first), end - first);

    private static async Task<(IQcow2Device Image, KeptStorage Storage, long Full)> FilledAsync(Qcow2OpenOptions options)
    {
        var storage = new KeptStorage(new MemoryStorage());
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = Clusters * Cluster });
        var image = await Qcow2Image.OpenAsync(storage, options);
        await image.WriteAsync(0, new byte[Clusters * Cluster].AsMemory());
        await image.FlushAsync();
        return (image, storage, storage.AllocatedBytes);
    }
}
