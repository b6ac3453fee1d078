using System.Diagnostics;
using Paddock.Block;
using Paddock.Nbd.Transport;
using Paddock.Nbd.Wire;
using Paddock.Serving;

namespace Paddock.Nbd.Server;

/// <summary>
/// The transmission phase of one connection. Its thread parses the requests of one receive, runs those that the device completes
/// synchronously, and sends their replies together; the others run on other threads and send their replies when ready.
/// </summary>
internal sealed class NbdSession : IDisposable
{
    // a read or write up to this runs on the receive loop: dispatching costs more than it gains
    private const int InlineLimit = 64 << 10;

    // replies are sent once this much is collected, so that client and server work in parallel
    private const int BatchBytes = 96 << 10;

    // chunk size of a long read: each is sent while the processor's cache still holds it
    private const int PieceBytes = 128 << 10;

    private readonly NbdExport _export;
    private readonly IBlockDevice _device;
    private readonly ReceiveBuffer _input;
    private readonly SlabPool _pool;
    private readonly SendQueue _queue;
    private readonly ReplyWriter _writer;
    private readonly ReplyFormat _format;
    private readonly Stack<LateRequest> _free = new();
    private readonly int _headerSize;
    private readonly long _began;
    private readonly NbdCounters _counters;
    private int _wanted;
    private bool _deviceWaits;
    private InlinePace _pace;
    private bool _ended;
    private volatile bool _stopping;
    private long _lastCame = Stopwatch.GetTimestamp();

    public NbdSession(ServerHandshake agreed, ReceiveBuffer input, SlabPool pool, NbdCounters counters, TimeProvider time)
    {
        Long = new LongRequests(input.Channel, time);
        _export = agreed.Export!;
        _device = _export.Device;
        _input = input;
        _pool = pool;
        _counters = counters;
        _queue = new SendQueue(input.Channel, "nbd send");
        _writer = new ReplyWriter(pool, _queue);
        _format = new ReplyFormat(agreed.Form);
        _began = _lastCame;
        _headerSize = agreed.Form == HeaderForm.Extended ? ExtendedRequest.Size : CompactRequest.Size;
        Contexts = [.. agreed.Contexts];
    }

    /// <summary>Numbers of the contexts that the client negotiated.</summary>
    public IReadOnlyList<uint> Contexts { get; }

    public IBlockDevice Device => _device;

    public IReadOnlyList<IDirtyBitmap> Bitmaps => _export.Bitmaps;

    public NbdCounters Counters => _counters;

    /// <summary>Runs short requests on the receive loop regardless of latency, for measurements independent of machine load.</summary>
    public bool AlwaysHere { get; init; }

    public ReplyFormat Format => _format;

    public SendQueue Queue => _queue;

    public SlabPool Pool => _pool;

    /// <summary>Long requests.</summary>
    public LongRequests Long { get; }

    /// <summary>Whether the session accepts no more requests.</summary>
    public bool IsStopping => _stopping;

    /// <summary>Requests outside the receive loop.</summary>
    public RequestBudget InFlight { get; } = new(NbdLimits.MaxInFlightBytes, NbdLimits.MaxInFlight);

    /// <summary>
    /// Serves until the client disconnects or violates the protocol, or <see cref="Stop"/>; answers requests in flight first.
    /// </summary>
    /// <exception cref="NbdProtocolException">The client violated the protocol.</exception>
    public void Run()
    {
        try
        {
            while (!_stopping)
            {
                while (TakeRequest() && !_queue.IsBroken)
                {
                }

                // count before replying: a client that has its reply must be counted
                _counters.Publish();
                _writer.Push();
                _queue.Flush();
                _writer.Rewind();
                if (_ended || _queue.IsBroken)
                {
                    Leave();
                    return;
                }

                _queue.WaitForRoom(NbdLimits.MaxInFlightBytes);
                if (!_input.Fill(_wanted))
                {
                    Leave();
                    return;
                }

                Volatile.Write(ref _lastCame, Stopwatch.GetTimestamp());
            }
        }
        catch (NbdProtocolException)
        {
            Long.Dispose();
            throw;
        }
        finally
        {
            _writer.Push();
            _queue.Flush();
            InFlight.Drain();
            _queue.Drain();
            _counters.Publish();
        }
    }

    /// <summary>Whether the connection has been idle for the given time, with nothing in flight; may be called from any thread.</summary>
    public bool IsIdleFor(TimeSpan limit) => InFlight.IsEmpty && Stopwatch.GetElapsedTime(Volatile.Read(ref _lastCame)) >= limit;

    /// <summary>Idle time; 0 while a request is in flight; may be called from any thread.</summary>
    public TimeSpan IdleTime => InFlight.IsEmpty ? Stopwatch.GetElapsedTime(Volatile.Read(ref _lastCame)) : TimeSpan.Zero;

    /// <summary>Whether a request has been received.</summary>
    public bool HasBegun => Volatile.Read(ref _lastCame) != _began;

    /// <summary>Stops accepting requests; may be called from any thread.</summary>
    public void Stop()
    {
        _stopping = true;
        Long.CancelWaiting();
        _input.Channel.StopReceiving();
    }

