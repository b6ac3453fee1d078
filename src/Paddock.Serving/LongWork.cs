namespace Paddock.Serving;

/// <summary>
/// Requests that cost far more than a read or a write (Verify, CACHE, large discards, all zones at once). They run in pieces, on dedicated
/// threads, a few at a time for the whole process. Clients take turns, so that a client with a thousand such requests delays another
/// client's only request by a few pieces.
/// </summary>
/// <example>
/// A connection keeps a <see cref="LongWorkClient"/> and runs each long request through it:
/// <code>
/// private readonly LongWorkClient _longWork = LongWork.Shared.Open();
///
/// await _longWork.RunAsync(async turn =>
/// {
///     for (long done = 0; done &lt; length; done += LongWork.PieceBytes)
///     {
///         await device.ReadAsync(offset + done, ...);   // one piece, without a wait for other clients
///         await turn.NextAsync();                       // lets the others run first; throws if the client has disconnected
///     }
/// });
///
/// _longWork.CancelWaiting();    // the server stops: requests that have not started fail, the others may finish
/// _longWork.Dispose();          // the client has disconnected: everything fails at the end of its piece
/// </code>
/// </example>
internal sealed class LongWork
{
    /// <summary>Recommended size in bytes of a piece that moves data.</summary>
    public const int PieceBytes = 1 << 20;

    // a monitor, since the threads wait on it
    private readonly object _lock = new();
    private readonly Queue<LongWorkClient> _ring = new();
    private readonly Queue<LongTurn> _ready = new();
    private readonly int _turns;
    private int _free, _threads;

    /// <param name="turns">Number of pieces that run at once.</param>
    public LongWork(int turns)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(turns, 1);
        _turns = _free = turns;
    }

    /// <summary>Process-wide instance, shared by all servers and connections.</summary>
    public static LongWork Shared { get; } = new(Math.Max(2, Environment.ProcessorCount / 2));

    /// <summary>
    /// Returns the length in bytes of the next piece of a range. It ends at a multiple of the maximum length, because a cluster in two
    /// pieces would be freed by neither.
    /// </summary>
    /// <param name="offset">Offset of the piece.</param>
    /// <param name="left">Remaining bytes of the range.</param>
    /// <param name="longest">Maximum length of a piece in bytes.</param>
    public static long PieceAt(long offset, long left, long longest) => Math.Min(longest - (offset % longest), left);

    /// <summary>Guards this object and all its clients.</summary>
    internal object Lock => _lock;

    /// <summary>Opens a client's share.</summary>
    /// <param name="limit">Maximum number of the client's requests in flight; the others wait in the order of their arrival.</param>
    public LongWorkClient Open(int limit = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        return new LongWorkClient(this, limit);
    }

    /// <summary>Queues a client that has a piece to run. Under the lock.</summary>
    internal void Enter(LongWorkClient client)
    {
        if (!client.IsInRing && client.CanRun)
        {
            client.IsInRing = true;
            _ring.Enqueue(client);
        }

        Grant();
    }

    /// <summary>Ends a piece. Under the lock.</summary>
    internal void Leave()
    {
        _free++;
        Grant();
    }

    // one piece for each client in turn
    private void Grant()
    {
        while (_free > 0 && _ring.TryDequeue(out var client))
        {
            client.IsInRing = false;
            if (!client.CanRun)
            {
                continue;
            }

            _free--;
            _ready.Enqueue(client.TakeNext());
            if (client.CanRun)
            {
                client.IsInRing = true;
                _ring.Enqueue(client);
            }

            AddThread();
            Monitor.Pulse(_lock);
        }
    }

    private void AddThread()
    {
        if (_threads == _turns)
        {
            return;
        }

        try
        {
            new Thread(Run) { IsBackground = true, Name = "long work" }.Start();
            _threads++;
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
            // no more threads can be created: the existing ones run everything, or a pool thread if there are none
            if (_threads == 0)
            {
                ThreadPool.UnsafeQueueUserWorkItem(static work => work.RunReady(), this, preferLocal: false);
            }
        }
    }

    private void RunReady()
    {
        LongTurn? turn;
        lock (_lock)
        {
            _ = _ready.TryDequeue(out turn);
        }

        turn?.Begin();
    }

    // a piece that blocks in a system call blocks only this thread; an asynchronous wait frees the thread but keeps the turn
    private void Run()
    {
        while (true)
        {
            LongTurn? turn;
            lock (_lock)
            {
                while (!_ready.TryDequeue(out turn))
                {
                    Monitor.Wait(_lock);
                }
            }

            turn.Begin();
        }
    }
}
