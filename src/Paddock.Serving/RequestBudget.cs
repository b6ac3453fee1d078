namespace Paddock.Serving;

/// <summary>
/// Limits the number of requests in flight and the bytes that they hold. The thread that takes requests waits here for room before the
/// next; requests in flight complete without that thread. All members are thread-safe.
/// </summary>
/// <param name="maxBytes">Maximum number of bytes held at once; a larger request runs alone.</param>
/// <param name="maxRequests">Maximum number of requests in flight.</param>
internal sealed class RequestBudget(long maxBytes, int maxRequests = int.MaxValue)
{
    private readonly object _lock = new();
    private long _bytes;
    private int _requests, _waiters;

    /// <summary>Number of bytes held by requests.</summary>
    public long Held
    {
        get
        {
            lock (_lock)
            {
                return _bytes;
            }
        }
    }

    /// <summary>Whether no request is in flight.</summary>
    public bool IsEmpty
    {
        get
        {
            lock (_lock)
            {
                return _requests == 0;
            }
        }
    }

    /// <summary>Starts a request if there is room for it.</summary>
    public bool TryEnter(long bytes)
    {
        lock (_lock)
        {
            return TryEnterLocked(bytes);
        }
    }

    /// <summary>Waits until there is room for a request, and starts it.</summary>
    public void Enter(long bytes)
    {
        lock (_lock)
        {
            while (!TryEnterLocked(bytes))
            {
                Wait(Timeout.InfiniteTimeSpan);
            }
        }
    }

    /// <summary>Starts a request regardless of the limits, because it is in flight.</summary>
    public void Add(long bytes)
    {
        lock (_lock)
        {
            _requests++;
            _bytes += bytes;
        }
    }

    /// <summary>Ends a request.</summary>
    public void Leave(long bytes)
    {
        lock (_lock)
        {
            _requests--;
            _bytes -= bytes;
            if (_waiters > 0)
            {
                Monitor.PulseAll(_lock);
            }
        }
    }

    /// <summary>Waits until a request ends, up to a time limit.</summary>
    public void AwaitLeave(TimeSpan limit)
    {
        lock (_lock)
        {
            Wait(limit);
        }
    }

    /// <summary>Waits until no request is in flight.</summary>
    public void Drain()
    {
        lock (_lock)
        {
            while (_requests > 0)
            {
                Wait(Timeout.InfiniteTimeSpan);
            }
        }
    }

    private bool TryEnterLocked(long bytes)
    {
        // one request may always run, however large: otherwise it would wait forever
        if (_requests > 0 && (_requests >= maxRequests || _bytes + bytes > maxBytes))
        {
            return false;
        }

        _requests++;
        _bytes += bytes;
        return true;
    }

    private void Wait(TimeSpan limit)
    {
        _waiters++;
        try
        {
            Monitor.Wait(_lock, limit);
        }
        finally
        {
            _waiters--;
        }
    }
}
