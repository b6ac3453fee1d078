using Paddock.Serving;

namespace Paddock.Nbd.Transport;

/// <summary>
/// Queue of pieces to send, in the order of arrival. A thread that finds no sender becomes the sender; the others only add pieces. Threads
/// that must not wait for a slow peer leave sending to the queue's own thread, which starts on first use.
/// </summary>
internal sealed class SendQueue(IByteChannel channel, string name) : IDisposable
{
    // smaller pieces are copied together: a system call costs more than the copy
    private const int SmallPiece = 8192;
    private const int Gathered = 128 << 10;

    private readonly object _lock = new();
    private readonly Queue<Piece> _pieces = new();
    private byte[]? _gather;
    private Thread? _sender;
    private long _bytes;
    private bool _sending;
    private bool _senderAsked;
    private volatile bool _broken;
    private bool _closed;

    /// <summary>Whether the peer has disconnected; nothing is sent after that.</summary>
    public bool IsBroken => _broken;

    /// <summary>Adds a piece, to be sent by the next <see cref="Flush"/>.</summary>
    public void Add(ReadOnlyMemory<byte> bytes, IReleasable? owner)
    {
        lock (_lock)
        {
            if (!_broken)
            {
                Enqueue(new Piece(bytes, owner));
                return;
            }
        }

        owner?.Release();
    }

    /// <summary>Adds two adjacent pieces without owners; the second may be empty.</summary>
    public void AddPair(ReadOnlyMemory<byte> first, ReadOnlyMemory<byte> second)
    {
        lock (_lock)
        {
            if (!_broken)
            {
                Enqueue(new Piece(first, null));
                if (second.Length > 0)
                {
                    Enqueue(new Piece(second, null));
                }
            }
        }
    }

    /// <summary>Adds a piece and starts sending it without waiting for the peer.</summary>
    public void AddLate(ReadOnlyMemory<byte> bytes, IReleasable? owner)
    {
        lock (_lock)
        {
            if (!_broken)
            {
                Enqueue(new Piece(bytes, owner));
                if (!_sending)
                {
                    _sending = true;
                    AskSender();
                }

                return;
            }
        }

        owner?.Release();
    }

    /// <summary>Sends the queued pieces, or leaves them to the current sender.</summary>
    public void Flush()
    {
        lock (_lock)
        {
            if (_sending || _pieces.Count == 0)
            {
                return;
            }

            _sending = true;
        }

        SendAll();
    }

    /// <summary>Waits until fewer than the given number of bytes are queued, or the peer has disconnected.</summary>
    public void WaitForRoom(long bytes)
    {
        lock (_lock)
        {
            while (_bytes >= bytes && !_broken)
            {
                Monitor.Wait(_lock);
            }
        }
    }

    /// <summary>Waits until everything has been sent, or the peer has disconnected.</summary>
    public void Drain()
    {
        Flush();
        lock (_lock)
        {
            while (_sending)
            {
                Monitor.Wait(_lock);
            }
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _closed = true;
            Monitor.PulseAll(_lock);
        }

        _sender?.Join();
    }

    private void Enqueue(Piece piece)
    {
        _pieces.Enqueue(piece);
        _bytes += piece.Bytes.Length;
    }

    private void AskSender()
    {
        _senderAsked = true;
        if (_sender is null)
        {
            _sender = new Thread(SenderLoop, 256 << 10) { IsBackground = true, Name = name };
            _sender.Start();
        }
        else
        {
            Monitor.PulseAll(_lock);
        }
    }

    private void SenderLoop()
    {
        while (true)
        {
            lock (_lock)
            {
                while (!_senderAsked && !_closed)
                {
                    Monitor.Wait(_lock);
                }

                if (!_senderAsked)
                {
                    return;
                }

                _senderAsked = false;
            }

            SendAll();
        }
    }

    private void SendAll()
    {
        while (true)
        {
            Piece piece;
            int gathered = 0;
            lock (_lock)
            {
                if (_pieces.Count == 0)
                {
                    _sending = false;
                    Monitor.PulseAll(_lock);
                    return;
                }

                piece = _pieces.Dequeue();
                if (piece.Bytes.Length < SmallPiece && _pieces.TryPeek(out var next) && next.Bytes.Length < SmallPiece)
                {
                    (gathered, piece) = Gather(piece);
                }
            }

            bool sent = channel.Send(gathered > 0 ? _gather.AsSpan(0, gathered) : piece.Bytes.Span);
            int length = gathered > 0 ? gathered : piece.Bytes.Length;
            piece.Owner?.Release();
            Sent(length, sent);
        }
    }

    private (int Count, Piece None) Gather(Piece piece)
    {
        _gather ??= GC.AllocateUninitializedArray<byte>(Gathered, pinned: true);
        int count = 0;
        while (true)
        {
            piece.Bytes.Span.CopyTo(_gather.AsSpan(count));
            count += piece.Bytes.Length;
            piece.Owner?.Release();
            if (!_pieces.TryPeek(out var next) || next.Bytes.Length >= SmallPiece || count + next.Bytes.Length > Gathered)
            {
                return (count, default);
            }

            piece = _pieces.Dequeue();
        }
    }

    private void Sent(int length, bool sent)
    {
        lock (_lock)
        {
            _bytes -= length;
            if (!sent)
            {
                _broken = true;
                while (_pieces.TryDequeue(out var lost))
                {
                    _bytes -= lost.Bytes.Length;
                    lost.Owner?.Release();
                }
            }

            Monitor.PulseAll(_lock);
        }

        if (!sent)
        {
            channel.Abort();
        }
    }

    private readonly record struct Piece(ReadOnlyMemory<byte> Bytes, IReleasable? Owner);
}
