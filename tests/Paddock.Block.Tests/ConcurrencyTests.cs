using Paddock.Block.Concurrency;

namespace Paddock.Block.Tests;

public class ConcurrencyTests
{
    [Fact]
    public async Task Mutex_is_granted_in_order_of_arrival()
    {
        var mutex = new AsyncMutex();
        Assert.True(mutex.AcquireAsync().AsTask().IsCompletedSuccessfully);
        var second = mutex.AcquireAsync().AsTask();
        var third = mutex.AcquireAsync().AsTask();
        Assert.False(second.IsCompleted);
        mutex.Release();
        await second;
        Assert.False(third.IsCompleted);
        mutex.Release();
        await third;
        mutex.Release();
        Assert.True(mutex.AcquireAsync().AsTask().IsCompletedSuccessfully);
    }

    [Fact]
    public async Task Mutex_is_not_granted_to_a_cancelled_wait()
    {
        var mutex = new AsyncMutex();
        await mutex.AcquireAsync();
        using var cancel = new CancellationTokenSource();
        var first = mutex.AcquireUntilAsync(cancel.Token).AsTask();
        var second = mutex.AcquireUntilAsync(CancellationToken.None).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        mutex.Release();
        await second.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Mutex_admits_one_holder_at_a_time()
    {
        var mutex = new AsyncMutex();
        int inside = 0, most = 0, done = 0;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(async () =>
        {
            for (int i = 0; i < 500; i++)
            {
                await mutex.AcquireAsync();
                most = Math.Max(most, ++inside);
                if (i % 16 == 0)
                {
                    await Task.Yield();
                }

                inside--;
                done++;
                mutex.Release();
            }
        })));
        Assert.Equal((1, 4000), (most, done));
    }

    [Fact]
    public void Shared_holds_overlap_and_an_exclusive_hold_waits_for_all_of_them()
    {
        var locks = new RangeLock();
        Assert.True(locks.AcquireAsync(0, 4, exclusive: false).AsTask().IsCompletedSuccessfully);
        Assert.True(locks.AcquireAsync(4, 9, exclusive: false).AsTask().IsCompletedSuccessfully);
        var writer = locks.AcquireAsync(4, 4, exclusive: true).AsTask();
        Assert.False(writer.IsCompleted);
        Assert.True(locks.AcquireAsync(10, 10, exclusive: true).AsTask().IsCompletedSuccessfully);
        locks.Release(0, 4, exclusive: false);
        Assert.False(writer.IsCompleted);
        locks.Release(4, 9, exclusive: false);
        Assert.True(writer.IsCompleted);
    }

    [Fact]
    public void Reader_does_not_overtake_a_waiting_writer()
    {
        var locks = new RangeLock();
        _ = locks.AcquireAsync(1, 1, exclusive: false).AsTask();
        var writer = locks.AcquireAsync(0, 2, exclusive: true).AsTask();
        var late = locks.AcquireAsync(2, 3, exclusive: false).AsTask();
        var elsewhere = locks.AcquireAsync(4, 4, exclusive: false).AsTask();
        Assert.True(elsewhere.IsCompletedSuccessfully);
        Assert.False(late.IsCompleted);
        locks.Release(1, 1, exclusive: false);
        Assert.True(writer.IsCompleted);
        Assert.False(late.IsCompleted);
        locks.Release(0, 2, exclusive: true);
        Assert.True(late.IsCompleted);
    }

    [Fact]
    public async Task Random_holds_never_conflict()
    {
        const int numbers = 16;
        int seed = TestSeed.Next();
        var locks = new RangeLock();
        var readers = new int[numbers];
        var writers = new int[numbers];
        bool broken = false;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            var random = new Random(seed + worker);
            for (int i = 0; i < 400; i++)
            {
                int first = random.Next(numbers), last = random.Next(first, numbers);
                bool exclusive = random.Next(2) == 0;
                await locks.AcquireAsync(first, last, exclusive);
                for (int n = first; n <= last; n++)
                {
                    int writing = exclusive ? Interlocked.Increment(ref writers[n]) : Volatile.Read(ref writers[n]);
                    int reading = exclusive ? Volatile.Read(ref readers[n]) : Interlocked.Increment(ref readers[n]);
                    broken |= exclusive ? writing != 1 || reading != 0 : writing != 0;
                }

                await Task.Yield();
                for (int n = first; n <= last; n++)
                {
                    _ = Interlocked.Decrement(ref exclusive ? ref writers[n] : ref readers[n]);
                }

                locks.Release(first, last, exclusive);
            }
        })));
        Assert.False(broken, $"seed {seed}");
        Assert.True(locks.AcquireAsync(0, numbers, exclusive: true).AsTask().IsCompletedSuccessfully);
    }
}
