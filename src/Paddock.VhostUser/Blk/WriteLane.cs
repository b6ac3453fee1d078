namespace Paddock.VhostUser.Blk;

/// <summary>Requests that must reach the disk in the order of their arrival, outside the ring's thread.</summary>
/// <param name="turn">Orders long writes among all lanes.</param>
internal sealed class WriteLane(WriteTurn turn) : IThreadPoolWorkItem
{
    private readonly Lock _lock = new();
    private readonly Queue<BlkRequest> _waiting = new();
    private bool _running;

    /// <summary>Whether no request is waiting or starting. Stays true until the only thread that adds requests adds one.</summary>
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

    /// <summary>Starts a request after the previous ones have started.</summary>
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
                // the next may start when the last part has been written
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

    /// <summary>Starts the next request: the one that held the lane has completed.</summary>
    public void GoOn() => turn.Add(this);
}
