using System.Net.Sockets;
using Paddock.Nvme;
using Paddock.Nvme.Pcie;
using Paddock.Serving;
using Paddock.VfioUser.Memory;
using Paddock.VfioUser.Pci;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Session;

/// <summary>The connection of one client, on a thread of its own, with a controller of its own.</summary>
internal sealed class ClientConnection : IServedClient, IDisposable
{
    private readonly Socket _socket;
    private readonly VfioUserServerOptions _options;
    private readonly MessageReader _reader;
    private readonly Outbox _outbox;
    private readonly DmaMessages _messages;
    private readonly DmaTable _memory;
    private readonly DeviceSession _session;
    private readonly Reply _reply = new();
    private readonly long _came = Environment.TickCount64;
    private long _requests, _rejected;
    private volatile bool _late, _ended;

    /// <param name="socket">The connection; owned.</param>
    /// <param name="target">The target.</param>
    /// <param name="subsystem">The subsystem.</param>
    /// <param name="options">Options of the server.</param>
    /// <param name="latencies">Counts the commands.</param>
    /// <param name="after">The end of the controllers of earlier clients.</param>
    public ClientConnection(
        Socket socket, NvmeTarget target, NvmeSubsystem subsystem, VfioUserServerOptions options, LatencyTable latencies, Task after)
    {
        Latencies = latencies;
        _socket = socket;
        _options = options;
        Peer = ClientSocket.PeerOf(socket);
        _reader = new MessageReader(socket.SafeHandle);
        _outbox = new Outbox(socket.SafeHandle);
        _messages = new DmaMessages(_outbox);
        _memory = new DmaTable(_messages);
        var pcie = new PcieOptions { Host = SlotOf(socket), Latencies = latencies, After = after };
        Function = new PciFunction(target, subsystem, options, pcie, _memory);
        _session = new DeviceSession(Function, new DmaRequests(_memory, options.SealedMemoryOnly, Log), _messages);
    }

    /// <summary>Process and user of the client.</summary>
    public string Peer { get; }

    /// <summary>The completed commands and how long they took.</summary>
    public LatencyTable Latencies { get; }

    /// <summary>The device.</summary>
    public PciFunction Function { get; }

    /// <summary>Whether versions have been agreed on.</summary>
    public bool HasAgreed => _session.HasAgreed;

    /// <summary>Number of requests so far.</summary>
    public long Requests => Interlocked.Read(ref _requests);

    /// <summary>Number of rejected requests so far.</summary>
    public long RejectedRequests => Interlocked.Read(ref _rejected);

    /// <summary>Number of DMA messages so far.</summary>
    public long DmaMessages => _messages.Sent;

    /// <inheritdoc/>
    public ClientStanding Standing
        => new(HasAgreed ? ClientTrust.Kept : ClientTrust.Stranger, Environment.TickCount64 - _came);

    /// <summary>Serves the connection until the client's memory is no longer used; never throws.</summary>
    /// <returns>Error of the client; null for an orderly disconnect.</returns>
    public string? Run()
    {
        try
        {
            using var limit = StartLimit();
            while (_reader.TryReadHeader(out var header))
            {
                Handle(header);
            }

            return Lateness;
        }
        catch (EndOfStreamException)
        {
            return Lateness;
        }
        catch (Exception e)
        {
            // an exception caused by a client ends only its own connection
            return _ended ? Lateness : e.Message;
        }
        finally
        {
            // workers that wait for the client must not be waited for
            _messages.Dispose();
            _memory.Dispose();
            Function.Interrupts.Clear();
        }
    }

    /// <inheritdoc/>
    public void Finish() => Abort();

    /// <inheritdoc/>
    public void Abort()
    {
        _ended = true;
        try
        {
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // already disconnected
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _reader.Dispose();
        _socket.Dispose();
    }

    private string? Lateness => _late ? $"no version within {_options.HandshakeLimit.TotalSeconds} s" : null;

    private ITimer? StartLimit()
        => _options.HandshakeLimit == TimeSpan.Zero ? null
            : _options.Time.CreateTimer(
                _ =>
                {
                    if (!HasAgreed)
                    {
                        _late = true;
                        Abort();
                    }
                },
                null, _options.HandshakeLimit, Timeout.InfiniteTimeSpan);

    private void Handle(in MessageHeader header)
    {
        if (header.IsReply)
        {
            _messages.Receive(header, _reader);
            return;
        }

        var payload = _reader.ReadPayload(header.PayloadSize);
        Interlocked.Increment(ref _requests);
        if (!header.NeedsReply)
        {
            TryRun(header, payload);
            return;
        }

        using var held = _outbox.Hold();
        var error = TryRun(header, payload);
        _outbox.Send(error == ErrorNumber.None ? _reply.Finish(header) : _reply.Fail(header, error), descriptor: _reply.Descriptor);
    }

    private ErrorNumber TryRun(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        try
        {
            _session.Run(header.Command, payload, _reader.Descriptors, _reply);
            return ErrorNumber.None;
        }
        catch (RequestFailedException e)
        {
            if (Interlocked.Increment(ref _rejected) <= VfioUserLimits.MaxRejectionsLogged)
            {
                Log($"a request of {Peer} is rejected: {e.Message}");
            }

            return e.Error;
        }
    }

    private void Log(string line) => _options.Log?.Invoke(line);

    // the host of NVMe is the slot that the drive is in: a virtual machine that is started again finds the namespaces that it has attached
    private static string SlotOf(Socket socket) => "vfio-user:" + socket.LocalEndPoint;
}
