using System.Collections.Concurrent;
using Paddock.Block;

namespace Paddock.Rbd;

/// <summary>The requests of one image: those that have completed are used again, so that a request allocates nothing.</summary>
/// <param name="name">Name of the image, for messages.</param>
/// <param name="loss">Receives the loss of ownership when the client was blocklisted.</param>
/// <param name="cache">Records changes that may be in the cache alone.</param>
internal sealed class RbdOperations(string name, OwnershipLoss loss, RbdCache cache)
{
    private const int MaxIdle = 1024;

    private readonly ConcurrentQueue<RbdOperation> _idle = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _idleCount;
    private int _inFlight;
    private volatile bool _isEnding;

    /// <summary>An operation that is in nobody's use; the image stays open until <see cref="Complete"/>.</summary>
    /// <exception cref="ObjectDisposedException">The image is being closed.</exception>
    public RbdOperation Rent()
    {
        Enter();
        if (_idle.TryDequeue(out var operation))
        {
            Interlocked.Decrement(ref _idleCount);
            return operation;
        }

        return new RbdOperation(this);
    }

    /// <summary>Keeps the image open until <see cref="Complete"/>.</summary>
    /// <exception cref="ObjectDisposedException">The image is being closed.</exception>
    public void Enter()
    {
        // increment, full barrier, then check: either EndAsync sees our count or we see that the image is being closed
        Interlocked.Increment(ref _inFlight);
        if (_isEnding)
        {
            Complete();
            throw new ObjectDisposedException(name);
        }
    }

    /// <summary>Counts an operation as completed: it does not use the image any more.</summary>
    public void Complete()
    {
        if (Interlocked.Decrement(ref _inFlight) == 0 && _isEnding)
        {
            _ended.TrySetResult();
        }
    }

    /// <summary>Ends a request, before its result can be seen.</summary>
    public void End(RbdRequestKind kind)
    {
        if (kind is not (RbdRequestKind.Read or RbdRequestKind.WriteThrough or RbdRequestKind.Flush))
        {
            cache.MarkDirty();
        }

        Complete();
    }

    /// <summary>Takes an operation back whose result was read.</summary>
    public void Return(RbdOperation operation)
    {
        if (_isEnding || Interlocked.Increment(ref _idleCount) > MaxIdle)
        {
            Interlocked.Decrement(ref _idleCount);
            operation.Free();
            return;
        }

        _idle.Enqueue(operation);
        if (_isEnding)
        {
            FreeIdle();
        }
    }

    /// <summary>The failure of a request.</summary>
    public BlockException Failure(long result, in RbdRequest request)
    {
        string what = request.Kind switch
        {
            RbdRequestKind.Read => "reading",
            RbdRequestKind.Write or RbdRequestKind.WriteThrough => "writing",
            RbdRequestKind.ZeroThin or RbdRequestKind.ZeroThick => "writing zeroes to",
            RbdRequestKind.Discard => "discarding",
            _ => "flushing",
        };
        var failure = RbdErrors.Of(result, request.Kind == RbdRequestKind.Flush ? $"{what} '{name}'"
            : $"{what} '{name}' at offset {request.Offset}, length {request.Length}");
        if (failure.Error == BlockError.NotOwner)
        {
            loss.Set(RbdErrors.Blocklisted);
        }

        return failure;
    }

    /// <summary>Rejects further requests, and completes when none is in flight.</summary>
    public async Task EndAsync()
    {
        _isEnding = true;
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _inFlight) == 0)
        {
            _ended.TrySetResult();
        }

        await _ended.Task;
        FreeIdle();
    }

    private void FreeIdle()
    {
        while (_idle.TryDequeue(out var operation))
        {
            operation.Free();
        }
    }
}
