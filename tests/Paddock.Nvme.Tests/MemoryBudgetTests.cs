using Paddock.Nvme.Target;

namespace Paddock.Nvme.Tests;

public class MemoryBudgetTests
{
    private readonly MemoryBudget _budget = new(limit: 100);

    [Fact]
    public async Task Waiting_ends_when_usage_falls_to_the_limit()
    {
        _budget.Take(150);
        Assert.True(_budget.IsExceeded);
        var waiting = _budget.WaitAsync();
        _budget.Return(49);
        Assert.False(waiting.IsCompleted);
        _budget.Return(1);
        await waiting.AsTask().WaitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(100, _budget.Held);
        Assert.False(_budget.IsExceeded);
    }

    [Fact]
    public async Task Waiting_below_the_limit_completes_at_once()
        => await _budget.WaitAsync().AsTask().WaitAsync(TestContext.Current.CancellationToken);

    [Fact]
    public async Task Closing_the_budget_releases_current_and_later_waiters()
    {
        _budget.Take(101);
        var waiting = _budget.WaitAsync();
        _budget.Close();
        await waiting.AsTask().WaitAsync(TestContext.Current.CancellationToken);
        Assert.True(_budget.IsExceeded);
        await _budget.WaitAsync().AsTask().WaitAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Return_on_another_thread_always_wakes_the_waiter()
    {
        for (int round = 0; round < 2000; round++)
        {
            _budget.Take(101);
            var other = Task.Run(() => _budget.Return(101), TestContext.Current.CancellationToken);
            await _budget.WaitAsync().AsTask().WaitAsync(TestContext.Current.CancellationToken);
            await other;
        }

        Assert.Equal(0, _budget.Held);
    }
}
