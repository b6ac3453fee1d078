namespace Paddock.Block.Concurrency;

/// <summary>
/// Shared and exclusive holds on ranges of numbers (clusters, zones). Holds that overlap wait for each other, in order of arrival,
/// unless both are shared; others never meet. Taking a free range neither blocks nor allocates in steady state.
/// </summary>
/// <remarks>The cost of a call grows with the number of holds at that moment, which the queue depth of the clients bounds.</remarks>
/// <param name="overtakes">
/// Whether a hold that conflicts with waiters only is granted at once, as QEMU does for serialising requests; waiters may starve then.
/// </param>
internal sealed class RangeLock(bool overtakes = false)
{
    private readonly Lock _lock = new();
    private readonly List<Hold> _holds = [];
    private readonly List<Waiter> _waiters = [];

    /// <summary>Completes when the caller holds [<paramref name="first"/>, <paramref name="last"/>].</summary>
    public ValueTask AcquireAsync(long first, long last, bool exclusive)
    {
        var hold = new Hold(first, last, exclusive);
        lock (_lock)
        {
            if (!Conflicts(hold))
            {
                _holds.Add(hold);
                return ValueTask.CompletedTask;
            }

            var waiter = new Waiter(hold, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
            _waiters.Add(waiter);
            return new ValueTask(waiter.Granted.Task);
        }
    }

    /// <summary>
    /// Completes when the caller holds two ranges exclusively, which may overlap. Both are granted at once: a request that held one and
    /// waited for the other could wait for itself, behind a waiter that needs the first.
    /// </summary>
    public ValueTask AcquireBothAsync(long first, long last, long otherFirst, long otherLast)
    {
        Hold hold = new(first, last, Exclusive: true), other = new(otherFirst, otherLast, Exclusive: true);
        lock (_lock)
        {
            if (!Conflicts(hold) && !Conflicts(other))
            {
                _holds.Add(hold);
                _holds.Add(other);
                return ValueTask.CompletedTask;
            }

            var waiter = new Waiter(hold, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously), other);
            _waiters.Add(waiter);
            return new ValueTask(waiter.Granted.Task);
        }
    }

    /// <summary>Releases a hold acquired with the same arguments.</summary>
    public void Release(long first, long last, bool exclusive)
    {
        lock (_lock)
        {
            int at = _holds.LastIndexOf(new Hold(first, last, exclusive));
            _holds[at] = _holds[^1];
            _holds.RemoveAt(_holds.Count - 1);
            if (_waiters.Count > 0)
            {
                GrantWaiters();
            }
        }
    }

    private bool Conflicts(in Hold hold)
    {
        foreach (ref readonly var held in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_holds))
        {
            if (held.ConflictsWith(hold))
            {
                return true;
            }
        }

        return !overtakes && ConflictsWithWaiter(hold);
    }

    // behind earlier waiters for the same range, or an exclusive request could starve
    private bool ConflictsWithWaiter(in Hold hold)
    {
        foreach (var waiter in _waiters)
        {
            if (waiter.Hold.ConflictsWith(hold) || waiter.Other?.ConflictsWith(hold) == true)
            {
                return true;
            }
        }

        return false;
    }

    private void GrantWaiters()
    {
        var waiting = _waiters.ToArray();
        _waiters.Clear();
        foreach (var waiter in waiting)
        {
            if (Conflicts(waiter.Hold) || (waiter.Other is { } second && Conflicts(second)))
            {
                _waiters.Add(waiter);
            }
            else
            {
                _holds.Add(waiter.Hold);
                if (waiter.Other is { } other)
                {
                    _holds.Add(other);
                }

                waiter.Granted.SetResult();
            }
        }
    }

    private readonly record struct Hold(long First, long Last, bool Exclusive)
    {
        public bool ConflictsWith(in Hold other) => First <= other.Last && other.First <= Last && (Exclusive || other.Exclusive);
    }

    private readonly record struct Waiter(Hold Hold, TaskCompletionSource Granted, Hold? Other = null);
}
