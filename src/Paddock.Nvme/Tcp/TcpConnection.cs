using System.Net;
using System.Net.Sockets;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Tcp;

/// <summary>
/// One connection, which carries one queue: its socket, the loop that receives, and its lifetime. What it receives goes to
/// <see cref="PduReader"/>, and from there through <see cref="CommandIntake"/> and <see cref="CommandRunner"/> to
/// <see cref="CommandQueue"/>.
/// </summary>
internal sealed class TcpConnection : IQueueConnection, IServedClient
{
    private const int LingerMilliseconds = 2000;

    // receive calls that found data at once, before the thread is yielded
    private const int TurnsAtOnce = 32;

    private readonly Socket _socket;
    private readonly SendQueue _output;
    private readonly PduBuffer _input;
    private readonly PduReader _reader;
    private readonly PduWriter _writer;
    private readonly QueueAdmission _admission = new();
    private readonly MemoryBudget _memory;
    private readonly CommandQueue _queue;
    private readonly CommandIntake _intake;

    // without a timer, so that nothing is left of it when it is not disposed
    private readonly CancellationTokenSource _gone = new();
    private readonly TaskCompletionSource _disposed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly long _since = Environment.TickCount64;
    private long _lastActivity = Environment.TickCount64;
    private readonly NvmeTarget _target;
    private readonly string _peer;
    private volatile bool _draining, _reported, _isQueue;
    private int _ending;

    public TcpConnection(Socket socket, NvmeTarget target, Slab buffer, LatencyTable latencies)
    {
        _socket = socket;
        _target = target;
        _peer = ClientSocket.PeerOf(socket);
        Latencies = latencies;
        _memory = new MemoryBudget(target.Options.ConnectionBytes);
        _output = new SendQueue(socket, _memory.Return, _memory.Take);
        _writer = new PduWriter(_output);
        _queue = new CommandQueue(_admission, _writer, _memory, latencies);
        var runner = new CommandRunner(
            _admission,
            new ConnectCommand(target, _admission, _queue.Table, this),
            new AuthenticationCommands(target, _admission, this),
            _memory);
        _intake = new CommandIntake(target, _admission, _queue, runner, _writer, _memory);
        _input = new PduBuffer(target.Buffers, buffer);
        _reader = new PduReader(_input, _intake, target.Options);
    }

    /// <summary>The completed commands and how long they took.</summary>
    public LatencyTable Latencies { get; }

    /// <summary>PDUs that were parsed so far.</summary>
    public long Pdus => _reader.Pdus;

    /// <summary>The host's name; empty before it connected.</summary>
    public string Host => Controller?.Host ?? "";

    /// <summary>The controller; null before the host connected.</summary>
    public Controller? Controller => _admission.Controller;

    /// <summary>The number of the queue.</summary>
    public ushort Queue => _admission.Queue;

    /// <summary>Whether the host has connected.</summary>
    public bool IsConnected => Controller is not null;

    /// <inheritdoc cref="QueueAdmission.IsAdmitted"/>
    public bool IsAdmitted => _admission.IsAdmitted;

    /// <summary>Milliseconds for which an authentication of the queue has been due or running; 0 when none is.</summary>
    public long AuthenticatingMilliseconds => _admission.AuthenticatingMilliseconds;

    /// <inheritdoc/>
    public bool IsAuthenticating => AuthenticatingMilliseconds > 0;

    /// <summary>Why the server ended the connection; null when it did not.</summary>
    public string? Fault { get; private set; }

    /// <inheritdoc/>
    public IPEndPoint? LocalAddress => _socket.LocalEndPoint as IPEndPoint;

    /// <inheritdoc/>
    public void Admitted()
    {
        _isQueue = true;
        _target.Notify(Notice(ClientChange.Connected, null));
    }

    /// <inheritdoc/>
    public void Rejected(string? host, string? subsystem, string why)
    {
        _reported = true;
        _target.Notify(new ClientNotice(ClientChange.Rejected, _peer, subsystem ?? "", why) { Host = host });
    }

    /// <summary>Releases the memory of a connection that is never served.</summary>
    public void GiveUp() => _input.Release();

    /// <summary>Reports the end of the connection; one that was opened and closed without a command is not reported.</summary>
    public void ReportEnd()
    {
        if (_isQueue)
        {
            _target.Notify(Notice(ClientChange.Disconnected, Fault ?? (_draining ? "the server is stopping" : null)));
        }
        else if (Fault is not null && !_reported)
        {
            _target.Notify(Notice(ClientChange.Rejected, Fault));
        }
    }

    /// <inheritdoc/>
    public CancellationToken Gone => _gone.Token;

    /// <summary>
    /// Milliseconds since anything was received on a queue of the same controller; since the connection began when it is not admitted.
    /// </summary>
    public long IdleMilliseconds
    {
        get
        {
            long own = Environment.TickCount64 - Volatile.Read(ref _lastActivity);
            return !IsAdmitted ? own : Running > 0 ? 0 : Math.Min(own, Controller!.SilentMilliseconds);
        }
    }

