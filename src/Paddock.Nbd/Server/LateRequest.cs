using System.Diagnostics;
using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Nbd.Transport;
using Paddock.Nbd.Wire;
using Paddock.Serving;

namespace Paddock.Nbd.Server;

/// <summary>
/// A request that runs outside its receive loop: a long or slow one, or one that the device did not complete synchronously. Reusable:
/// it sends its own reply and is free after that.
/// </summary>
internal sealed class LateRequest : IThreadPoolWorkItem, IReleasable
{
    private readonly NbdSession _session;
    private readonly Action _finish;
    private readonly byte[] _small = new byte[64];
    private NbdRequest _request;
    private ValueTaskAwaiter _awaiter;
    private ValueTask _attached;
    private Slab? _slab;
    private ReadOnlyMemory<byte> _payload;
    private Memory<byte> _reply;
    private uint[]? _contexts;
    private int _bytes;
    private long _since;

    /// <summary>Message to the client when <see cref="HasMemoryFor"/> fails.</summary>
    public const string NoMemory = "the server's limit of memory is reached: ask again";

    public LateRequest(NbdSession session)
    {
        _session = session;
        _finish = Finish;
    }

    /// <summary>Starts another request with this object.</summary>
    /// <param name="request">The request.</param>
    /// <param name="bytes">Bytes charged to the connection's limit.</param>
    public void Begin(in NbdRequest request, int bytes)
    {
        _request = request;
        _bytes = bytes;
        _since = Stopwatch.GetTimestamp();
        _reply = default;
        _payload = default;
        _contexts = null;
    }

