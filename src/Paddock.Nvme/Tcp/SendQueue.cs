using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Paddock.Block.Buffers;
using Paddock.Nvme.Target;

namespace Paddock.Nvme.Tcp;

/// <summary>
/// What waits to be sent on one socket, in order. Small PDUs are gathered, so that the answers to a batch of commands leave in one call;
/// large ones are sent from where they lie.
/// </summary>
internal sealed class SendQueue(Socket socket, Action<int> sent)
{
    private const int ChunkSize = 64 << 10;
    private const int KeptChunks = 4;

    private readonly Lock _lock = new();
    private readonly Queue<Part> _parts = new();
    private readonly Stack<byte[]> _chunks = new();
    private byte[]? _open;
    private int _openLength;
    private bool _sending, _closed;
    private TaskCompletionSource? _drained;

    /// <summary>Gives room for a small PDU to be written by <paramref name="write"/>.</summary>
    /// <typeparam name="T">What the writer needs.</typeparam>
    public void Put<T>(int length, T state, SpanWriter<T> write)
        where T : allows ref struct
    {
        lock (_lock)
        {
            if (_closed)
            {
                return;
            }

            if (_open is not null && _openLength + length > ChunkSize)
            {
                CloseChunk();
            }

            _open ??= _chunks.TryPop(out byte[]? chunk) ? chunk : GC.AllocateUninitializedArray<byte>(ChunkSize, pinned: true);
            write(_open.AsSpan(_openLength, length), state);
            _openLength += length;
        }
    }

    /// <summary>Takes a large PDU, and the buffer that holds it.</summary>
    /// <param name="buffer">Released when the PDU was sent.</param>
    /// <param name="start">Where the PDU starts in it.</param>
    /// <param name="length">Its length.</param>
    /// <param name="held">What to report as sent.</param>
    public void Put(Slab buffer, int start, int length, int held)
    {
        lock (_lock)
        {
            if (!_closed)
            {
                CloseChunk();
                _parts.Enqueue(new Part(buffer.Bytes, start, length, buffer, held));
                return;
            }
        }

        buffer.Release();
        sent(held);
    }

    /// <summary>Sees to it that what waits is sent.</summary>
    public void Kick()
    {
        lock (_lock)
        {
            if (_sending || _closed || (_parts.Count == 0 && _openLength == 0))
            {
                return;
            }

            _sending = true;
        }

        var run = RunAsync();
        if (!run.IsCompleted)
        {
            // it ends by itself and never throws
            _ = run.AsTask();
        }
    }

    /// <summary>Completes when all that waits was sent, or cannot be sent any more.</summary>
    public Task DrainAsync()
    {
        Kick();
        lock (_lock)
        {
            return !_sending ? Task.CompletedTask
                : (_drained ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    /// <summary>Drops what waits; nothing more is taken.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _closed = true;
            while (_parts.TryDequeue(out var part))
            {
                part.Owner?.Release();
                sent(part.Held);
            }

            _openLength = 0;
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask RunAsync()
    {
        try
        {
            while (TryNext(out var part))
            {
                try
                {
                    for (int done = 0; done < part.Length;)
                    {
                        done += await socket.SendAsync(part.Bytes.AsMemory(part.Start + done, part.Length - done), SocketFlags.None);
                    }
                }
                finally
                {
                    Recycle(part);
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // the receiving side sees the same and ends the connection
            Close();
            lock (_lock)
            {
                _sending = false;
                _drained?.TrySetResult();
            }
        }
    }

    private bool TryNext(out Part part)
    {
        lock (_lock)
        {
            if (_parts.Count == 0)
            {
                CloseChunk();
            }

            if (_parts.TryDequeue(out part))
            {
                return true;
            }

            _sending = false;
            _drained?.TrySetResult();
            _drained = null;
            return false;
        }
    }

    private void Recycle(in Part part)
    {
        if (part.Owner is not null)
        {
            part.Owner.Release();
            sent(part.Held);
            return;
        }

        lock (_lock)
        {
            if (_chunks.Count < KeptChunks)
            {
                _chunks.Push(part.Bytes);
            }
        }
    }

    private void CloseChunk()
    {
        if (_openLength > 0)
        {
            _parts.Enqueue(new Part(_open!, 0, _openLength, null, 0));
            _open = null;
            _openLength = 0;
        }
    }

    private readonly record struct Part(byte[] Bytes, int Start, int Length, Slab? Owner, int Held);
}

/// <summary>Writes a PDU into room that was made for it.</summary>
/// <typeparam name="T">What it needs.</typeparam>
internal delegate void SpanWriter<T>(Span<byte> to, T state)
    where T : allows ref struct;
