namespace Paddock.Block.Concurrency;

/// <summary>
/// Admits requests concurrently, and closes for changes that no request may see half done: new requests then wait, and those inside end
/// first. Passing costs two additions in memory private to the processor; nothing is allocated while the gate is open.
/// </summary>
internal sealed class RequestGate
{
    // counters of several processors, each in cache lines of its own
    private const int Counters = 8, Apart = 16;

    private readonly long[] _inside = new long[(Counters + 1) * Apart];
    private readonly AsyncMutex _closing = new();

    // state of the closed gate for entering and leaving requests; null while it is open
    private volatile Closed? _closed;

    /// <summary>Completes when the gate is open; it may be closed again by then.</summary>
    public Task Opened => _closed?.Opened.Task ?? Task.CompletedTask;

    /// <summary>Enters if the gate is open.</summary>
    /// <returns>A ticket for <see cref="Leave"/>; negative when it is closed: wait for <see cref="Opened"/>, and try again.</returns>
    public int TryEnter()
    {
        // increment, full barrier, then check: either Close sees our count or we see it closed
        int ticket = Thread.GetCurrentProcessorId() & (Counters - 1);
        Interlocked.Increment(ref Counter(ticket));
        if (_closed is null)
        {
            return ticket;
        }

        Leave(ticket);
        return -1;
    }

    /// <summary>Enters, waiting while the gate is closed.</summary>
    public async ValueTask<int> EnterAsync()
    {
        while (true)
        {
            if (TryEnter() is >= 0 and var ticket)
            {
                return ticket;
            }

            await Opened;
        }
    }

    /// <summary>Leaves; may be called from any thread, once for each ticket.</summary>
    public void Leave(int ticket)
    {
        Interlocked.Decrement(ref Counter(ticket));
        if (_closed is { } closed)
        {
            TellIfEmpty(closed);
        }
    }

    /// <summary>
    /// Closes the gate; completes when no request is inside. One caller at a time; each must <see cref="Open"/> it again.
    /// </summary>
    public async ValueTask CloseAsync()
    {
        await _closing.AcquireAsync();
        await Shut().Empty.Task;
    }

    /// <inheritdoc cref="CloseAsync"/>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="OperationCanceledException">The wait was cancelled; the gate is open again.</exception>
    public async ValueTask CloseUntilAsync(CancellationToken cancellationToken)
    {
        await _closing.AcquireUntilAsync(cancellationToken);
        try
        {
            await Shut().Empty.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            Open();
            throw;
        }
    }

    /// <summary>Closes the gate as <see cref="CloseAsync"/> does; if it is not closed, or not empty, at the limit, it stays open.</summary>
    /// <param name="limit">Time for the requests inside, and for another caller that has closed the gate.</param>
    /// <returns>Whether the gate is closed and no request is inside.</returns>
    public async ValueTask<bool> TryCloseAsync(TimeSpan limit)
    {
        var timeout = Task.Delay(limit);
        var acquiring = _closing.AcquireAsync().AsTask();
        if (await Task.WhenAny(acquiring, timeout) != acquiring)
        {
            _ = acquiring.ContinueWith(_ => _closing.Release(), TaskScheduler.Default);
            return false;
        }

        var empty = Shut().Empty.Task;
        if (await Task.WhenAny(empty, timeout) == empty)
        {
            return true;
        }

        Open();
        return false;
    }

    /// <summary>Opens the gate that the caller closed.</summary>
    public void Open()
    {
        Interlocked.Exchange(ref _closed, null)!.Opened.SetResult();
        _closing.Release();
    }

    private Closed Shut()
    {
        var closed = new Closed();
        Interlocked.Exchange(ref _closed, closed);
        TellIfEmpty(closed);
        return closed;
    }

    // with the gate closed, a counter rises only for a request that finds it closed and leaves at once, and such a request checks again
    // here. The gate may be closed again before a late check: it notifies only the waiters of the closing that it was called for
    private void TellIfEmpty(Closed closed)
    {
        for (int i = 0; i < Counters; i++)
        {
            if (Interlocked.Read(ref Counter(i)) != 0)
            {
                return;
            }
        }

        closed.Empty.TrySetResult();
    }

    private ref long Counter(int ticket) => ref _inside[(ticket + 1) * Apart];

    /// <summary>One closing; continuations must not run on the thread of a leaving request.</summary>
    private sealed class Closed
    {
        public TaskCompletionSource Opened { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource Empty { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
