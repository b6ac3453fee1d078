using System.Collections.Concurrent;
using Paddock.Block;

namespace Paddock.Rbd;

/// <summary>The requests of one image: those that have completed are used again, so that a request allocates nothing.</summary>
/// <param name="name">Name of the image, for messages.</param>
/// <param name="loss">Takes down that the client was blocklisted.</param>
internal sealed class RbdOperations(string name, OwnershipLoss loss) : IDisposable
{
    private const int MaxIdle = 1024;

    private readonly ConcurrentQueue<RbdOperation> _idle = new();
    private int _idleCount;
    private volatile bool _isDisposed;

    /// <summary>An operation that is in nobody's use.</summary>
    public RbdOperation Rent()
    {
        if (_idle.TryDequeue(out var operation))
        {
            Interlocked.Decrement(ref _idleCount);
            return operation;
        }

        return new RbdOperation(this);
    }

    /// <summary>Takes an operation back whose result was read.</summary>
    public void Return(RbdOperation operation)
    {
        if (_isDisposed || Interlocked.Increment(ref _idleCount) > MaxIdle)
        {
            Interlocked.Decrement(ref _idleCount);
            operation.Free();
            return;
        }

        _idle.Enqueue(operation);
        if (_isDisposed)
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
            RbdRequestKind.Write => "writing",
            RbdRequestKind.ZeroThin or RbdRequestKind.ZeroThick => "writing zeroes to",
            RbdRequestKind.Discard => "discarding",
            _ => "flushing",
        };
        var failure = RbdErrors.Of(result, request.Kind == RbdRequestKind.Flush ? $"{what} '{name}'"
            : $"{what} '{name}' at offset {request.Offset}, length {request.Length}");
        if (failure.Error == BlockError.NotOwner)
        {
            loss.Set(failure.Message);
        }

        return failure;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _isDisposed = true;
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
