using System.Net.Sockets;
using Paddock.Block;
using Paddock.Nvme.Target;
using Paddock.Nvme.Tcp;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Host;

/// <summary>One queue of a user-space host: a connection with commands in flight, each in a reusable slot.</summary>
internal sealed partial class HostQueue : IAsyncDisposable
{
    private const int ReceiveBytes = 256 << 10;

    // limit of commands batched before sending: the caller that continues after a reply may take long
    private const int MaxBatch = 16;

    // the greatest transfer that a host asks for: see NvmeTcpHost
    private const int MaxData = 16 << 20;

    private readonly Socket _socket;
    private readonly SendQueue _out;
    private readonly HostPduWriter _writer;
    private readonly PduRules _rules;
    private readonly HostSlot[] _slots;
    private readonly Stack<HostSlot> _free = new();
    private readonly SemaphoreSlim _places;
    private readonly Lock _lock = new();
    private readonly byte[] _in = GC.AllocateUninitializedArray<byte>(ReceiveBytes, pinned: true);
    private int _start, _end;
    private volatile bool _closed, _paused;
    private int _batchThread, _batched;
    private Task _receiving = Task.CompletedTask;

    private HostQueue(Socket socket, SlabPool pool, PduRules rules, int depth)
    {
        _socket = socket;
        _rules = rules;
        _out = new SendQueue(socket, static _ => { });
        _writer = new HostPduWriter(_out, pool, rules);
        _slots = new HostSlot[depth];
        for (int i = depth - 1; i >= 0; i--)
        {
            _free.Push(_slots[i] = new HostSlot(this, (ushort)i));
        }

        _places = new SemaphoreSlim(depth);
    }

    /// <summary>Data that the controller takes in a capsule; set once it is known.</summary>
    public int InCapsule { get; set; } = ConnectData.Size;

    /// <summary>Connects the socket and agrees on digests.</summary>
    public static async ValueTask<HostQueue> OpenAsync(
        NvmeTcpHostOptions options, SlabPool pool, int depth, CancellationToken cancellationToken)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(options.Host, options.Port, cancellationToken);
            byte digests = (byte)(
                (options.HeaderDigest ? InitializePdu.HeaderDigestBit : 0) | (options.DataDigest ? InitializePdu.DataDigestBit : 0));
            byte[] pdu = new byte[PduHeader.InitializeSize];
            new InitializePdu(0, 0, digests, 0).WriteTo(pdu, PduType.InitializeRequest);
            await socket.SendAsync(pdu, SocketFlags.None, cancellationToken);
            for (int got = 0; got < pdu.Length;)
            {
                int count = await socket.ReceiveAsync(pdu.AsMemory(got), SocketFlags.None, cancellationToken);
                got += count > 0 ? count : throw new BlockException(BlockError.Io, "the controller closed the connection");
            }

