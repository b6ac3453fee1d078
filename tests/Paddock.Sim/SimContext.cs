namespace Paddock.Sim;

/// <summary>
/// Runs the tasks of one simulation on one thread, so that a seed determines their order. Requests of the simulated disk wait here (<see
/// cref="HoldAsync"/>) and are released in random order when nothing else can run.
/// </summary>
/// <param name="seed">Determines which request is released next.</param>
internal sealed class SimContext(int seed) : SynchronizationContext
{
    private static readonly TimeSpan HangTime = TimeSpan.FromSeconds(20);

    private readonly Random _random = new(seed);
    private readonly Queue<(SendOrPostCallback Callback, object? State)> _ready = new();
    private readonly List<TaskCompletionSource> _held = [];

    /// <inheritdoc/>
    public override void Post(SendOrPostCallback d, object? state)
    {
        lock (_ready)
        {
            _ready.Enqueue((d, state));
            Monitor.Pulse(_ready);
        }
    }

    /// <summary>Completes immediately half of the time, otherwise after other work had a chance to run.</summary>
    public ValueTask HoldAsync()
    {
        if (_random.Next(2) == 0)
        {
            return ValueTask.CompletedTask;
        }

        var source = new TaskCompletionSource();
        _held.Add(source);
        return new ValueTask(source.Task);
    }

    /// <summary>Runs a simulation to completion on this thread.</summary>
    public static T Run<T>(int seed, Func<SimContext, Task<T>> simulation)
    {
        var context = new SimContext(seed);
        var before = Current;
        SetSynchronizationContext(context);
        try
        {
            var task = simulation(context);
            context.Pump(task);
            return task.GetAwaiter().GetResult();
        }
        finally
        {
            SetSynchronizationContext(before);
        }
    }

    private void Pump(Task until)
    {
        while (!until.IsCompleted)
        {
            if (TryTake(wait: _held.Count == 0, until, out var item))
            {
                item.Callback(item.State);
            }
            else if (_held.Count > 0)
            {
                int at = _random.Next(_held.Count);
                var source = _held[at];
                _held.RemoveAt(at);
                source.SetResult();
            }
        }
    }

    private bool TryTake(bool wait, Task until, out (SendOrPostCallback Callback, object? State) item)
    {
        lock (_ready)
        {
            if (wait && _ready.Count == 0 && !until.IsCompleted && !Monitor.Wait(_ready, HangTime))
            {
                throw new SimFailure("hang: no task can go on");
            }

            return _ready.TryDequeue(out item);
        }
    }
}