    /// <summary>Ends immediately: cancels long requests and sends no more replies; may be called from any thread.</summary>
    public void Abort()
    {
        _stopping = true;
        Long.Dispose();
        _input.Channel.Abort();
    }

    public void Dispose()
    {
        Long.Dispose();
        _queue.Dispose();
        _writer.Dispose();
    }

    /// <summary>Returns an answered request to the free list.</summary>
    public void Return(LateRequest request)
    {
        lock (_free)
        {
            _free.Push(request);
        }
    }

    // a client's disconnect waits only for its short requests; a stop of the server lets all finish
    private void Leave()
    {
        if (_queue.IsBroken || (!_ended && !_stopping))
        {
            Long.Dispose();
        }
        else if (_ended)
        {
            Long.CancelWaiting();
        }
    }

    // false if more bytes are required first, or the session ends
    private bool TakeRequest()
    {
        if (_ended || _stopping || _input.Count < _headerSize)
        {
            _wanted = _headerSize;
            return false;
        }

        var request = _format.Form == HeaderForm.Extended ? ExtendedRequest.Parse(_input.Available)
            : CompactRequest.Parse(_input.Available);
        int payload = RequestCheck.PayloadOf(request, _format.Form);
        if (payload > InlineLimit)
        {
            _input.Consume(_headerSize);
            return TakeLongWrite(request, payload);
        }

        if (_input.Count < _headerSize + payload)
        {
            _wanted = _headerSize + payload;
            return false;
        }

        _input.Consume(_headerSize);
        Dispatch(request, _input.Memory(0, payload));
        _input.Consume(payload);
        return true;
    }

    private void Dispatch(NbdRequest request, ReadOnlyMemory<byte> payload)
    {
        var error = Check(ref request, payload.Span, out var contexts, out string message);
        if (error != NbdError.None)
        {
            Refuse(request, error, message);
            return;
        }

        if (request.Length == 0 && request.Command is not (NbdCommand.Disconnect or NbdCommand.Flush or NbdCommand.Resize))
        {
            AnswerEmpty(request);
            return;
        }

        switch (request.Command)
        {
            case NbdCommand.Disconnect:
                _counters.Disconnected();
                _ended = true;
                break;
            case NbdCommand.Read when request.Length <= InlineLimit && (AlwaysHere || _pace.IsHere):
                Read(request);
                break;
            case NbdCommand.Write when (request.Flags & CommandFlags.Fua) == 0 && (AlwaysHere || _pace.IsHere):
                Write(request, payload);
                break;
            case NbdCommand.Read when request.Length > InlineLimit && MayFragment(request):
                ReadLong(request);
                break;
            case NbdCommand.Read:
                Late(request, _format.ReadHead + (int)request.Length).Read();
                break;
            case NbdCommand.Write:
                Late(request, 0).Write(payload, _input.Slab);
                break;
            default:
                var late = Late(request, 0);
                if (LongRequests.IsLong(request))
                {
                    late.RunLong(contexts);
                }
                else
                {
                    late.Run(contexts);
                }

                break;
        }
    }

    // validates a request against the protocol and the export; parses the payload of a block status request
    private NbdError Check(ref NbdRequest request, ReadOnlySpan<byte> payload, out uint[]? contexts, out string message)
    {
        contexts = null;
        try
        {
            if (request.Command == NbdCommand.BlockStatus && (request.Flags & CommandFlags.PayloadLength) != 0)
            {
                var chosen = BlockStatusPayload.Parse(payload);
                contexts = chosen.Contexts;
                request = request with { Length = chosen.Effect };
            }

            return RequestCheck.Check(request, _export, _format.Form, Contexts.Count > 0, out message);
        }
        catch (NbdProtocolException e)
        {
            // the payload was received completely, so the next request can be found
            message = e.Message;
            return NbdError.Invalid;
        }
        catch (Exception e)
        {
            // a failure to get the device size fails only the request
            message = e.Message;
            return ReplyFormat.Map(e, request.Command);
        }
    }

    // the device is not called; a read has no data chunk, which must not be empty
    private void AnswerEmpty(in NbdRequest request)
    {
        _counters.Done(request, InlinePace.Now);
        if (_format.Form == HeaderForm.Structured && request.Command == NbdCommand.Read)
        {
            _format.WriteChunk(_writer.Take(_format.ChunkHead).Span, request, ChunkType.None, isLast: true, 0);
        }
        else
        {
            _format.WriteDone(_writer.Take(_format.DoneSize).Span, request);
        }
    }

    private bool MayFragment(in NbdRequest request)
        => !_deviceWaits && _format.Form != HeaderForm.Simple && (request.Flags & CommandFlags.DontFragment) == 0;