    /// <summary>Starts a read on another thread.</summary>
    public void Read()
    {
        int size = _session.Format.ReadHead + (int)_request.Length;
        if (!HasMemoryFor(size))
        {
            Fail(new BlockException(BlockError.NoMemory, NoMemory));
            return;
        }

        _reply = _slab!.Bytes.AsMemory(0, size);
        if (LongRequests.IsLong(_request))
        {
            RunLong(null);
        }
        else
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    /// <summary>Starts a write on another thread from data in the receive buffer.</summary>
    public void Write(ReadOnlyMemory<byte> payload, Slab slab)
    {
        Keep(slab);
        _payload = payload;
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    /// <summary>Starts any other request, or a write whose payload has been received, on another thread.</summary>
    public void Run(uint[]? contexts)
    {
        _contexts = contexts;
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    /// <summary>Runs a request of <see cref="LongRequests"/>.</summary>
    public void RunLong(uint[]? contexts)
    {
        _contexts = contexts;
        Track(new ValueTask(_session.Long.RunAsync(LongAsync)));
    }

    /// <summary>Rents memory for a long read or write, if the server's limit allows.</summary>
    public bool HasMemoryFor(int size) => (_slab = _session.Pool.TryRent(size)) is not null;

    /// <summary>Receives a long payload into the memory of <see cref="HasMemoryFor"/>.</summary>
    /// <returns>False if the client disconnected before the end of the payload.</returns>
    public bool TakePayload(ReceiveBuffer input, int length)
    {
        _payload = _slab!.Bytes.AsMemory(0, length);
        return input.Take(_slab.Bytes.AsSpan(0, length));
    }

    /// <summary>Takes over an operation that did not complete synchronously, with its memory.</summary>
    public void Attach(ValueTask operation, Memory<byte> reply, Slab slab)
    {
        Keep(slab);
        _reply = reply;
        _attached = operation;
    }

    /// <summary>Waits for the attached operation.</summary>
    public void Go() => Track(_attached);

    /// <inheritdoc/>
    public void Execute()
    {
        ValueTask started;
        try
        {
            started = Start();
        }
        catch (Exception e)
        {
            Fail(e);
            return;
        }

        Track(started);
    }

    /// <inheritdoc/>
    public void Release()
    {
        _slab?.Release();
        _slab = null;
        _session.InFlight.Leave(_bytes);
        _session.Return(this);
    }

    private void Keep(Slab slab)
    {
        slab.Hold();
        _slab = slab;
    }

    private ValueTask Start()
    {
        var device = _session.Device;
        long offset = (long)_request.Offset, length = (long)_request.Length;
        bool durable = (_request.Flags & CommandFlags.Fua) != 0;
        switch (_request.Command)
        {
            case NbdCommand.Read:
                return ReadAsync(null);
            case NbdCommand.Write:
                return device.WriteAsync(offset, _payload, durable ? WriteFlags.Fua : WriteFlags.None);
            case NbdCommand.Flush:
                return device.FlushAsync();
            case NbdCommand.Trim:
                return durable ? TrimDurablyAsync() : device.DiscardAsync(offset, length);
            case NbdCommand.Resize:
                return device.ResizeAsync(offset);
            case NbdCommand.Cache:
                return PrefetchAsync(null);
            case NbdCommand.BlockStatus:
                return StatusAsync(null);
            default:
                return device.WriteZeroesAsync(offset, length, ZeroFlagsOf(_request.Flags));
        }
    }

    private void Track(ValueTask operation)
    {
        var awaiter = _awaiter = operation.GetAwaiter();
        if (awaiter.IsCompleted)
        {
            Finish();
        }
        else
        {
            // from here on another thread may use this object
            awaiter.UnsafeOnCompleted(_finish);
        }
    }

    private void Finish()
    {
        try
        {
            _awaiter.GetResult();
        }
        catch (Exception e)
        {
            Fail(e);
            return;
        }

        var format = _session.Format;
        _session.Counters.DoneElsewhere(_request, _since);
        if (_reply.IsEmpty)
        {
            format.WriteDone(_small, _request);
            _session.Queue.AddLate(_small.AsMemory(0, format.DoneSize), this);
            return;
        }

        // hole and block status replies are complete
        if (_request.Command == NbdCommand.Read && _reply.Length == format.ReadHead + (int)_request.Length)
        {
            format.WriteReadHead(_reply.Span, _request);
        }

        _session.Queue.AddLate(_reply, this);
    }

    private void Fail(Exception failure)
    {
        _session.Counters.Failed();
        _session.Queue.AddLate(_session.Format.Error(_request, ReplyFormat.Map(failure, _request.Command), failure.Message), this);
    }

    private Task LongAsync(LongTurn turn) => _request.Command switch
    {
        NbdCommand.Read => ReadAsync(turn).AsTask(),
        NbdCommand.Cache => PrefetchAsync(turn).AsTask(),
        NbdCommand.BlockStatus => StatusAsync(turn).AsTask(),
        _ => ChangeRangeAsync(turn),
    };

    private async ValueTask ReadAsync(LongTurn? turn)
    {
        long offset = (long)_request.Offset, length = (long)_request.Length;
        var format = _session.Format;
        if (format.Form != HeaderForm.Simple)
        {
            var status = await ExportStatus.QueryAsync(_session.Device, offset, length);
            if (status.IsZero && status.Length == length)
            {
                _reply = _reply[..format.WriteHole(_reply.Span, _request)];
                return;
            }
        }

        int piece = turn is null ? (int)length : LongRequests.ShortRead;
        for (int done = 0, count; done < length; done += count)
        {
            count = (int)Math.Min(piece, length - done);
            await _session.Device.ReadAsync(offset + done, _reply.Slice(format.ReadHead + done, count));
            if (turn is not null && done + count < length)
            {
                await turn.NextAsync();
            }
        }
    }

    private async ValueTask TrimDurablyAsync()
    {
        await _session.Device.DiscardAsync((long)_request.Offset, (long)_request.Length);
        await _session.Device.FlushAsync();
    }

    // zeroes or discards in pieces that end on boundaries of large clusters
    private async Task ChangeRangeAsync(LongTurn turn)
    {
        var device = _session.Device;
        var flags = ZeroFlagsOf(_request.Flags) & ~ZeroFlags.Fua;
        long end = (long)(_request.Offset + _request.Length);
        for (long at = (long)_request.Offset; at < end;)
        {
            // a fast zero succeeds or fails as a whole and costs little
            long count = (flags & ZeroFlags.NoFallback) != 0 && _request.Command == NbdCommand.WriteZeroes
                ? end - at : Math.Min(end - at, LongRequests.RangePiece - (at % LongRequests.RangePiece));
            await (_request.Command == NbdCommand.Trim ? device.DiscardAsync(at, count) : device.WriteZeroesAsync(at, count, flags));
            at += count;
            if (at < end)
            {
                await turn.NextAsync();
            }
        }

        if ((_request.Flags & CommandFlags.Fua) != 0)
        {
            await device.FlushAsync();
        }
    }

    private static ZeroFlags ZeroFlagsOf(CommandFlags flags)
        => ((flags & CommandFlags.Fua) != 0 ? ZeroFlags.Fua : 0)
            | ((flags & CommandFlags.NoHole) == 0 ? ZeroFlags.MayUnmap : 0)
            | ((flags & CommandFlags.FastZero) != 0 ? ZeroFlags.NoFallback : 0);

    // reads into the page cache and drops the data; a stopping server may abandon the rest
    private async ValueTask PrefetchAsync(LongTurn? turn)
    {
        _slab = _session.Pool.Rent();
        long end = (long)(_request.Offset + _request.Length);
        int inPiece = 0;
        for (long at = (long)_request.Offset; at < end;)
        {
            if (_session.Queue.IsBroken || _session.IsStopping)
            {
                throw new BlockException(BlockError.Cancelled, "the server stops");
            }

            int count = (int)Math.Min(_slab.Bytes.Length, end - at);
            await _session.Device.ReadAsync(at, _slab.Bytes.AsMemory(0, count));
            at += count;
            inPiece += count;
            if (turn is not null && inPiece >= LongRequests.ShortRead)
            {
                inPiece = 0;
                await turn.NextAsync();
            }
        }
    }

    private async ValueTask StatusAsync(LongTurn? turn)
    {
        var wanted = _session.Contexts.Where(id => _contexts is null || _contexts.Contains(id)).ToArray();
        if (_contexts is not null && wanted.Length != _contexts.Length)
        {
            throw new BlockException(BlockError.InvalidArgument, "block status was asked for contexts that were not agreed on");
        }

        var format = _session.Format;
        bool extended = format.Form == HeaderForm.Extended;
        int head = format.ChunkHead + (extended ? BlockStatusExtent.ExtendedHead : BlockStatusExtent.CompactHead);
        int size = extended ? BlockStatusExtent.ExtendedSize : BlockStatusExtent.CompactSize;
        _slab = _session.Pool.Rent();

        // the contexts share the memory of the reply; the client requests the rest again
        int room = ((_slab.Bytes.Length / Math.Max(1, wanted.Length)) - head) / size;
        int most = (_request.Flags & CommandFlags.RequestOne) != 0 ? 1 : Math.Clamp(room, 1, NbdLimits.MaxExtents);
        int at = 0;
        for (int i = 0; i < wanted.Length; i++)
        {
            int count = await FillAsync(wanted[i], _slab.Bytes.AsMemory(at + head), most, size, turn);
            var chunk = _slab.Bytes.AsSpan(at);
            var type = extended ? ChunkType.BlockStatusExtended : ChunkType.BlockStatus;
            format.WriteChunk(chunk, _request, type, i == wanted.Length - 1, (ulong)(head - format.ChunkHead + (count * size)));
            BlockStatusExtent.WriteHead(chunk[format.ChunkHead..], wanted[i], (uint)count, extended);
            at += head + (count * size);
        }

        _reply = _slab.Bytes.AsMemory(0, at);
    }

    private async ValueTask<(long Length, ulong Flags)> StatusOfAsync(uint context, long offset, long length)
    {
        if (context >= MetaContexts.FirstBitmapId)
        {
            var run = _session.Bitmaps[(int)(context - MetaContexts.FirstBitmapId)].Find(offset, length);
            return (run.Length, run.IsDirty ? (ulong)DirtyFlags.Dirty : 0);
        }

        var status = await ExportStatus.QueryAsync(_session.Device, offset, length);
        return context == MetaContexts.DepthId ? (status.Length, status.Depth)
            : (status.Length, (status.IsHole ? (ulong)AllocationFlags.Hole : 0) | (status.IsZero ? (ulong)AllocationFlags.Zero : 0));
    }

    private async ValueTask<int> FillAsync(uint context, Memory<byte> to, int most, int size, LongTurn? turn)
    {
        bool extended = _session.Format.Form == HeaderForm.Extended;
        int runs = 0;
        long end = (long)(_request.Offset + _request.Length);
        int count = 0;
        var run = default(BlockStatusExtent);
        for (long at = (long)_request.Offset; at < end;)
        {
            var (length, flags) = await StatusOfAsync(context, at, end - at);
            if (run.Length != 0 && run.Flags != flags)
            {
                run.WriteTo(to.Span[(count++ * size)..], extended);
                run = default;
                if (count == most)
                {
                    return count;
                }
            }

            // the length of a compact extent has 32 bits, as the length of its request
            run = new BlockStatusExtent(run.Length + (ulong)length, flags);
            at += length;
            if (turn is not null && ++runs % LongRequests.RunsPiece == 0)
            {
                await turn.NextAsync();
            }
        }

        run.WriteTo(to.Span[(count++ * size)..], extended);
        return count;
    }
}
