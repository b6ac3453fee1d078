namespace Paddock.VhostUser.Blk;

/// <summary>
/// Memory that the requests of a device hold. A ring's thread waits here for room before it takes another step: requests that run do not
/// need that thread to end.
/// </summary>
/// <param name="limit">Bytes; a request that is larger runs alone.</param>
internal sealed class RequestBudget(long limit)
{
    private readonly object _gate = new();
    private long _held;

    /// <summary>Bytes that are held.</summary>
    public long Held
    {
        get
        {
            lock (_gate)
            {
                return _held;
            }
        }
    }

    /// <summary>Takes room where there is some.</summary>
    public bool TryEnter(long bytes)
    {
        lock (_gate)
        {
            if (_held > 0 && _held + bytes > limit)
            {
                return false;
            }

            _held += bytes;
            return true;
        }
    }

    /// <summary>Takes room, and waits for it where there is none.</summary>
    public void Enter(long bytes)
    {
        lock (_gate)
        {
            while (_held > 0 && _held + bytes > limit)
            {
                Monitor.Wait(_gate);
            }

            _held += bytes;
        }
    }

    /// <summary>Takes room for what runs already, whether or not there is any.</summary>
    public void Add(long bytes)
    {
        lock (_gate)
        {
            _held += bytes;
        }
    }

    /// <summary>Waits until some is given back, and not longer than the limit.</summary>
    public void Await(TimeSpan limit)
    {
        lock (_gate)
        {
            Monitor.Wait(_gate, limit);
        }
    }

    /// <summary>Gives it back.</summary>
    public void Leave(long bytes)
    {
        lock (_gate)
        {
            _held -= bytes;
            Monitor.PulseAll(_gate);
        }
    }
}
