using Paddock.Block;
using Paddock.Nbd.Transport;
using Paddock.Nbd.Wire;
using Paddock.Serving;

namespace Paddock.Nbd.Server;

/// <summary>
/// One connection's requests whose cost has no bound but the size of the disk: CACHE, block status, zeroes and discards of long ranges,
/// long reads. They run in pieces, in turn with those of other clients (<see cref="LongWork"/>), and end when the client is gone.
/// </summary>
internal sealed class LongRequests(IByteChannel channel, TimeProvider time) : IDisposable
{
    /// <summary>Ranges up to this are answered at once.</summary>
    public const long ShortRange = 16L << 20;

    /// <summary>A read or CACHE up to this is one piece.</summary>
    public const int ShortRead = LongWork.PieceBytes;

    /// <summary>Bytes of a range that is zeroed or discarded in one piece.</summary>
    public const long RangePiece = 32L << 20;

    /// <summary>Runs of block status that are asked for in one piece.</summary>
    public const int RunsPiece = 256;

    // the receive loop sees the end of the connection only while it receives; it may wait for the requests here instead
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(500);

    private readonly LongWorkClient _client = LongWork.Shared.Open();
    private readonly Lock _lock = new();
    private ITimer? _watch;
    private bool _isDisposed;

    /// <summary>Whether a request must run here.</summary>
    public static bool IsLong(in NbdRequest request) => request.Command switch
    {
        NbdCommand.Cache or NbdCommand.Read => request.Length > ShortRead,
        NbdCommand.Trim or NbdCommand.WriteZeroes or NbdCommand.BlockStatus => request.Length > ShortRange,
        _ => false,
    };

    /// <summary>Runs a request in pieces.</summary>
    /// <exception cref="BlockException"><see cref="BlockError.Cancelled"/>: the client is gone, or the server stops.</exception>
    public Task RunAsync(Func<LongTurn, Task> request)
    {
        lock (_lock)
        {
            if (!_isDisposed)
            {
                _watch ??= time.CreateTimer(static o => ((LongRequests)o!).LookForClient(), this, Look, Look);
            }
        }

        return _client.RunAsync(request);
    }

    /// <summary>The server stops: requests that have not begun fail.</summary>
    public void CancelWaiting() => _client.CancelWaiting();

    /// <summary>The client is gone: everything fails at the end of its piece. May be called from any thread, and more than once.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _isDisposed = true;
            _watch?.Dispose();
        }

        _client.Dispose();
    }

    private void LookForClient()
    {
        if (channel.IsPeerGone)
        {
            Dispose();
        }
    }
}
