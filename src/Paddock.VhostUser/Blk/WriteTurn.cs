using System.Diagnostics;

namespace Paddock.VhostUser.Blk;

/// <summary>
/// Runs long writes to one disk, from all rings, one at a time while each is quick. File systems admit one writer to a file at a time, and
/// writers that spin on its lock take processor time from the one that holds it. While a write waits for a disk, others run beside it.
/// </summary>
internal sealed class WriteTurn : IThreadPoolWorkItem
{
    private const int MostWorkers = 8;

    // far above the time to copy the longest part on a quiet machine, and below that of a disk
    private static readonly long Slow = Stopwatch.Frequency / 1_000;

    private readonly Lock _lock = new();
    private readonly Queue<IThreadPoolWorkItem> _waiting = new();
    private int _workers;

    /// <summary>Takes the turn if it is free; <see cref="Leave"/> releases it.</summary>
    public bool TryEnter()
    {
        lock (_lock)
        {
            if (_workers > 0)
            {
                return false;
            }

            _workers = 1;
            return true;
        }
    }

    /// <summary>Releases the turn; requests that arrived meanwhile run elsewhere.</summary>
    public void Leave()
    {
        lock (_lock)
        {
            if (_waiting.Count == 0)
            {
                _workers--;
                return;
            }
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    /// <summary>Runs a work item on another thread when its turn comes.</summary>
    public void Add(IThreadPoolWorkItem work)
    {
        lock (_lock)
        {
            _waiting.Enqueue(work);
            if (_workers > 0)
            {
                return;
            }

            _workers = 1;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    /// <inheritdoc/>
    public void Execute()
    {
        for (bool first = true, slow = false; ; first = false)
        {
            IThreadPoolWorkItem? work;
            bool more;
            lock (_lock)
            {
                // a quick write needs no help
                bool leaves = _workers > 1 && !slow && !first;
                work = null;
                if (leaves || !_waiting.TryDequeue(out work))
                {
                    _workers--;
                    return;
                }

                more = slow && _waiting.Count > 0 && _workers < MostWorkers;
                _workers += more ? 1 : 0;
            }

            if (more)
            {
                ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
            }

            long since = Stopwatch.GetTimestamp();
            work.Execute();
            slow = Stopwatch.GetTimestamp() - since > Slow;
        }
    }
}