            var rules = new PduRules(false, false, 0, 0);
            rules.CheckFromController(PduHeader.Read(pdu));
            var answer = InitializePdu.Read(pdu);
            var queue = new HostQueue(socket, pool, new PduRules(answer.HeaderDigest, answer.DataDigest, 0, MaxData), depth);
            queue._receiving = Task.Run(queue.ReceiveAsync, CancellationToken.None);
            return queue;
        }
        catch (Exception e) when (e is SocketException or PduException)
        {
            socket.Dispose();
            throw new BlockException(BlockError.Io, $"cannot connect to {options.Host}:{options.Port}: {e.Message}", e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Whether it is an I/O queue: the opcodes of an admin queue mean other commands.</summary>
    public bool IsIo { get; set; }

    /// <summary>Runs one command.</summary>
    /// <param name="entry">The command; identifier and data descriptor are filled in here.</param>
    /// <param name="toController">Data for the controller; must stay unchanged until the reply.</param>
    /// <param name="toHost">Buffer for data from the controller.</param>
    /// <param name="cancellationToken">Ends the wait for a free slot.</param>
    /// <exception cref="ConnectionLostException">The connection was lost before the reply arrived.</exception>
    public ValueTask<CompletionEntry> RunAsync(
        in SubmissionEntry entry, ReadOnlyMemory<byte> toController, Memory<byte> toHost, CancellationToken cancellationToken)
        => _places.Wait(0, CancellationToken.None) ? Start(entry, toController, toHost)
            : RunLaterAsync(entry, toController, toHost, cancellationToken);

    /// <summary>Whether the connection has ended.</summary>
    public bool IsClosed => _closed;

    /// <summary>Completes when the connection has ended and every command has failed.</summary>
    public Task EndedAsync() => _receiving;

    /// <summary>
    /// Sends no further commands: they fail as not sent. Completes when the callers of those in flight have their results.
    /// </summary>
    /// <param name="limit">How long that may take.</param>
    /// <returns>Whether they have.</returns>
    public async Task<bool> PauseAsync(TimeSpan limit)
    {
        // a command holds a place before it looks: either it sees the pause, or its place is waited for here
        _paused = true;
        long started = TimeProvider.System.GetTimestamp();
        int held = 0;
        try
        {
            while (held < _slots.Length)
            {
                var left = limit - TimeProvider.System.GetElapsedTime(started);
                if (!await _places.WaitAsync(left > TimeSpan.Zero ? left : TimeSpan.Zero))
                {
                    return false;
                }

                held++;
            }

            return true;
        }
        finally
        {
            _ = held > 0 ? _places.Release(held) : 0;
        }
    }

    /// <summary>Sends commands again.</summary>
    public void Resume() => _paused = false;

    /// <summary>Ends the connection; the receive loop notifies the waiters.</summary>
    public void Abort()
    {
        _closed = true;
        _socket.Dispose();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Abort();
        await _receiving;
    }

    /// <summary>Runs a command without data, also while the queue is paused.</summary>
    /// <exception cref="ConnectionLostException">The connection was lost before the reply arrived.</exception>
    public async Task<CompletionEntry> RunPausedAsync(SubmissionEntry entry)
    {
        await _places.WaitAsync(CancellationToken.None);
        return await Start(entry, default, default, isUrgent: true);
    }

    private async ValueTask<CompletionEntry> RunLaterAsync(
        SubmissionEntry entry, ReadOnlyMemory<byte> toController, Memory<byte> toHost, CancellationToken cancellationToken)
    {
        await _places.WaitAsync(cancellationToken);
        return await Start(entry, toController, toHost);
    }

    private ValueTask<CompletionEntry> Start(
        in SubmissionEntry entry, ReadOnlyMemory<byte> toController, Memory<byte> toHost, bool isUrgent = false)
    {
        HostSlot slot;
        lock (_lock)
        {
            slot = _free.Pop();
        }

        slot.Begin(toController, toHost, wantsAll: IsIo && entry.Opcode == Opcode.Read);
        try
        {
            if (_closed || (_paused && !isUrgent))
            {
                throw new ConnectionLostException(wasSent: false);
            }

            Send(slot, entry);
        }
        catch
        {
            Return(slot);
            throw;
        }

        var task = slot.Task;
        if (_closed)
        {
            // the loop that fails all slots may have passed this one before it began
            slot.Fail();
        }

        return task;
    }

    /// <summary>Frees a slot; its caller has the result.</summary>
    internal void Return(HostSlot slot)
    {
        slot.End();
        lock (_lock)
        {
            _free.Push(slot);
        }

        _places.Release();
    }

    private void Send(HostSlot slot, in SubmissionEntry entry)
    {
        bool inline = slot.ToController.Length > 0 && slot.ToController.Length <= InCapsule;
        int data = inline ? slot.ToController.Length : 0;
        var full = new SubmissionEntry
        {
            Opcode = entry.Opcode,
            Flags = 0x40,
            CommandId = slot.Id,
            NamespaceId = entry.NamespaceId,
            DataLength = (uint)(slot.ToController.Length + slot.ToHost.Length),
            DataKind = inline ? SubmissionEntry.InCapsule : SubmissionEntry.InTransport,
            Dword10 = entry.Dword10,
            Dword11 = entry.Dword11,
            Dword12 = entry.Dword12,
            Dword13 = entry.Dword13,
            Dword14 = entry.Dword14,
            Dword15 = entry.Dword15,
        };
        _writer.WriteCommand(full, slot.ToController[..data]);
        Kick();
    }

    // requests triggered by the replies of one receive call are sent together
    private void Kick()
    {
        if (_batchThread != Environment.CurrentManagedThreadId || ++_batched >= MaxBatch)
        {
            _batched = 0;
            _out.Kick();
        }
    }
}
