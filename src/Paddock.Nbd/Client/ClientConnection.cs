using System.Buffers.Binary;
using System.Net.Sockets;
using Paddock.Block;
using Paddock.Nbd.Transport;
using Paddock.Nbd.Wire;
using Paddock.Serving;

namespace Paddock.Nbd.Client;

/// <summary>One connection to a server, with requests in flight and a thread that receives their replies.</summary>
internal sealed class ClientConnection : IDisposable
{
    private const int MaxCalls = 64;

    // time limits of the handshake and of the disconnect request
    private static readonly TimeSpan HandshakeLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan GoodbyeLimit = TimeSpan.FromSeconds(5);

    // read data is received directly into the caller's buffer; everything else is small
    private readonly SlabPool _pool = new();
    private readonly ReceiveBuffer _input;
    private readonly SendQueue _queue;
    private readonly Thread _receiver;
    private readonly ClientCall[] _calls = new ClientCall[MaxCalls];
    private readonly bool[] _waiting = new bool[MaxCalls];
    private readonly Stack<ClientCall> _free = new();
    private readonly SemaphoreSlim _places = new(MaxCalls);
    private readonly Lock _lock = new();
    private readonly uint? _allocationId;
    private string? _lost;

    private ClientConnection(ReceiveBuffer input, NbdExportInfo info, uint? allocationId)
    {
        _input = input;
        _queue = new SendQueue(input.Channel, "nbd client send");
        _allocationId = allocationId;
        Info = info;
        Action<ClientCall> back = Return;
        for (int i = MaxCalls - 1; i >= 0; i--)
        {
            _free.Push(_calls[i] = new ClientCall(back, i));
        }

        _receiver = new Thread(Receive, 256 << 10) { IsBackground = true, Name = "nbd client" };
        _receiver.Start();
    }

    /// <summary>Export information from the server.</summary>
    public NbdExportInfo Info { get; }

    /// <summary>Number of this connection of the client, from 1: different numbers show that a connection was lost in between.</summary>
    public int Number { get; set; } = 1;

    /// <summary>Whether the server reports holes and zeroes.</summary>
    public bool HasStatus => _allocationId is not null;

    public bool IsLost => Volatile.Read(ref _lost) is not null;

    /// <summary>Connects and completes the handshake. Blocks its thread.</summary>
    /// <exception cref="BlockException">The server cannot be reached, or rejects the client.</exception>
    public static ClientConnection Open(NbdTarget target)
        => Negotiate(target, (handshake, input) => new ClientConnection(input, handshake.Go(), handshake.AllocationId));

    /// <summary>Lists the exports of a server. Blocks its thread.</summary>
    public static List<NbdExportInfo> List(NbdTarget target) => Negotiate(target, (handshake, input) =>
    {
        var list = handshake.List();
        input.Channel.Dispose();
        input.Dispose();
        return list;
    });

    /// <summary>Sends a request; the result completes with its reply.</summary>
    /// <param name="request">The request; its cookie is set here.</param>
    /// <param name="buffer">Destination of a read.</param>
    /// <param name="data">Payload of a write; must not change before the reply.</param>
    public ValueTask AskAsync(in NbdRequest request, Memory<byte> buffer, ReadOnlyMemory<byte> data)
        => _places.Wait(0) ? Start(request, buffer, data, out _) : AskLaterAsync(request, buffer, data);

    /// <summary>Requests block status.</summary>
    public async ValueTask<BlockStatusExtent> AskStatusAsync(NbdRequest request)
    {
        await _places.WaitAsync();
        var asked = Start(request, default, default, out var call);
        await asked.ConfigureAwait(false);
        return call.LastStatus;
    }

    /// <summary>Returns an answered call to the free list.</summary>
    public void Return(ClientCall call)
    {
        call.Remember();
        lock (_lock)
        {
            _free.Push(call);
        }

        _places.Release();
    }

    /// <summary>Sends a disconnect request and closes the connection.</summary>
    public void Dispose()
    {
        byte[] header = new byte[ExtendedRequest.Size];
        var request = new NbdRequest(0, NbdCommand.Disconnect, 0, 0, 0);
        _queue.Add(header.AsMemory(0, WriteHeader(header, request)), null);
        using (Limit(_input.Channel, GoodbyeLimit))
        {
            _queue.Drain();
        }

        _input.Channel.Abort();
        if (Thread.CurrentThread != _receiver)
        {
            _receiver.Join();
        }

        _queue.Dispose();
        _places.Dispose();
    }

