namespace Paddock.VhostUser.Blk;

/// <summary>Requests that must reach the disk in the order in which they came, away from the ring's thread.</summary>
/// <param name="turn">Where its requests wait for their turn among those of other lanes.</param>
internal sealed class WriteLane(WriteTurn turn) : IThreadPoolWorkItem
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

        turn.Add(this);
    }

    /// <inheritdoc/>
    public void Execute()
    {
        for (long length = 0; ;)
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

            length += request.Length;
            request.Run(here: false);
            if (length >= BlkLimits.LongestInline)
            {
                GoOn();
                return;
            }
        }
    }

    /// <summary>The next request, when its turn comes: the one that held the lane has ended.</summary>
    public void GoOn() => turn.Add(this);
}
