using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading.Tasks.Sources;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>
/// One request to librbd, from its submission to its completion; used again by the next one. librbd calls back on a thread of its own,
/// which only queues the operation: whoever waits continues on the thread pool, where it may block.
/// </summary>
internal sealed unsafe class RbdOperation : IValueTaskSource, IThreadPoolWorkItem
{
    private readonly RbdOperations _pool;
    private ManualResetValueTaskSourceCore<bool> _source = new() { RunContinuationsAsynchronously = false };
    private GCHandle _self;
    private MemoryHandle _buffer;
    private RbdRequest _request;
    private long _result;

    public RbdOperation(RbdOperations pool)
    {
        _pool = pool;
        _self = GCHandle.Alloc(this);
    }

    /// <summary>Submits a request.</summary>
    /// <param name="image">The open image.</param>
    /// <param name="request">What to do.</param>
    /// <param name="data">The buffer of a read or write.</param>
    public ValueTask Submit(nint image, in RbdRequest request, ReadOnlyMemory<byte> data)
    {
        _request = request;
        _buffer = data.Pin();
        int result = LibRbd.CreateCompletion(GCHandle.ToIntPtr(_self), &OnCompleted, out nint completion);
        if (result >= 0)
        {
            result = Start(image, request, (nuint)data.Length, completion);
            if (result < 0)
            {
                LibRbd.Release(completion);
            }
        }

        if (result < 0)
        {
            _result = result;
            Execute();
        }

        return new ValueTask(this, _source.Version);
    }

    /// <summary>Completes the request, on the thread pool.</summary>
    public void Execute()
    {
        _buffer.Dispose();
        _buffer = default;
        _pool.End(_request.Kind);
        if (_result < 0)
        {
            _source.SetException(_pool.Failure(_result, _request));
        }
        else
        {
            _source.SetResult(true);
        }
    }

    /// <inheritdoc/>
    public void GetResult(short token)
    {
        try
        {
            _source.GetResult(token);
        }
        finally
        {
            _source.Reset();
            _pool.Return(this);
        }
    }

    /// <inheritdoc/>
    public ValueTaskSourceStatus GetStatus(short token) => _source.GetStatus(token);

    /// <inheritdoc/>
    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _source.OnCompleted(continuation, state, token, flags);

    /// <summary>Frees it; no request is in flight.</summary>
    public void Free()
    {
        if (_self.IsAllocated)
        {
            _self.Free();
        }
    }

    private int Start(nint image, in RbdRequest request, nuint size, nint completion) => request.Kind switch
    {
        RbdRequestKind.Read => LibRbd.Read(image, (ulong)request.Offset, size, _buffer.Pointer, completion),
        RbdRequestKind.Write => LibRbd.Write(image, (ulong)request.Offset, size, _buffer.Pointer, completion),
        RbdRequestKind.WriteThrough
            => LibRbd.Write(image, (ulong)request.Offset, size, _buffer.Pointer, completion, LibRbd.ForceUnitAccess),
        RbdRequestKind.ZeroThin => LibRbd.WriteZeroes(image, (ulong)request.Offset, (nuint)request.Length, completion, 0, 0),
        RbdRequestKind.ZeroThick
            => LibRbd.WriteZeroes(image, (ulong)request.Offset, (nuint)request.Length, completion, LibRbd.ZeroThick, 0),
        RbdRequestKind.Discard => LibRbd.Discard(image, (ulong)request.Offset, (ulong)request.Length, completion),
        _ => LibRbd.Flush(image, completion),
    };

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnCompleted(nint completion, nint argument)
    {
        var operation = (RbdOperation)GCHandle.FromIntPtr(argument).Target!;
        operation._result = LibRbd.ResultOf(completion);
        LibRbd.Release(completion);
        ThreadPool.UnsafeQueueUserWorkItem(operation, preferLocal: false);
    }
}

/// <summary>Kinds of requests.</summary>
internal enum RbdRequestKind
{
    /// <summary>Fills the buffer.</summary>
    Read,

    /// <summary>Stores the buffer.</summary>
    Write,

    /// <summary>Stores the buffer, durably.</summary>
    WriteThrough,

    /// <summary>Makes a range zero and frees its space.</summary>
    ZeroThin,

    /// <summary>Stores zeroes.</summary>
    ZeroThick,

    /// <summary>Frees whole parts of objects.</summary>
    Discard,

    /// <summary>Makes completed writes durable.</summary>
    Flush,
}

/// <summary>A request.</summary>
/// <param name="Kind">What to do.</param>
/// <param name="Offset">First byte.</param>
/// <param name="Length">Bytes.</param>
internal readonly record struct RbdRequest(RbdRequestKind Kind, long Offset, long Length);
