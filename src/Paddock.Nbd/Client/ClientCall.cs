using System.Threading.Tasks.Sources;
using Paddock.Block;
using Paddock.Nbd.Wire;

namespace Paddock.Nbd.Client;

/// <summary>A request that waits for its reply. Used again and again: asking allocates nothing.</summary>
internal sealed class ClientCall : IValueTaskSource
{
    private readonly ClientConnection _connection;
    private ManualResetValueTaskSourceCore<bool> _done;
    private BlockException? _failure;
    private int _covered;

    /// <param name="connection">The connection that it is asked on.</param>
    /// <param name="index">Its place there.</param>
    public ClientCall(ClientConnection connection, int index)
    {
        _connection = connection;
        Index = index;

        // who waits may ask again at once: that must not happen on the thread that receives
        _done.RunContinuationsAsynchronously = true;
    }

    public int Index { get; }

    public NbdRequest Request { get; private set; }

    /// <summary>What a read fills.</summary>
    public Memory<byte> Buffer { get; private set; }

    /// <summary>What a block status request was told.</summary>
    public BlockStatusExtent Status { get; private set; }

    /// <summary>What the request before told; read by who asked it, before it asks again.</summary>
    public BlockStatusExtent LastStatus { get; private set; }

    /// <summary>The request's header as it is sent.</summary>
    public byte[] Header { get; } = new byte[ExtendedRequest.Size];

    public ValueTask Task => new(this, _done.Version);

    public void Begin(in NbdRequest request, Memory<byte> buffer)
    {
        _done.Reset();
        _failure = null;
        _covered = 0;
        Status = default;
        Request = request;
        Buffer = buffer;
    }

    /// <summary>Where a part of a read's data goes.</summary>
    /// <exception cref="NbdProtocolException">It is outside what was asked for.</exception>
    public Memory<byte> Part(ulong offset, ulong length)
    {
        ulong at = offset - Request.Offset;
        if (Request.Command != NbdCommand.Read || offset < Request.Offset || at > (ulong)Buffer.Length || length > (ulong)Buffer.Length - at)
        {
            throw new NbdProtocolException("OffsetData", 0, $"offset {offset}, length {length} were not asked for");
        }

        _covered += (int)length;
        return Buffer.Slice((int)at, (int)length);
    }

    /// <summary>Keeps what was told for who asked.</summary>
    public void Remember() => LastStatus = Status;

    public void Tell(BlockStatusExtent status) => Status = status;

    public void Fail(NbdError error, string message) => _failure ??= NbdErrorText.Failure(error, message);

    /// <summary>The last of its reply came.</summary>
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
            _connection.Return(this);
        }
    }

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _done.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _done.OnCompleted(continuation, state, token, flags);
}
