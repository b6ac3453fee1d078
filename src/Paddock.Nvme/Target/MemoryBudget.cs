namespace Paddock.Nvme.Target;

/// <summary>
/// Bytes that a connection's commands and unsent answers hold. Taking never waits: the receiving loop pauses when the limit is exceeded.
/// </summary>
/// <param name="limit">Bytes above which the loop pauses.</param>
internal sealed class MemoryBudget(long limit)
{
    private readonly Lock _lock = new();
    private TaskCompletionSource? _waiter;
    private long _held;
    private volatile bool _closed;

    /// <summary>Bytes held now.</summary>
    public long Held => Volatile.Read(ref _held);

    /// <summary>Whether more than the limit is held.</summary>
    public bool IsExceeded => Volatile.Read(ref _held) > limit;

    /// <summary>Adds bytes that are held.</summary>
    public void Take(int bytes) => Interlocked.Add(ref _held, bytes);

    /// <summary>Subtracts bytes that are not held any more.</summary>
    public void Return(int bytes)
    {
        if (bytes == 0)
        {
            return;
        }

        long held = Interlocked.Add(ref _held, -bytes);
        if (held <= limit && Volatile.Read(ref _waiter) is not null)
        {
            Wake();
        }
    }

    /// <summary>Waits until no more than the limit is held, or the budget is closed. One caller at a time.</summary>
    public async ValueTask WaitAsync()
    {
        var waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Volatile.Write(ref _waiter, waiter);

        // pairs with Return and Close: either they see the waiter, or we see what they changed
        Interlocked.MemoryBarrier();
        if (_closed || !IsExceeded)
        {
            Wake();
        }

        await waiter.Task;
    }

    /// <summary>Ends waiting permanently: the connection ends.</summary>
    public void Close()
    {
        _closed = true;
        Interlocked.MemoryBarrier();
        Wake();
    }

    private void Wake()
    {
        lock (_lock)
        {
            _waiter?.TrySetResult();
            _waiter = null;
        }
    }
}
