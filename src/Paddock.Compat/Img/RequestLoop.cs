using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Compat.Img;

/// <summary>A run of equal requests; sizes and offsets in bytes.</summary>
internal sealed record RequestPlan
{
    public required int Count { get; init; }

    /// <summary>The most requests under way at once.</summary>
    public required int Depth { get; init; }

    public required long Offset { get; init; }

    public required int Size { get; init; }

    /// <summary>From one request's offset to the next's.</summary>
    public required int Step { get; init; }

    public bool IsWrite { get; init; }

    /// <summary>The byte to write.</summary>
    public byte Pattern { get; init; }

    /// <summary>Requests between flushes; 0 for none.</summary>
    public int FlushInterval { get; init; }

    /// <summary>Whether a flush waits for what is under way, and the next request for the flush.</summary>
    public bool DrainsOnFlush { get; init; } = true;
}

/// <summary>
/// Sends a plan's requests. One that completes synchronously costs neither an allocation nor a stack frame: the loop goes on with the
/// same buffer. Another keeps its buffer until it completes, and the loop stops when all buffers are taken.
/// </summary>
internal sealed class RequestLoop(IBlockDevice device, RequestPlan plan) : IDisposable
{
    private const int Alignment = 4096;

    private readonly ConcurrentStack<Memory<byte>> _free = new();
    private readonly SemaphoreSlim _slots = new(plan.Depth, plan.Depth);
    private readonly ConcurrentBag<Task> _flushes = [];
    private volatile BlockException? _failure;

    /// <summary>Sends them all.</summary>
    /// <exception cref="ToolException">A request failed.</exception>
    public async Task RunAsync()
    {
        try
        {
            await SendAsync();
            await DrainAsync();
            await Task.WhenAll(_flushes);
        }
        catch (BlockException e)
        {
            _failure ??= e;
            await DrainAsync();
        }

        if (_failure is { } failure)
        {
            throw new ToolException("Failed request: " + ErrorText.Of(failure));
        }
    }

    /// <summary>Releases the wait handles of the loop.</summary>
    public void Dispose() => _slots.Dispose();

    private async ValueTask SendAsync()
    {
        long length = device.Length, at = plan.Offset;
        var buffer = NewBuffer();
        for (int left = plan.Count; left > 0 && _failure is null;)
        {
            var request = plan.IsWrite ? device.WriteAsync(at, buffer) : device.ReadAsync(at, buffer);
            if (request.IsCompleted)
            {
                // this throws what a failed one holds
                request.GetAwaiter().GetResult();
            }
            else
            {
                await _slots.WaitAsync();
                _ = CompleteAsync(request, buffer);
                buffer = await NextBufferAsync();
            }

            at += plan.Step;
            if (at >= length && length > 0)
            {
                at %= length;
            }

            left--;
            if (plan.FlushInterval != 0 && left % plan.FlushInterval == 0)
            {
                if (plan.DrainsOnFlush && _slots.CurrentCount != plan.Depth)
                {
                    await DrainAsync();
                }

                var flush = device.FlushAsync();
                if (flush.IsCompleted)
                {
                    flush.GetAwaiter().GetResult();
                }
                else if (plan.DrainsOnFlush)
                {
                    await flush;
                }
                else
                {
                    _flushes.Add(flush.AsTask());
                }
            }
        }
    }

    // waits while as many requests are under way as may be
    private async ValueTask<Memory<byte>> NextBufferAsync()
    {
        await _slots.WaitAsync();
        _slots.Release();
        return _free.TryPop(out var buffer) ? buffer : NewBuffer();
    }

    private async Task CompleteAsync(ValueTask request, Memory<byte> buffer)
    {
        try
        {
            await request;
        }
        catch (BlockException e)
        {
            _failure ??= e;
        }
        finally
        {
            _free.Push(buffer);
            _slots.Release();
        }
    }

    private async ValueTask DrainAsync()
    {
        for (int i = 0; i < plan.Depth; i++)
        {
            await _slots.WaitAsync();
        }

        _slots.Release(plan.Depth);
    }

    // aligned, so that direct I/O needs no copy
    private Memory<byte> NewBuffer()
    {
        byte[] bytes;
        try
        {
            bytes = GC.AllocateUninitializedArray<byte>(checked(plan.Size + Alignment), pinned: true);
        }
        catch (Exception e) when (e is OutOfMemoryException or OverflowException)
        {
            throw new BlockException(BlockError.NoMemory, $"no memory for a buffer of {plan.Size} bytes", e);
        }

        long address = Marshal.UnsafeAddrOfPinnedArrayElement(bytes, 0);
        var buffer = bytes.AsMemory((int)(-address & (Alignment - 1)), plan.Size);
        buffer.Span.Fill(plan.Pattern);
        return buffer;
    }
}
