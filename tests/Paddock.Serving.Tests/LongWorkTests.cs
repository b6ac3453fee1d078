using Paddock.Block;

namespace Paddock.Serving.Tests;

public sealed class LongWorkTests
{
    private readonly Lock _lock = new();
    private readonly List<string> _log = [];

    [Fact]
    public async Task Clients_take_turns_whatever_one_has_queued()
    {
        var work = new LongWork(1);
        using LongWorkClient greedy = work.Open(), modest = work.Open();
        var held = new TaskCompletionSource();
        var first = greedy.RunAsync(_ => held.Task);
        var many = Enumerable.Range(0, 50).Select(_ => greedy.RunAsync(turn => PiecesAsync("greedy", 20, turn))).ToArray();
        var one = modest.RunAsync(turn => PiecesAsync("modest", 3, turn));
        held.SetResult();

        await Task.WhenAll([first, one, .. many]);

        int last = _log.LastIndexOf("modest");
        Assert.Equal((3, 1000), (_log.Count(l => l == "modest"), _log.Count(l => l == "greedy")));
        Assert.True(last <= 6, $"the modest client's third piece ran as number {last + 1}");
    }

    [Fact]
    public async Task Pieces_and_requests_per_client_stay_within_their_limits()
    {
        var work = new LongWork(2);
        LongWorkClient[] clients = [work.Open(), work.Open(), work.Open(limit: 2)];
        int running = 0, most = 0;
        int[] begun = new int[3], mostBegun = new int[3];
        await Task.WhenAll(Enumerable.Range(0, 60).Select(i => clients[i % 3].RunAsync(async turn =>
        {
            lock (_lock)
            {
                mostBegun[i % 3] = Math.Max(mostBegun[i % 3], ++begun[i % 3]);
            }

            for (int piece = 0; piece < 10; piece++)
            {
                lock (_lock)
                {
                    most = Math.Max(most, ++running);
                }

                Thread.SpinWait(1000);
                lock (_lock)
                {
                    running--;
                }

                await turn.NextAsync();
            }

            lock (_lock)
            {
                begun[i % 3]--;
            }
        })));

        Assert.InRange(most, 1, 2);
        Assert.Equal((1, 1, true), (mostBegun[0], mostBegun[1], mostBegun[2] <= 2));
    }

    [Fact]
    public async Task Pieces_do_not_run_on_threads_of_the_pool()
    {
        using var client = new LongWork(1).Open();
        var pool = new List<bool>();
        await client.RunAsync(async turn =>
        {
            for (int piece = 0; piece < 100; piece++)
            {
                pool.Add(Thread.CurrentThread.IsThreadPoolThread);
                await Task.Run(() => { });
                await turn.NextAsync();
            }
        });

        Assert.Equal(100, pool.Count);
        Assert.DoesNotContain(true, pool);
    }

    [Fact]
    public async Task Disconnected_client_ends_after_its_piece_and_others_continue()
    {
        var work = new LongWork(1);
        LongWorkClient gone = work.Open(), other = work.Open();
        var inside = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var go = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        int pieces = 0;
        var endless = gone.RunAsync(async turn =>
        {
            while (true)
            {
                pieces++;
                inside.TrySetResult();
                await go.Task;
                await turn.NextAsync();
            }
        });
        await inside.Task;
        var waiting = gone.RunAsync(_ => Task.CompletedTask);
        gone.Dispose();
        await IsCancelledAsync(waiting);
        go.SetResult();
        await IsCancelledAsync(endless);
        await IsCancelledAsync(gone.RunAsync(_ => Task.CompletedTask));

        Assert.Equal(1, pieces);
        Assert.Equal(7, await other.RunAsync(_ => Task.FromResult(7)));
    }

    [Fact]
    public async Task Stop_cancels_waiting_requests_and_lets_running_ones_finish()
    {
        using var client = new LongWork(1).Open();
        var go = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var inside = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var running = client.RunAsync(async turn =>
        {
            inside.SetResult();
            await go.Task;
            await turn.NextAsync();
            return 1;
        });
        await inside.Task;
        var waiting = client.RunAsync(_ => Task.CompletedTask);
        client.CancelWaiting();
        await IsCancelledAsync(waiting);
        go.SetResult();

        Assert.Equal(1, await running);
    }

    [Fact]
    public async Task Failed_request_releases_its_turn()
    {
        using var client = new LongWork(1).Open();
        await Assert.ThrowsAsync<InvalidOperationException>(() => client.RunAsync(_ => throw new InvalidOperationException("broken")));
        Assert.Equal(1, await client.RunAsync(_ => Task.FromResult(1)));
    }

    private static async Task IsCancelledAsync(Task request)
        => Assert.Equal(BlockError.Cancelled, (await Assert.ThrowsAsync<BlockException>(() => request)).Error);

    private async Task PiecesAsync(string name, int count, LongTurn turn)
    {
        for (int i = 0; i < count; i++)
        {
            lock (_lock)
            {
                _log.Add(name);
            }

            await turn.NextAsync();
        }
    }
}
