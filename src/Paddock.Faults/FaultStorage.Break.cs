namespace Paddock.Faults;

/// <summary>Breakpoints: a request that reaches a named event is suspended until it is resumed by the breakpoint's tag.</summary>
internal sealed partial class FaultStorage
{
    private TaskCompletionSource _stopsChanged = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Called with the tag of each request that is suspended.</summary>
    public event Action<string>? Suspended;

    /// <summary>Called with the tag of each request that resumes.</summary>
    public event Action<string>? Resumed;

    /// <summary>Suspends the next request that reaches an event, and removes the breakpoint then.</summary>
    /// <returns>False if the event does not exist.</returns>
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

    /// <summary>Resumes the request that was last suspended at a breakpoint with this tag.</summary>
    /// <returns>False if no request is suspended there.</returns>
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

    /// <summary>Removes breakpoints with this tag and resumes all requests suspended there.</summary>
    /// <returns>False if there were neither.</returns>
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

    /// <summary>Whether a request is suspended at a breakpoint with this tag.</summary>
    public bool IsSuspended(string tag)
    {
        lock (_lock)
        {
            return _stops.Exists(s => s.Tag == tag);
        }
    }

    /// <summary>Completes when a request is suspended at a breakpoint with this tag.</summary>
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

    /// <summary>Returns the wait that an event's breakpoints impose on its request. Under the lock.</summary>
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