    private static T Negotiate<T>(NbdTarget target, Func<ClientHandshake, ReceiveBuffer, T> then)
    {
        SocketChannel? channel = null;
        try
        {
            channel = new SocketChannel(target.Connect());
            var pool = new SlabPool();
            var input = new ReceiveBuffer(channel, pool, pool.Rent());
            using var limit = Limit(channel, HandshakeLimit);
            var handshake = new ClientHandshake(input, channel, target);
            handshake.Begin();
            return then(handshake, input);
        }
        catch (SocketException e)
        {
            channel?.Dispose();
            string what = target.SocketPath is { } path ? $"Failed to connect to '{path}'"
                : $"Failed to connect to '{target.Host}:{target.Port}'";
            throw new BlockException(BlockError.Io, $"{what}: {Words(e)}", e) { Errno = e.NativeErrorCode };
        }
        catch (Exception e) when (e is IOException and not BlockException)
        {
            channel?.Dispose();
            throw new BlockException(BlockError.Io, e.Message, e);
        }
        catch
        {
            channel?.Dispose();
            throw;
        }
    }

    private static ITimer Limit(IByteChannel channel, TimeSpan time)
        => TimeProvider.System.CreateTimer(static c => ((IByteChannel)c!).Abort(), channel, time, Timeout.InfiniteTimeSpan);

    // the C library's text, as other tools print it
    private static string Words(SocketException e) => e.SocketErrorCode switch
    {
        SocketError.ConnectionRefused => "Connection refused",
        SocketError.AddressNotAvailable => "No such file or directory",
        SocketError.AccessDenied => "Permission denied",
        _ => e.Message,
    };

    private async ValueTask AskLaterAsync(NbdRequest request, Memory<byte> buffer, ReadOnlyMemory<byte> data)
    {
        await _places.WaitAsync();
        await Start(request, buffer, data, out _);
    }

    private ValueTask Start(in NbdRequest request, Memory<byte> buffer, ReadOnlyMemory<byte> data, out ClientCall call)
    {
        lock (_lock)
        {
            if (_lost is { } why)
            {
                _places.Release();
                throw new ConnectionLostException(why);
            }

            call = _free.Pop();
            call.Begin(request with { Cookie = (ulong)call.Index }, buffer);
            _waiting[call.Index] = true;
        }

        var task = call.Task;
        int size = WriteHeader(call.Header, call.Request);
        _queue.AddPair(call.Header.AsMemory(0, size), data);
        _queue.Flush();
        return task;
    }

    private int WriteHeader(Span<byte> to, in NbdRequest request)
    {
        if (Info.Form != HeaderForm.Extended)
        {
            CompactRequest.Write(to, request);
            return CompactRequest.Size;
        }

        bool hasPayload = request.Command == NbdCommand.Write;
        ExtendedRequest.Write(to, hasPayload ? request with { Flags = request.Flags | CommandFlags.PayloadLength } : request);
        return ExtendedRequest.Size;
    }

    private void Receive()
    {
        string why = "the NBD server hung up";
        try
        {
            while (_input.Ensure(sizeof(uint)) && TakeReply())
            {
            }
        }
        catch (NbdProtocolException e)
        {
            why = e.Message;
        }

        _input.Channel.Abort();
        lock (_lock)
        {
            _lost = why;
        }

        // nothing else completes calls from here on
        foreach (var call in _calls)
        {
            if (TakeWaiting(call.Index))
            {
                call.Lose(why);
            }
        }

        _input.Channel.Dispose();
        _input.Dispose();
    }

    private bool TakeReply()
    {
        uint magic = BinaryPrimitives.ReadUInt32BigEndian(_input.Available);
        switch (magic)
        {
            case NbdMagic.SimpleReply when Info.Form != HeaderForm.Extended:
                return _input.Ensure(SimpleReply.Size) && TakeSimple();
            case NbdMagic.StructuredReply when Info.Form == HeaderForm.Structured:
                return _input.Ensure(StructuredReply.Size) && TakeChunk(StructuredReply.Parse(_input.Available), StructuredReply.Size);
            case NbdMagic.ExtendedReply when Info.Form == HeaderForm.Extended:
                return _input.Ensure(ExtendedReply.Size) && TakeChunk(ExtendedReply.Parse(_input.Available), ExtendedReply.Size);
            default:
                throw new NbdProtocolException("reply", 0, $"0x{magic:x} begins no reply that was agreed on");
        }
    }

