namespace Paddock.Faults;

/// <summary>Breakpoints: a request that comes to a named event stops there until it is resumed by the breakpoint's tag.</summary>
internal sealed partial class FaultStorage
{
    private TaskCompletionSource _stopsChanged = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Told the tag of each request that stops.</summary>
    public event Action<string>? Suspended;

    /// <summary>Told the tag of each request that goes on.</summary>
    public event Action<string>? Resumed;

    /// <summary>Stops the next request that comes to an event; the breakpoint is gone then.</summary>
    /// <returns>False when there is no such event.</returns>
    public bool SetBreak(string eventName, string tag)
    {
        if (!FaultEvents.IsKnown(eventName))
        {
            return false;
        }

        lock (_lock)
        {
            _breaks.Add(new Break(eventName, tag));
            _waits = true;
        }

        return true;
    }

    /// <summary>Lets the request go on that stopped last at a breakpoint with this tag.</summary>
    /// <returns>False when none is stopped there.</returns>
    public bool Resume(string tag)
    {
        Stop stop;
        lock (_lock)
        {
            int at = _stops.FindLastIndex(s => s.Tag == tag);
            if (at < 0)
            {
                return false;
            }

            stop = _stops[at];
            _stops.RemoveAt(at);
        }

        Resumed?.Invoke(tag);
        stop.Go.SetResult();
        return true;
    }

    /// <summary>Forgets breakpoints with this tag and lets all requests go on that stopped there.</summary>
    /// <returns>False when there were neither.</returns>
    public bool RemoveBreak(string tag)
    {
        bool any;
        lock (_lock)
        {
            any = _breaks.RemoveAll(b => b.Tag == tag) > 0;
            _waits = _rules.Count > 0 || _breaks.Count > 0;
        }

        while (Resume(tag))
        {
            any = true;
        }

        return any;
    }

    /// <summary>True while a request is stopped at a breakpoint with this tag.</summary>
    public bool IsSuspended(string tag)
    {
        lock (_lock)
        {
            return _stops.Exists(s => s.Tag == tag);
        }
    }

    /// <summary>Completes when a request is stopped at a breakpoint with this tag.</summary>
    public async Task WaitSuspendedAsync(string tag, CancellationToken cancellationToken = default)
    {
        while (true)
        {
            Task changed;
            lock (_lock)
            {
                if (_stops.Exists(s => s.Tag == tag))
                {
                    return;
                }

                changed = _stopsChanged.Task;
            }

            await changed.WaitAsync(cancellationToken);
        }
    }

    /// <summary>What an event's breakpoints make its request wait for. Under the lock.</summary>
    private Task StopAt(string eventName)
    {
        Task wait = Task.CompletedTask;
        for (int i = _breaks.Count - 1; i >= 0; i--)
        {
            if (_breaks[i].Event != eventName)
            {
                continue;
            }

            var stop = new Stop(_breaks[i].Tag, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
            _breaks.RemoveAt(i);
            _stops.Add(stop);
            wait = wait.IsCompleted ? stop.Go.Task : Task.WhenAll(wait, stop.Go.Task);
            Suspended?.Invoke(stop.Tag);
        }

        if (!wait.IsCompleted)
        {
            _waits = _rules.Count > 0 || _breaks.Count > 0;
            _stopsChanged.SetResult();
            _stopsChanged = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        return wait;
    }

    private void ReleaseAll()
    {
        Stop[] stops;
        lock (_lock)
        {
            stops = [.. _stops];
            _stops.Clear();
            _breaks.Clear();
        }

        foreach (var stop in stops)
        {
            stop.Go.SetResult();
        }
    }

    private readonly record struct Break(string Event, string Tag);

    private readonly record struct Stop(string Tag, TaskCompletionSource Go);
}
