using System.Net;
using System.Net.Sockets;
using Paddock.Block.Buffers;
using Paddock.Block.Serving;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tcp;

/// <summary>
/// One connection, which carries one queue. A single loop receives, and runs what can be run at once in order of arrival; slow commands go to
/// other threads and answer from there.
/// </summary>
internal sealed partial class TcpConnection : ICommandQueue, IControllerQueue, IServedClient
{
    private const int LingerMilliseconds = 2000;

    // receives that found data at once, before the thread is given up
    private const int TurnsAtOnce = 32;

    private readonly Socket _socket;
    private readonly NvmeTarget _target;
    private readonly NvmeTargetOptions _options;
    private readonly SendQueue _out;
    private readonly Lock _lock = new();
    private readonly Action<Command> _runIo;
    private PduRules _rules;
    private Slab _in;
    private int _start, _end;
    private volatile bool _batching, _draining, _disposed;
    private bool _initialized;
    private TaskCompletionSource? _room;
    private long _held;
    private readonly long _came = Environment.TickCount64;
    private long _lastActivity = Environment.TickCount64;

    public TcpConnection(Socket socket, NvmeTarget target, Slab buffer, LatencyTable latencies)
    {
        _socket = socket;
        Latencies = latencies;
        Statistics = new QueueStatistics(latencies);
        _target = target;
        _options = target.Options;
        _in = buffer;
        _rules = new PduRules(false, false, _options.InCapsuleBytes, _options.MaxTransferBytes);
        _out = new SendQueue(socket, Unhold, Hold);
        _runIo = RunIo;
    }

    /// <summary>Counters.</summary>
    public QueueStatistics Statistics { get; }

    /// <summary>Where they are kept.</summary>
    public LatencyTable Latencies { get; }

    /// <summary>The host's name; empty before it connected.</summary>
    public string Host => _controller?.Host ?? "";

    /// <summary>The number of the queue.</summary>
    public ushort Queue => _queue;

    /// <summary>Whether the client has introduced itself.</summary>
    public bool IsConnected => _controller is not null;

    /// <summary>Why the connection was ended by us; null while it was not.</summary>
    public string? Fault { get; set; }

    /// <summary>For how long nothing has come, by any queue of the same controller; since the connection began, where it is not admitted.</summary>
    public long IdleMilliseconds => Environment.TickCount64 - Volatile.Read(ref _lastActivity) is var own && IsAdmitted
        ? Running > 0 ? 0 : Math.Min(own, _controller!.SilentMilliseconds) : own;

    /// <inheritdoc/>
    /// <remarks>Discovery asks nobody for a key: a connection to it keeps no slot from a host, whatever it sends.</remarks>
    public ClientStanding Standing => !IsAdmitted || _controller!.IsDiscovery
        ? new(ClientTrust.Stranger, Environment.TickCount64 - _came)
        : new(
            _authentication is not null || (_controller.HasKeepAlive && _controller.IsReady) ? ClientTrust.Kept
                : _controller.IsReady ? ClientTrust.Served : ClientTrust.Introduced,
            IdleMilliseconds);

    public Controller? Controller => _controller;

    /// <inheritdoc/>
    public LongWorkClient LongWork { get; } = Block.Serving.LongWork.Shared.Open();

    /// <summary>Serves the connection until it ends. Never throws for what a client does.</summary>
    public async Task RunAsync()
    {
        try
        {
            await ReceiveAsync();
        }
        catch (PduException e)
        {
            Fault = e.Message;
            await TerminateAsync(e);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // the client is gone, or we let it go
        }
        finally
        {
            Dispose();
            _gone.Cancel();
            LongWork.Dispose();
            _out.Close();
            _controller?.Detach(_queue, this);
            ReleaseTransfers();
            _in.Release();
        }

        await QuietAsync();
    }

    /// <summary>Ends the connection at once.</summary>
    public void Dispose()
    {
        _disposed = true;
        _socket.Dispose();
        LetIn();
    }

    /// <inheritdoc/>
    public void Finish()
    {
        if (!_draining)
        {
            _draining = true;
            LongWork.CancelWaiting();
            _ = LetGoAsync();
        }
    }

    /// <inheritdoc/>
    public void Abort() => Dispose();

    private async Task LetGoAsync()
    {
        while (!_disposed && Running > 0)
        {
            await Task.Delay(5);
        }

        if (!_disposed)
        {
            // whoever takes no answers is cut off by the server, and that ends this wait too
            await _out.DrainAsync();
        }

        Dispose();
    }

