namespace Paddock.VhostUser.Blk;

/// <summary>Requests that must reach the disk in the order in which they came, away from the ring's thread.</summary>
internal sealed class WriteLane : IThreadPoolWorkItem
{
    private readonly Lock _lock = new();
    private readonly Queue<BlkRequest> _waiting = new();
    private bool _running;

    /// <summary>Whether none waits or is being begun. Stays true until the one thread that adds adds.</summary>
    public bool IsIdle
    {
        get
        {
            lock (_lock)
            {
                return !_running;
            }
        }
    }

    /// <summary>Begins a request after those before it have begun.</summary>
    public void Add(BlkRequest request)
    {
        lock (_lock)
        {
            _waiting.Enqueue(request);
            if (_running)
            {
                return;
            }

            _running = true;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    /// <inheritdoc/>
    public void Execute()
    {
        while (true)
        {
            BlkRequest? request;
            lock (_lock)
            {
                if (!_waiting.TryDequeue(out request))
                {
                    _running = false;
                    return;
                }
            }

            if (request.IsParted)
            {
                // the next may begin when its last part is written
                request.RunHolding(this);
                return;
            }

            request.Run(here: false);
        }
    }

    /// <summary>The request that held the lane has ended.</summary>
    public void GoOn() => ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
}
