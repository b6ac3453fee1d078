using Paddock.Block;

namespace Paddock.Serving;

/// <summary>One client's share of <see cref="LongWork"/>. All members are thread-safe.</summary>
internal sealed class LongWorkClient : IDisposable
{
    private readonly LongWork _work;
    private readonly int _limit;

    // requests in flight run before requests that have not started
    private readonly Queue<LongTurn> _underWay = new(), _waiting = new();
    private int _begun;

    internal LongWorkClient(LongWork work, int limit) => (_work, _limit) = (work, limit);

    /// <summary>Whether the client has disconnected; its running requests fail at the end of their piece.</summary>
    public bool IsDisposed { get; private set; }

    /// <summary>Number of requests that wait for their first turn.</summary>
    public int Waiting
    {
        get
        {
            lock (_work.Lock)
            {
                return _waiting.Count;
            }
        }
    }

    internal bool IsInRing { get; set; }

    internal bool CanRun => _underWay.Count > 0 || (_waiting.Count > 0 && _begun < _limit);

    /// <summary>Runs a request in pieces; between two of them it calls <see cref="LongTurn.NextAsync"/>.</summary>
    /// <exception cref="BlockException"><see cref="BlockError.Cancelled"/>: the client disconnected, or the server stops.</exception>
    public async Task<T> RunAsync<T>(Func<LongTurn, Task<T>> request)
    {
        var turn = new LongTurn(this);
        await turn.NextAsync();
        try
        {
            return await request(turn);
        }
        finally
        {
            End(turn);
        }
    }

    /// <inheritdoc cref="RunAsync{T}"/>
    public Task RunAsync(Func<LongTurn, Task> request) => RunAsync(async turn =>
    {
        await request(turn);
        return true;
    });

    /// <summary>Fails the requests that have not started; running ones continue, and later ones are accepted.</summary>
    public void CancelWaiting()
    {
        lock (_work.Lock)
        {
            Fail(_waiting);
        }
    }

    /// <summary>Fails waiting requests immediately, and running ones at the end of their piece.</summary>
    public void Dispose()
    {
        lock (_work.Lock)
        {
            IsDisposed = true;
            Fail(_waiting);
            Fail(_underWay);
        }
    }

    internal static BlockException Cancelled()
        => new(BlockError.Cancelled, "the request was cancelled: its client is gone, or the server stops");

    /// <summary>Releases the turn and queues for the next one.</summary>
    internal void Wait(LongTurn turn)
    {
        lock (_work.Lock)
        {
            if (turn.HasTurn)
            {
                turn.HasTurn = false;
                _work.Leave();
            }

            var line = turn.HasBegun ? _underWay : _waiting;
            line.Enqueue(turn);
            if (IsDisposed)
            {
                Fail(line);
            }

            _work.Enter(this);
        }
    }

    /// <summary>Returns the turn that runs next. Under the lock.</summary>
    internal LongTurn TakeNext()
    {
        if (!_underWay.TryDequeue(out var turn))
        {
            turn = _waiting.Dequeue();
            turn.HasBegun = true;
            _begun++;
        }

        turn.HasTurn = true;
        return turn;
    }

    private void End(LongTurn turn)
    {
        lock (_work.Lock)
        {
            _begun -= turn.HasBegun ? 1 : 0;
            if (turn.HasTurn)
            {
                turn.HasTurn = false;
                _work.Leave();
            }

            _work.Enter(this);
        }
    }

    // continuations run elsewhere: not under the lock, and not on the cancelling thread
    private static void Fail(Queue<LongTurn> turns)
    {
        while (turns.TryDequeue(out var turn))
        {
            ThreadPool.UnsafeQueueUserWorkItem(static t => t.Fail(), turn, preferLocal: false);
        }
    }
}
