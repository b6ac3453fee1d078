namespace Paddock.Serving.Tests;

/// <summary>Requests wait for room rather than exceed the limits.</summary>
public class RequestBudgetTests
{
    [Fact]
    public async Task Held_bytes_stay_within_the_limit_and_every_request_runs()
    {
        var budget = new RequestBudget(100);
        long most = 0;
        await Task.WhenAll(Enumerable.Range(0, 6).Select(i => Task.Run(() =>
        {
            for (int n = 0; n < 500; n++)
            {
                budget.Enter(30 + i);
                long held = budget.Held;
                most = Math.Max(most, held);
                budget.Leave(30 + i);
            }
        }))).WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        Assert.InRange(most, 30, 100);
        Assert.Equal(0, budget.Held);
    }

    [Fact]
    public void Request_above_the_limit_runs_alone()
    {
        var budget = new RequestBudget(100);
        budget.Enter(500);
        Assert.Equal(500, budget.Held);
        Assert.False(budget.TryEnter(1));
        budget.Leave(500);
        Assert.True(budget.TryEnter(1));
        Assert.False(budget.TryEnter(500));
    }

    [Fact]
    public void Number_of_requests_is_limited_too()
    {
        var budget = new RequestBudget(100, maxRequests: 2);
        Assert.True(budget.TryEnter(0));
        Assert.True(budget.TryEnter(0));
        Assert.False(budget.TryEnter(0));
        budget.Add(0);
        budget.Leave(0);
        Assert.False(budget.TryEnter(0));
        budget.Leave(0);
        Assert.True(budget.TryEnter(0));
    }

    [Fact]
    public async Task Drain_waits_for_the_last_request()
    {
        var budget = new RequestBudget(100);
        budget.Enter(1);
        budget.Enter(1);
        var drained = Task.Run(budget.Drain, TestContext.Current.CancellationToken);
        budget.Leave(1);
        Assert.False(budget.IsEmpty);
        Assert.False(drained.IsCompleted);
        budget.Leave(1);
        await drained.WaitAsync(TestContext.Current.CancellationToken);
        Assert.True(budget.IsEmpty);
    }
}
