using Paddock.VhostUser.Blk;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>Requests wait for room rather than take more than there is.</summary>
public class RequestBudgetTests
{
    [Fact]
    public async Task Never_is_more_held_than_the_limit_and_nobody_waits_for_ever()
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
    public void What_is_larger_than_the_limit_runs_alone()
    {
        var budget = new RequestBudget(100);
        budget.Enter(500);
        Assert.Equal(500, budget.Held);
        budget.Leave(500);
    }
}
