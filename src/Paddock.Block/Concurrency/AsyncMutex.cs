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

    /// <inheritdoc cref="AcquireAsync()"/>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="OperationCanceledException">The wait was cancelled; the caller does not hold the mutex.</exception>
    public async ValueTask AcquireUntilAsync(CancellationToken cancellationToken)
    {
        TaskCompletionSource waiter;
        lock (_lock)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!_held)
            {
                _held = true;
                return;
            }

            waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Enqueue(waiter);
        }

        await using var registration = cancellationToken.UnsafeRegister(
            static (waiter, token) => ((TaskCompletionSource)waiter!).TrySetCanceled(token), waiter);
        await waiter.Task;
    }

    /// <summary>Hands the mutex to the longest waiting caller, if any.</summary>
    public void Release()
    {
        TaskCompletionSource? next;
        do
        {
            lock (_lock)
            {
                if (!_waiters.TryDequeue(out next))
                {
                    _held = false;
                    return;
                }
            }
        }
        while (!next.TrySetResult());
    }
}
