using Paddock.Nvme.Tcp;

namespace Paddock.Nvme.Tests;

public class MemoryBudgetTests
{
    private readonly MemoryBudget _budget = new(limit: 100);

    [Fact]
    public async Task Waiting_ends_when_no_more_than_the_limit_is_held()
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
    public async Task Waiting_below_the_limit_ends_at_once()
        => await _budget.WaitAsync().AsTask().WaitAsync(TestContext.Current.CancellationToken);

    [Fact]
    public async Task Closed_budget_lets_the_waiter_go_and_every_later_one()
    {
        _budget.Take(101);
        var waiting = _budget.WaitAsync();
        _budget.Close();
        await waiting.AsTask().WaitAsync(TestContext.Current.CancellationToken);
        Assert.True(_budget.IsExceeded);
        await _budget.WaitAsync().AsTask().WaitAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task No_return_on_another_thread_is_missed()
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
