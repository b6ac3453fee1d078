using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Paddock.Serving;

namespace Paddock.Nvme.Tcp;

/// <summary>
/// Send queue of one socket. Small PDUs are batched, so that the replies to a batch of commands leave in one call;
/// large ones are sent from their own buffers.
/// </summary>
internal sealed class SendQueue
{
    private const int ChunkSize = 64 << 10;

    // the answers to 128 reads of 4 KiB lie in nine
    private const int KeptChunks = 16;

    private readonly Socket _socket;
    private readonly Action<int> _sent;
    private readonly Action<int>? _took;
    private readonly Action _goOn;
    private readonly Lock _lock = new();
    private readonly Queue<Part> _parts = new();
    private readonly Stack<byte[]> _chunks = new();
    private byte[]? _open;
    private int _openStart, _openLength;
    private bool _sending, _closed;
    private TaskCompletionSource? _drained;

    // owned by the sending thread
    private Part _part;
    private int _done;
    private ValueTaskAwaiter<int> _call;

    /// <param name="socket">Where it is sent; not owned.</param>
    /// <param name="sent">
    /// Told what <see cref="Put(Slab, int, int, int)"/> was given to report, and of the bytes that <paramref name="took"/> was told of.
    /// </param>
    /// <param name="took">Called with the bytes of each small PDU; null if they are not counted.</param>
    public SendQueue(Socket socket, Action<int> sent, Action<int>? took = null)
    {
        _socket = socket;
        _sent = sent;
        _took = took;
        _goOn = () => Pump(hasResult: true);
    }

    /// <summary>Reserves space for a small PDU, which <paramref name="write"/> writes.</summary>
    /// <typeparam name="T">What the writer needs.</typeparam>
    public void Put<T>(int length, T state, SpanWriter<T> write)
        where T : allows ref struct
        => Put(length, state, write, default);

    /// <summary>
    /// The same, followed by bytes that are sent from their own buffer: they must stay unchanged until the reply.
    /// </summary>
    /// <typeparam name="T">What the writer needs.</typeparam>
    public void Put<T>(int length, T state, SpanWriter<T> write, ReadOnlyMemory<byte> data)
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
                CutChunk(isLast: true);
            }

            _open ??= _chunks.TryPop(out byte[]? chunk) ? chunk : GC.AllocateUninitializedArray<byte>(ChunkSize, pinned: true);
            write(_open.AsSpan(_openLength, length), state);
            _openLength += length;
            _took?.Invoke(length);
            if (data.Length > 0)
            {
                CutChunk(isLast: false);
                _parts.Enqueue(new Part(data, null, null, 0));
            }
        }
    }

    /// <summary>Adds a large PDU and the buffer that holds it.</summary>
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
                CutChunk(isLast: false);
                _parts.Enqueue(new Part(buffer.Bytes.AsMemory(start, length), null, buffer, held));
                return;
            }
        }

        buffer.Release();
        _sent(held);
    }

    /// <summary>Starts sending queued PDUs.</summary>
    public void Kick()
    {
        lock (_lock)
        {
            if (_sending || _closed || (_parts.Count == 0 && _openLength == _openStart))
            {
                return;
            }

            _sending = true;
        }

        _part = default;
        _done = 0;
        Pump(hasResult: false);
    }

    /// <summary>Completes when everything queued has been sent or can no longer be sent.</summary>
    public Task DrainAsync()
    {
        Kick();
        lock (_lock)
        {
            return !_sending ? Task.CompletedTask
                : (_drained ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    /// <summary>Drops queued PDUs and accepts no more.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _closed = true;
            while (_parts.TryDequeue(out var part))
            {
                part.Owner?.Release();
                _sent(part.Held);
            }

            _sent(HeldBy(_openLength - _openStart));
            _openStart = _openLength = 0;
        }
    }

    /// <summary>
    /// Sends until nothing waits, or until a call has to wait for the peer: it goes on here when that is over. An async method would
    /// allocate for each such wait.
    /// </summary>
    private void Pump(bool hasResult)
    {
        try
        {
            while (true)
            {
                if (hasResult)
                {
                    _done += _call.GetResult();
                    hasResult = false;
                }

                while (_done == _part.Data.Length)
                {
                    Recycle(_part);
                    _part = default;
                    _done = 0;
                    if (!TryNext(out _part))
                    {
                        return;
                    }
                }

                var call = AwaiterOf(_socket.SendAsync(_part.Data[_done..], SocketFlags.None));
                _call = call;
                if (!call.IsCompleted)
                {
                    // from here on another thread may be in this method
                    call.UnsafeOnCompleted(_goOn);
                    return;
                }

                hasResult = true;
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // the receiving side sees the same and ends the connection
            Recycle(_part);
            _part = default;
            Close();
            lock (_lock)
            {
                _sending = false;
                _drained?.TrySetResult();
            }
        }
    }

    private static ValueTaskAwaiter<int> AwaiterOf(ValueTask<int> call) => call.GetAwaiter();

    private bool TryNext(out Part part)
    {
        lock (_lock)
        {
            if (_parts.Count == 0 && _openLength > _openStart)
            {
                CutChunk(isLast: true);
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
        part.Owner?.Release();
        if (part.Held > 0)
        {
            _sent(part.Held);
        }

        if (part.Chunk is not null)
        {
            lock (_lock)
            {
                if (_chunks.Count < KeptChunks)
                {
                    _chunks.Push(part.Chunk);
                }
            }
        }
    }

    private int HeldBy(int bytes) => _took is null ? 0 : bytes;

    /// <summary>
    /// What was written to the open chunk since the last cut goes into the queue. Large parts between small ones leave the chunk open: it
    /// goes back with its last piece, which may be empty.
    /// </summary>
    private void CutChunk(bool isLast)
    {
        if (_open is null || (!isLast && _openLength == _openStart))
        {
            return;
        }

        _parts.Enqueue(
            new Part(_open.AsMemory(_openStart, _openLength - _openStart), isLast ? _open : null, null, HeldBy(_openLength - _openStart)));
        _openStart = _openLength;
        if (isLast)
        {
            _open = null;
            _openStart = _openLength = 0;
        }
    }

    private readonly record struct Part(ReadOnlyMemory<byte> Data, byte[]? Chunk, Slab? Owner, int Held);
}

/// <summary>Writes a PDU into room that was made for it.</summary>
/// <typeparam name="T">What it needs.</typeparam>
internal delegate void SpanWriter<T>(Span<byte> to, T state)
    where T : allows ref struct;