    private async Task ReceiveAsync()
    {
        int turns = 0;
        while (!_draining)
        {
            _batching = true;
            try
            {
                while (!_draining && Step())
                {
                    if (Volatile.Read(ref _held) > _options.ConnectionBytes)
                    {
                        _batching = false;
                        _out.Kick();
                        await RoomAsync();
                        _batching = true;
                    }
                }
            }
            finally
            {
                _batching = false;
            }

            _out.Kick();
            if (_draining)
            {
                break;
            }

            // awaited here and nowhere deeper: a wait allocates nothing
            var receiving = _socket.ReceiveAsync(NextTarget(out bool isDirect), SocketFlags.None);
            bool waits = !receiving.IsCompleted;
            int got = await receiving;
            if (waits)
            {
                turns = 0;
            }
            else if (++turns == TurnsAtOnce)
            {
                // the thread may be the one that waits for all sockets: a client that always has more must leave it to the others
                turns = 0;
                await Task.Yield();
            }

            if (got == 0)
            {
                break;
            }

            Took(got, isDirect);

            // a client that has not introduced itself gains no time by sending a byte now and then, nor does one without a key for its controller
            if (IsAdmitted)
            {
                Volatile.Write(ref _lastActivity, Environment.TickCount64);
                _controller!.Touch();
            }
        }

        while (_draining && !_disposed)
        {
            await Task.Delay(20);
        }
    }

    /// <summary>Where the next bytes go: the rest of the buffer, or straight into the command that is being filled.</summary>
    private Memory<byte> NextTarget(out bool isDirect)
    {
        if (_start == _end && DirectTarget() is { Length: > 0 } target)
        {
            isDirect = true;
            return target;
        }

        isDirect = false;
        MakeRoom();
        return _in.Bytes.AsMemory(_end);
    }

    private void Took(int bytes, bool isDirect)
    {
        if (isDirect)
        {
            Account(bytes);
        }
        else
        {
            _end += bytes;
        }
    }

    // a PDU that has begun must fit whole behind _start; a buffer that commands still use is left to them
    private void MakeRoom()
    {
        int rest = _end - _start;
        if (rest == 0 && _in.IsMine)
        {
            _start = _end = 0;
            return;
        }

        if (_in.Bytes.Length - _end >= Math.Max(8 << 10, PendingLength() - rest))
        {
            return;
        }

        if (_in.IsMine)
        {
            _in.Bytes.AsSpan(_start, rest).CopyTo(_in.Bytes);
        }
        else
        {
            var fresh = _target.Buffers.TryRent(SlabPool.StandardSize)
                ?? throw new PduException(FatalError.DataLimit, 0, "the server's limit of memory is reached");
            _in.Bytes.AsSpan(_start, rest).CopyTo(fresh.Bytes);
            _in.Release();
            _in = fresh;
        }

        _start = 0;
        _end = rest;
    }

    private int PendingLength() => _end - _start < PduHeader.Size || _incoming is not null
        ? PduHeader.InitializeSize
        : (int)Math.Min(PduHeader.Read(_in.Bytes.AsSpan(_start)).Length, (uint)_in.Bytes.Length);

    private async ValueTask RoomAsync()
    {
        TaskCompletionSource waiter;
        lock (_lock)
        {
            if (_held <= _options.ConnectionBytes)
            {
                return;
            }

            _room = waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        // who lets go after this sees that somebody waits; who did before is seen here
        Interlocked.MemoryBarrier();
        if (_disposed || Volatile.Read(ref _held) <= _options.ConnectionBytes)
        {
            LetIn();
        }

        await waiter.Task;
    }

    private void Hold(int bytes) => Interlocked.Add(ref _held, bytes);

    private void Unhold(int bytes)
    {
        if (bytes == 0)
        {
            return;
        }

        long held = Interlocked.Add(ref _held, -bytes);
        if (held <= _options.ConnectionBytes && Volatile.Read(ref _room) is not null)
        {
            LetIn();
        }
    }

    private void LetIn()
    {
        lock (_lock)
        {
            _room?.TrySetResult();
            _room = null;
        }
    }

    // says why, then gives the client time to read it before the socket goes
    private async Task TerminateAsync(PduException fault)
    {
        var culprit = _in.Bytes.AsMemory(_start, Math.Min(_end - _start, PduHeader.MaxTerminate - PduHeader.ShortSize));
        byte[] pdu = new byte[PduHeader.MaxTerminate];
        int length = new TerminatePdu(fault.Error, fault.Information).WriteTo(pdu, PduType.ControllerTerminate, culprit.Span);
        _out.Put(length, pdu.AsSpan(0, length), static (to, from) => from.CopyTo(to));
        try
        {
            await _out.DrainAsync().WaitAsync(TimeSpan.FromMilliseconds(LingerMilliseconds));
            _socket.Shutdown(SocketShutdown.Send);
            using var limit = new CancellationTokenSource(LingerMilliseconds);
            while (await _socket.ReceiveAsync(pdu, SocketFlags.None, limit.Token) > 0)
            {
                // what a client still sends must not keep the thread
                await Task.Yield();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException or TimeoutException)
        {
            // it went first
        }
    }
}
