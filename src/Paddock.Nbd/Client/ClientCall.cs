using System.Threading.Tasks.Sources;
using Paddock.Block;
using Paddock.Nbd.Wire;

namespace Paddock.Nbd.Client;

/// <summary>A request that waits for its reply. Reusable, so that a request allocates nothing.</summary>
internal sealed class ClientCall : IValueTaskSource
{
    private const int MostApart = 4096;

    private readonly Action<ClientCall> _back;
    private ManualResetValueTaskSourceCore<bool> _done;
    private BlockException? _failure;

    // received bytes: a contiguous start, and separate parts after it
    private int _covered, _beginning;
    private List<(int From, int To)>? _apart;

    /// <param name="back">Returns the call to the free list after its reply has been read.</param>
    /// <param name="index">Index in the list of calls.</param>
    public ClientCall(Action<ClientCall> back, int index)
    {
        _back = back;
        Index = index;

        // the waiter may submit another request immediately; that must not run on the receive thread
        _done.RunContinuationsAsynchronously = true;
    }

    public int Index { get; }

    public NbdRequest Request { get; private set; }

    /// <summary>Destination of a read.</summary>
    public Memory<byte> Buffer { get; private set; }

    /// <summary>Result of a block status request.</summary>
    public BlockStatusExtent Status { get; private set; }

    /// <summary>Result of the previous request; its caller reads it before the next request.</summary>
    public BlockStatusExtent LastStatus { get; private set; }

    /// <summary>Header of the request on the wire.</summary>
    public byte[] Header { get; } = new byte[ExtendedRequest.Size];

    public ValueTask Task => new(this, _done.Version);

    public void Begin(in NbdRequest request, Memory<byte> buffer)
    {
        _done.Reset();
        _failure = null;
        _covered = _beginning = 0;
        _apart?.Clear();
        Status = default;
        Request = request;
        Buffer = buffer;
    }

    /// <summary>Destination of a part of a read's data.</summary>
    /// <exception cref="NbdProtocolException">The part is outside the requested range.</exception>
    public Memory<byte> Part(ulong offset, ulong length)
    {
        ulong at = offset - Request.Offset;
        if (Request.Command != NbdCommand.Read || offset < Request.Offset || at > (ulong)Buffer.Length
            || length > (ulong)Buffer.Length - at)
        {
            throw new NbdProtocolException("OffsetData", 0, $"offset {offset}, length {length} were not asked for");
        }

        Cover((int)at, (int)(at + length));
        return Buffer.Slice((int)at, (int)length);
    }

    // a duplicate part would hide a missing one, and the caller would take old buffer contents for data
    private void Cover(int from, int to)
    {
        bool isNew = from >= _beginning && from < to;
        for (int i = 0; isNew && i < _apart?.Count; i++)
        {
            isNew = from >= _apart[i].To || to <= _apart[i].From;
        }

        if (!isNew || _apart?.Count >= MostApart)
        {
            throw new NbdProtocolException(
                "OffsetData", 0, $"offset {from}, length {to - from} of a read came twice, or its parts are too many or empty");
        }

        _covered += to - from;
        if (from == _beginning)
        {
            _beginning = to;
        }
        else
        {
            (_apart ??= []).Add((from, to));
        }
    }

    /// <summary>Keeps the status for the caller.</summary>
    public void Remember() => LastStatus = Status;

    public void Tell(BlockStatusExtent status) => Status = status;

    public void Fail(NbdError error, string message) => _failure ??= NbdErrorText.Failure(error, message);

    /// <summary>Completes the call at the end of its reply.</summary>
    public void Complete()
    {
        if (_failure is not null)
        {
            _done.SetException(_failure);
        }
        else if (Request.Command == NbdCommand.Read && _covered != Buffer.Length)
        {
            _done.SetException(new BlockException(BlockError.Io, $"the NBD server gave {_covered} of {Buffer.Length} bytes"));
        }
        else
        {
            _done.SetResult(true);
        }
    }

    public void Lose(string why) => _done.SetException(new ConnectionLostException(why));

    void IValueTaskSource.GetResult(short token)
    {
        try
        {
            _done.GetResult(token);
        }
        finally
        {
            Buffer = default;
            _back(this);
        }
    }

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _done.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _done.OnCompleted(continuation, state, token, flags);
}
