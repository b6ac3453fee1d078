namespace Paddock.Sim.Ceph;

/// <summary>
/// Time of a simulation of several processes, in microseconds. All of them run on one thread, one step after another; time advances when
/// nobody has anything to do, to the next event. A seed determines the order of everything.
/// </summary>
internal sealed class VirtualTime
{
    /// <summary>Microseconds of a millisecond.</summary>
    public const long Millisecond = 1000;

    /// <summary>Microseconds of a second.</summary>
    public const long Second = 1000 * Millisecond;

    private readonly Queue<Step> _ready = new();
    private readonly PriorityQueue<Step, (long At, long Order)> _later = new();
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private long _order;

    /// <summary>Microseconds since the simulation began.</summary>
    public long Now { get; private set; }

    /// <summary>Steps of all processes so far.</summary>
    public int Steps { get; private set; }

    /// <summary>Runs an action of a process after a delay.</summary>
    /// <param name="delay">Microseconds.</param>
    /// <param name="process">The process; null: part of the world, which never stops.</param>
    /// <param name="action">The action.</param>
    public void After(long delay, SimProcess? process, Action action)
        => _later.Enqueue(new Step(process, static state => ((Action)state!)(), action), (Now + delay, _order++));

    /// <summary>Runs a continuation of a process at the present time.</summary>
    public void Post(SimProcess process, SendOrPostCallback callback, object? state)
    {
        SimFailure.Unless(Environment.CurrentManagedThreadId == _thread, "a continuation comes from another thread");
        _ready.Enqueue(new Step(process, callback, state));
    }

    /// <summary>Runs all processes until a task is complete.</summary>
    /// <param name="task">The task.</param>
    /// <param name="limit">Most steps.</param>
    public void Run(Task task, int limit)
    {
        var before = SynchronizationContext.Current;
        try
        {
            while (!task.IsCompleted)
            {
                SimFailure.Unless(Steps < limit, $"hang: {limit} steps, {Now / Second} s");
                if (!_ready.TryDequeue(out var step))
                {
                    SimFailure.Unless(_later.TryDequeue(out step, out var due), "hang: nothing will happen any more");
                    Now = due.At;
                }

                Do(step);
            }
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(before);
        }
    }

    /// <summary>Runs steps that a stopped process has missed.</summary>
    public void Resume(Queue<Step> missed)
    {
        while (missed.TryDequeue(out var step))
        {
            _ready.Enqueue(step);
        }
    }

    private void Do(in Step step)
    {
        if (step.Process is { } process && !process.Admits(step))
        {
            return;
        }

        Steps++;
        SynchronizationContext.SetSynchronizationContext(step.Process);
        step.Callback(step.State);
    }

    /// <summary>One step of a process.</summary>
    /// <param name="Process">The process; null: the world.</param>
    /// <param name="Callback">What it does.</param>
    /// <param name="State">Argument of the callback.</param>
    internal readonly record struct Step(SimProcess? Process, SendOrPostCallback Callback, object? State);
}