    /// <inheritdoc/>
    /// <remarks>Discovery requires no key: a connection to it keeps no slot from a host, whatever it sends.</remarks>
    public ClientStanding Standing => !IsAdmitted || Controller!.IsDiscovery
        ? new(ClientTrust.Stranger, Environment.TickCount64 - _since)
        : new(
            _admission.Authentication is not null || (Controller.HasKeepAlive && Controller.IsReady) ? ClientTrust.Kept
                : Controller.IsReady ? ClientTrust.Served : ClientTrust.Introduced,
            IdleMilliseconds);

    private ClientNotice Notice(ClientChange change, string? why) => new(change, _peer, Controller?.Subsystem.Nqn ?? "", why)
    {
        Host = Controller?.Host, Controller = Controller?.Id ?? 0, Queue = Queue,
    };

    private bool IsDisposed => _disposed.Task.IsCompleted;

    /// <summary>Commands that run. A stop waits for them, but not for requests for events or for data, which may never come.</summary>
    private int Running => _queue.Table.InFlight - _intake.Unstarted - (Queue == 0 ? Controller?.Events.Waiting ?? 0 : 0);

    /// <summary>Serves the connection until it ends. Throws nothing for what a client does.</summary>
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
        catch (HostTerminatedException e)
        {
            Fault = e.Message;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // the client disconnected, or the server closed the connection
        }
        finally
        {
            Dispose();
            _gone.Cancel();
            _queue.LongWork.Dispose();
            _output.Close();
            Controller?.Detach(Queue, this);
            _intake.Abandon();
            _input.Release();
        }

        await _queue.QuietAsync();
    }

    /// <summary>Ends the connection at once.</summary>
    public void Dispose()
    {
        _disposed.TrySetResult();
        _socket.Dispose();
        _memory.Close();
        _queue.Table.Wake();
    }

    /// <inheritdoc/>
    public void Finish()
    {
        if (!_draining)
        {
            _draining = true;
            _queue.LongWork.CancelWaiting();
            _ = DrainAsync();
        }
    }

    /// <inheritdoc/>
    public void Abort() => Dispose();

    /// <inheritdoc/>
    public void End(string why)
    {
        Fault ??= why;
        Dispose();
    }

    /// <inheritdoc/>
    public void EndAfterAnswers(string why)
    {
        if (Interlocked.Exchange(ref _ending, 1) == 0)
        {
            Fault ??= why;
            Finish();
            _ = DisposeLaterAsync();
        }
    }

    /// <inheritdoc/>
    public bool TryAbort(ushort commandId) => _queue.TryAbort(commandId);

    private async Task DisposeLaterAsync()
    {
        await Task.Delay(LingerMilliseconds);
        Dispose();
    }

    private async Task DrainAsync()
    {
        // pairs with the receiving loop: it sees that it must stop, or is seen here while it parses, and wakes this when it stops
        Interlocked.MemoryBarrier();
        while (!IsDisposed)
        {
            var change = _queue.Table.NextChangeAsync();
            if (IsDisposed || (!_writer.IsGathering && Running <= 0))
            {
                break;
            }

            await change;
        }

        if (!IsDisposed)
        {
            // the server disconnects a client that reads no replies, which ends this wait too
            await _output.DrainAsync();
        }

        Dispose();
    }

    private async Task ReceiveAsync()
    {
        int turns = 0;
        while (!_draining)
        {
            _writer.IsGathering = true;
            Interlocked.MemoryBarrier();
            try
            {
                while (!_draining && _reader.Step())
                {
                    if (_memory.IsExceeded)
                    {
                        _writer.IsGathering = false;
                        _writer.Send();
                        await _memory.WaitAsync();
                        _writer.IsGathering = true;
                        Interlocked.MemoryBarrier();
                    }
                }
            }
            finally
            {
                _writer.IsGathering = false;
                Interlocked.MemoryBarrier();
            }

            _writer.Send();
            if (_draining)
            {
                break;
            }

            // awaited here and nowhere deeper: waiting allocates nothing
            var receiving = _socket.ReceiveAsync(_reader.NextTarget(out bool isDirect), SocketFlags.None);
            bool waits = !receiving.IsCompleted;
            int received = await receiving;
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

            if (received == 0)
            {
                break;
            }

            _reader.Receive(received, isDirect);

            // single bytes extend neither the handshake timeout nor, from an unauthenticated client, the idle time of its controller
            if (IsAdmitted)
            {
                Volatile.Write(ref _lastActivity, Environment.TickCount64);
                Controller!.Touch();
            }
        }

        if (_draining)
        {
            // commands that have not started will not: DrainAsync must see that
            _queue.Table.Wake();
            await _disposed.Task;
        }
    }

    // sends the reason, then gives the client time to read it before the socket is closed
    private async Task TerminateAsync(PduException fault)
    {
        _writer.WriteTerminate(fault, _reader.Peek(PduHeader.MaxTerminate - PduHeader.ShortSize));
        try
        {
            await _output.DrainAsync().WaitAsync(TimeSpan.FromMilliseconds(LingerMilliseconds));
            _socket.Shutdown(SocketShutdown.Send);
            using var limit = new CancellationTokenSource(LingerMilliseconds);
            byte[] ignored = new byte[PduHeader.MaxTerminate];
            while (await _socket.ReceiveAsync(ignored, SocketFlags.None, limit.Token) > 0)
            {
                // input from the client must not occupy the thread
                await Task.Yield();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException or TimeoutException)
        {
            // the client has already disconnected
        }
    }
}
