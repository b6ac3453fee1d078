namespace Paddock.Block.Concurrency;

/// <summary>Mutual exclusion across awaits, first come first served; taking it uncontended neither blocks nor allocates.</summary>
internal sealed class AsyncMutex
{
    private readonly Lock _lock = new();
    private readonly Queue<TaskCompletionSource> _waiters = new();
    private bool _held;

    /// <summary>Completes when the caller holds the mutex; the caller must <see cref="Release"/> it.</summary>
    public ValueTask AcquireAsync()
    {
        lock (_lock)
        {
            if (!_held)
            {
                _held = true;
                return ValueTask.CompletedTask;
            }

            // continuations must not run under the lock of the releasing caller
            var waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Enqueue(waiter);
            return new ValueTask(waiter.Task);
        }
    }

    /// <summary>Hands the mutex to the longest waiting caller, if any.</summary>
    public void Release()
    {
        TaskCompletionSource? next;
        lock (_lock)
        {
            if (!_waiters.TryDequeue(out next))
            {
                _held = false;
            }
        }

        next?.SetResult();
    }
}
