using Paddock.VhostUser.Blk;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>Turns of long writes: every queued write runs.</summary>
public class WriteTurnTests
{
    [Fact]
    public void Requests_that_arrive_during_a_turn_run_when_it_is_released()
    {
        var turn = new WriteTurn();
        Assert.True(turn.TryEnter());
        Assert.False(turn.TryEnter());
        using var done = new CountdownEvent(3);
        int begun = 0;
        for (int i = 0; i < 3; i++)
        {
            turn.Add(new Work(() =>
            {
                Interlocked.Increment(ref begun);
                done.Signal();
            }));
        }

        Assert.Equal(0, Volatile.Read(ref begun));
        turn.Leave();
        Assert.True(done.Wait(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken));
        AssertFree(turn);
    }

    [Fact]
    public async Task Every_request_runs_once_under_contention()
    {
        var turn = new WriteTurn();
        int[] runs = new int[4 * 2_000];
        await Task.WhenAll(Enumerable.Range(0, 4).Select(t => Task.Run(() =>
        {
            for (int i = 0; i < 2_000; i++)
            {
                int n = (t * 2_000) + i;
                if (i % 3 == 0 && turn.TryEnter())
                {
                    runs[n]++;
                    turn.Leave();
                }
                else
                {
                    turn.Add(new Work(() => Interlocked.Increment(ref runs[n])));
                }
            }
        })));
        AssertFree(turn);
        Assert.All(runs, r => Assert.Equal(1, r));
    }

    [Fact]
    public void Blocked_requests_run_in_parallel()
    {
        var turn = new WriteTurn();
        using var both = new Barrier(2);
        using var met = new CountdownEvent(2);
        Assert.True(turn.TryEnter());
        turn.Add(new Work(() => SpinWait.SpinUntil(static () => false, TimeSpan.FromMilliseconds(20))));
        for (int i = 0; i < 2; i++)
        {
            // each waits for the other
            turn.Add(new Work(() =>
            {
                both.SignalAndWait(TestContext.Current.CancellationToken);
                met.Signal();
            }));
        }

        turn.Leave();
        Assert.True(met.Wait(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken));
        AssertFree(turn);
    }

    private static void AssertFree(WriteTurn turn)
    {
        Assert.True(SpinWait.SpinUntil(turn.TryEnter, TimeSpan.FromSeconds(30)));
        turn.Leave();
    }

    private sealed class Work(Action run) : IThreadPoolWorkItem
    {
        public void Execute() => run();
    }
}
