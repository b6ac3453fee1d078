namespace Paddock.Nbd.Transport;

/// <summary>Counts one connection's requests that are away from its receive loop, and the bytes that they hold.</summary>
internal sealed class InFlight(int maxRequests, long maxBytes)
{
    private readonly object _lock = new();
    private int _requests;
    private long _bytes;
    private bool _waiting;

    /// <summary>Whether there are none.</summary>
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

    /// <summary>Whether one more of this size may start now.</summary>
    public bool TryEnter(int bytes)
    {
        lock (_lock)
        {
            return TryEnterLocked(bytes);
        }
    }

    /// <summary>Waits until one more of this size may start.</summary>
    public void Enter(int bytes)
    {
        lock (_lock)
        {
            while (!TryEnterLocked(bytes))
            {
                _waiting = true;
                Monitor.Wait(_lock);
            }
        }
    }

    /// <summary>One is answered.</summary>
    public void Leave(int bytes)
    {
        lock (_lock)
        {
            _requests--;
            _bytes -= bytes;
            if (_waiting)
            {
                _waiting = false;
                Monitor.PulseAll(_lock);
            }
        }
    }

    /// <summary>Waits until all are answered.</summary>
    public void Drain()
    {
        lock (_lock)
        {
            while (_requests > 0)
            {
                _waiting = true;
                Monitor.Wait(_lock);
            }
        }
    }

    private bool TryEnterLocked(int bytes)
    {
        // the first may always go, however long: it is within the limit of one request
        if (_requests > 0 && (_requests >= maxRequests || _bytes + bytes > maxBytes))
        {
            return false;
        }

        _requests++;
        _bytes += bytes;
        return true;
    }
}
