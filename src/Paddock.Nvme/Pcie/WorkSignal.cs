namespace Paddock.Nvme.Pcie;

/// <summary>Wakes a worker that sleeps, and passes it commands that ended on other threads.</summary>
internal sealed class WorkSignal
{
    // a monitor, since the worker waits on it
    private readonly object _lock = new();
    private CommandList _ended;
    private bool _isWoken, _isClosed;
    private volatile bool _isAsleep, _hasEnded;

    /// <summary>Whether commands ended on other threads.</summary>
    public bool HasEnded => _hasEnded;

    /// <summary>Adds a command that has ended.</summary>
    /// <returns>False when the worker takes no more.</returns>
    public bool TryAdd(PcieCommand command)
    {
        lock (_lock)
        {
            if (_isClosed)
            {
                return false;
            }

            _ended.Add(command);
            _hasEnded = true;
        }

        Wake();
        return true;
    }

    /// <summary>Moves the commands that have ended to a list.</summary>
    public void TakeEnded(ref CommandList to)
    {
        lock (_lock)
        {
            to.Append(ref _ended);
            _hasEnded = false;
        }
    }

    /// <summary>Accepts no more commands.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _isClosed = true;
        }
    }

    /// <summary>Wakes the worker if it sleeps. What it is to see must have been stored before.</summary>
    public void Wake()
    {
        // pairs with BeginSleep: either the worker sees what was stored, or we see that it sleeps
        Interlocked.MemoryBarrier();
        if (!_isAsleep)
        {
            return;
        }

        lock (_lock)
        {
            _isWoken = true;
            Monitor.Pulse(_lock);
        }
    }

    /// <summary>From here on the worker is woken; it then looks once more whether there is work, and sleeps or not.</summary>
    public void BeginSleep()
    {
        _isAsleep = true;
        Interlocked.MemoryBarrier();
    }

    /// <summary>Sleeps until woken, or for so long.</summary>
    /// <param name="milliseconds">Limit; -1: none.</param>
    public void Sleep(int milliseconds)
    {
        lock (_lock)
        {
            if (!_isWoken)
            {
                Monitor.Wait(_lock, milliseconds);
            }
        }

        EndSleep();
    }

    /// <summary>The worker is awake.</summary>
    public void EndSleep()
    {
        lock (_lock)
        {
            _isAsleep = false;
            _isWoken = false;
        }
    }
}