    private void Read(in NbdRequest request)
    {
        int head = _format.ReadHead, size = head + (int)request.Length;
        MakeRoom(size);
        var reply = _writer.Take(size);
        ValueTask reading;
        long since = InlinePace.Now;
        try
        {
            reading = _device.ReadAsync((long)request.Offset, reply[head..]);
            if (reading.IsCompleted)
            {
                reading.GetAwaiter().GetResult();
                _format.WriteReadHead(reply.Span, request);
                _pace.Took(since);
                _counters.Done(request, since);
                return;
            }
        }
        catch (Exception e)
        {
            // an exception of the device fails only its request
            _writer.Undo(size);
            Refuse(request, ReplyFormat.Map(e, request.Command), e.Message);
            return;
        }

        var late = Late(request, 0);
        late.Attach(reading, reply, _writer.Slab);
        _writer.Detach(size);
        late.Go();
    }

    private void ReadLong(in NbdRequest request)
    {
        int head = _format.ReadHead;
        long offset = (long)request.Offset, length = (long)request.Length;
        int taken = 0;
        long since = InlinePace.Now;
        try
        {
            var status = Finish(ExportStatus.QueryAsync(_device, offset, length));
            if (status.IsZero && status.Length == length)
            {
                _ = _format.WriteHole(_writer.Take(_format.ChunkHead + ReadPayload.HoleSize).Span, request);
                _counters.Done(request, since);
                return;
            }

            for (int done = 0, count; done < length; done += count)
            {
                count = (int)Math.Min(PieceBytes, length - done);
                MakeRoom(head + count);
                taken = head + count;
                var reply = _writer.Take(taken);
                Finish(_device.ReadAsync(offset + done, reply[head..]));
                var part = request with { Offset = request.Offset + (ulong)done, Length = (ulong)count };
                _format.WritePartHead(reply.Span, request, part, isLast: done + count == length);
                taken = 0;
            }

            _counters.Done(request, since);
        }
        catch (Exception e)
        {
            // earlier chunks remain valid; the reply ends with the error
            _writer.Undo(taken);
            Refuse(request, ReplyFormat.Map(e, request.Command), e.Message);
        }
    }

    // blocks once on a device that does not complete synchronously; its later long reads run on other threads
    private void Finish(ValueTask operation)
    {
        if (operation.IsCompleted)
        {
            operation.GetAwaiter().GetResult();
        }
        else
        {
            _deviceWaits = true;
            operation.AsTask().GetAwaiter().GetResult();
        }
    }

    private T Finish<T>(ValueTask<T> operation)
    {
        _deviceWaits |= !operation.IsCompleted;
        return operation.IsCompleted ? operation.Result : operation.AsTask().GetAwaiter().GetResult();
    }

    // sends collected replies; blocks here if the client does not read
    private void MakeRoom(int size)
    {
        if (_writer.Count + size > BatchBytes)
        {
            _writer.Push();
            _queue.Flush();
            _queue.WaitForRoom(NbdLimits.MaxInFlightBytes);
            _writer.Rewind();
        }
    }

    private void Write(in NbdRequest request, ReadOnlyMemory<byte> payload)
    {
        ValueTask writing;
        long since = InlinePace.Now;
        try
        {
            writing = _device.WriteAsync((long)request.Offset, payload);
            if (writing.IsCompleted)
            {
                writing.GetAwaiter().GetResult();
                _pace.Took(since);
                _counters.Done(request, since);
                _format.WriteDone(_writer.Take(_format.DoneSize).Span, request);
                return;
            }
        }
        catch (Exception e)
        {
            Refuse(request, ReplyFormat.Map(e, request.Command), e.Message);
            return;
        }

        // the payload must not be moved before the device completes
        var late = Late(request, 0);
        late.Attach(writing, default, _input.Slab);
        late.Go();
    }

    private bool TakeLongWrite(in NbdRequest request, int payload)
    {
        if (request.Command != NbdCommand.Write)
        {
            throw new NbdProtocolException(nameof(NbdRequest), 24, $"command {(ushort)request.Command} with a payload of {payload} bytes");
        }

        var late = Late(request, payload);
        if (!late.HasMemoryFor(payload))
        {
            late.Release();
            _ended = !_input.Skip(payload);
            Refuse(request, NbdError.NoMemory, LateRequest.NoMemory);
            return !_ended;
        }

        if (!late.TakePayload(_input, payload))
        {
            _ended = true;
            late.Release();
            return false;
        }

        var checkedRequest = request;
        if (Check(ref checkedRequest, default, out _, out string message) is var error and not NbdError.None)
        {
            late.Release();
            Refuse(request, error, message);
            return true;
        }

        late.Run(null);
        return true;
    }

    private void Refuse(in NbdRequest request, NbdError error, string message)
    {
        _counters.Failed();
        byte[] reply = _format.Error(request, error, message);
        reply.CopyTo(_writer.Take(reply.Length));
    }

    // returns a request object for another thread; waits while too many are in flight
    private LateRequest Late(in NbdRequest request, int bytes)
    {
        if (!InFlight.TryEnter(bytes))
        {
            // the client may be waiting for collected replies; an unfinished one is not sent
            _queue.Flush();
            InFlight.Enter(bytes);
        }

        LateRequest? late;
        lock (_free)
        {
            _free.TryPop(out late);
        }

        late ??= new LateRequest(this);
        late.Begin(request, bytes);
        return late;
    }
}
