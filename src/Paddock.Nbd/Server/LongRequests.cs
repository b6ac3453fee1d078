using Paddock.Block;
using Paddock.Nbd.Transport;
using Paddock.Nbd.Wire;
using Paddock.Serving;

namespace Paddock.Nbd.Server;

/// <summary>
/// Requests of one connection whose cost is bounded only by the size of the disk: CACHE, block status, zeroes and discards of long ranges,
/// long reads. They run in pieces, in turn with those of other clients (<see cref="LongWork"/>), and end when the client disconnects.
/// </summary>
internal sealed class LongRequests(IByteChannel channel, TimeProvider time) : IDisposable
{
    /// <summary>Longest range that is answered immediately.</summary>
    public const long ShortRange = 16L << 20;

    /// <summary>Longest piece of a read or CACHE.</summary>
    public const int ShortRead = LongWork.PieceBytes;

    /// <summary>Longest piece of a zero or discard request.</summary>
    public const long RangePiece = 32L << 20;

    /// <summary>Number of block status runs in one piece.</summary>
    public const int RunsPiece = 256;

    // polled, because the receive loop notices a disconnect only while it receives, and it may be waiting for these requests
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
    /// <exception cref="BlockException"><see cref="BlockError.Cancelled"/>: the client disconnected, or the server stops.</exception>
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

    /// <summary>Fails the requests that have not begun, because the server stops.</summary>
    public void CancelWaiting() => _client.CancelWaiting();

    /// <summary>Fails every request at the end of its piece. May be called from any thread, and more than once.</summary>
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
