namespace Paddock.Sim.Ceph;

/// <summary>
/// A process of a simulation: runs, is stopped as by SIGSTOP, or is dead as after SIGKILL, which may happen between any two of its steps.
/// Its clock goes on while it is stopped; its timers fire when it resumes.
/// </summary>
/// <param name="time">Time of the simulation.</param>
/// <param name="name">Name for traces.</param>
internal sealed class SimProcess(VirtualTime time, string name) : SynchronizationContext
{
    private readonly Queue<VirtualTime.Step> _missed = new();
    private readonly PriorityQueue<Action, int> _interruptions = new();
    private int _steps;

    /// <summary>Name for traces.</summary>
    public string Name => name;

    /// <summary>When it was killed; null: it was not.</summary>
    public long? Died { get; private set; }

    /// <summary>Whether it was killed.</summary>
    public bool IsDead => Died is not null;

    /// <summary>Whether it is stopped.</summary>
    public bool IsStopped { get; private set; }

    /// <summary>How often it was stopped.</summary>
    public int Stops { get; private set; }

    /// <summary>Whether it does not hear notifications of the cluster.</summary>
    public bool IsDeaf { get; set; }

    /// <summary>Time of the simulation.</summary>
    public VirtualTime Time => time;

    /// <inheritdoc/>
    public override void Post(SendOrPostCallback d, object? state) => time.Post(this, d, state);

    /// <summary>Whether a step runs now; steps of a stopped process are kept, and those of a dead one forgotten.</summary>
    public bool Admits(in VirtualTime.Step step)
    {
        _steps += IsStopped ? 0 : 1;
        while (!IsStopped && _interruptions.TryPeek(out var interruption, out int at) && at <= _steps)
        {
            _interruptions.Dequeue();
            SetSynchronizationContext(null);
            interruption();
        }

        if (IsStopped && !IsDead)
        {
            _missed.Enqueue(step);
        }

        return !IsStopped && !IsDead;
    }

    /// <summary>Has something happen to it before one of its next steps.</summary>
    /// <param name="steps">The step, counted from 1.</param>
    /// <param name="action">What happens.</param>
    public void Interrupt(int steps, Action action) => _interruptions.Enqueue(action, _steps + steps);

    /// <summary>Nothing of that happens any more.</summary>
    public void CancelInterruptions() => _interruptions.Clear();

    /// <summary>Kills it.</summary>
    public void Kill()
    {
        Died = time.Now;
        _missed.Clear();
    }

    /// <summary>Stops it.</summary>
    public void Stop()
    {
        IsStopped = true;
        Stops++;
    }

    /// <summary>Resumes it.</summary>
    public void Resume()
    {
        if (IsStopped)
        {
            IsStopped = false;
            time.Resume(_missed);
        }
    }

    /// <summary>Runs an action as a step of this process.</summary>
    public void Run(Action action) => time.After(0, this, action);

    /// <summary>Completes after a delay.</summary>
    /// <param name="delay">Microseconds.</param>
    public Task DelayAsync(long delay)
    {
        var source = new TaskCompletionSource();
        time.After(delay, this, source.SetResult);
        return source.Task;
    }

    /// <summary>Completes when a task does, or after a delay: whether the task did.</summary>
    /// <param name="task">The task.</param>
    /// <param name="delay">Microseconds.</param>
    public async Task<bool> WaitAsync(Task task, long delay)
    {
        await Task.WhenAny(task, DelayAsync(delay));
        return task.IsCompleted;
    }
}