    private bool TakeSimple()
    {
        var reply = SimpleReply.Parse(_input.Available);
        _input.Consume(SimpleReply.Size);
        var call = Find(reply.Cookie);
        if (reply.Error != NbdError.None)
        {
            call.Fail(reply.Error, "");
        }
        else if (call.Request.Command == NbdCommand.Read)
        {
            if (Info.Form != HeaderForm.Simple)
            {
                throw new NbdProtocolException(nameof(SimpleReply), 0, "a simple reply to a read, against what was agreed on");
            }

            if (!_input.Take(call.Part(call.Request.Offset, call.Request.Length).Span))
            {
                return false;
            }
        }

        Finish(call);
        return true;
    }

    private bool TakeChunk(ReplyChunk chunk, int headerSize)
    {
        _input.Consume(headerSize);
        var call = Find(chunk.Cookie);
        bool there = chunk.Type switch
        {
            ChunkType.None => chunk.Length == 0 ? true : throw new NbdProtocolException("chunk", 16, "a payload where none may be"),
            ChunkType.OffsetData => TakeData(call, chunk),
            _ => TakePayload(call, chunk),
        };
        if (there && chunk.IsLast)
        {
            Finish(call);
        }

        return there;
    }

    private bool TakeData(ClientCall call, in ReplyChunk chunk)
    {
        if (chunk.Length <= ReadPayload.DataHead)
        {
            throw new NbdProtocolException("OffsetData", 16, $"a payload of {chunk.Length} bytes");
        }

        if (!_input.Ensure(ReadPayload.DataHead))
        {
            return false;
        }

        ulong offset = ReadPayload.ParseOffset(_input.Available);
        _input.Consume(ReadPayload.DataHead);
        return _input.Take(call.Part(offset, chunk.Length - ReadPayload.DataHead).Span);
    }

    private bool TakePayload(ClientCall call, in ReplyChunk chunk)
    {
        if (chunk.Length > NbdLimits.MaxReplyPayload)
        {
            throw new NbdProtocolException("chunk", 16, $"a payload of {chunk.Length} bytes is longer than {NbdLimits.MaxReplyPayload}");
        }

        var slab = _pool.Rent((int)chunk.Length);
        try
        {
            var payload = slab.Bytes.AsSpan(0, (int)chunk.Length);
            if (!_input.Take(payload))
            {
                return false;
            }

            switch (chunk.Type)
            {
                case ChunkType.OffsetHole:
                    var (offset, length) = ReadPayload.ParseHole(payload);
                    call.Part(offset, length).Span.Clear();
                    break;
                case ChunkType.BlockStatus or ChunkType.BlockStatusExtended:
                    var (context, run) = BlockStatusExtent.ParseRun(payload, chunk.Type == ChunkType.BlockStatusExtended);
                    if (context == _allocationId)
                    {
                        call.Tell(run);
                    }

                    break;
                case ChunkType.Error or ChunkType.ErrorOffset:
                    var error = ErrorPayload.Parse(payload);
                    call.Fail(error.Error, error.Message);
                    break;
                default:
                    call.Fail(
                        chunk.IsError ? NbdError.Io
                        : throw new NbdProtocolException("chunk", 6, $"type {(ushort)chunk.Type} was not agreed on"), "");
                    break;
            }

            return true;
        }
        finally
        {
            slab.Release();
        }
    }

    private ClientCall Find(ulong cookie)
        => cookie < MaxCalls && Volatile.Read(ref _waiting[cookie])
            ? _calls[cookie] : throw new NbdProtocolException("reply", 8, $"nothing was asked with cookie {cookie}");

    private void Finish(ClientCall call)
    {
        if (TakeWaiting(call.Index))
        {
            call.Complete();
        }
    }

    private bool TakeWaiting(int index)
    {
        lock (_lock)
        {
            bool was = _waiting[index];
            _waiting[index] = false;
            return was;
        }
    }
}
