using System.Diagnostics;
using Paddock.Block.Concurrency;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tcp;

// commands from their capsule to their completion
internal sealed partial class TcpConnection
{
    private const int SmallAnswer = 16 << 10, QuietMilliseconds = 10_000;

    // a longer read may take long because it copies much
    private const int MeasuredRead = 32 << 10;

    private readonly List<Command> _commands = [];
    private readonly Stack<Command> _idle = new();
    private readonly ulong[] _ids = new ulong[65536 / 64];
    private readonly List<Command> _order = [];
    private readonly Queue<Command> _ungranted = new();
    private readonly HashSet<Command> _abandoned = [];
    private readonly HashSet<int> _transfers = [];
    private long _granted;
    private Controller? _controller;
    private ushort _queue;
    private int _entries = 32;
    private int _head;
    private bool _flowOff;
    private InlinePace _pace;

    // commands whose data has not come, and those that wait behind such a one; the receiving loop alone writes it
    private volatile int _unstarted;

    /// <summary>Commands that run. A stop waits for them; not for requests for events nor for data, which may never come.</summary>
    private int Running
    {
        get
        {
            lock (_lock)
            {
                return _commands.Count - _idle.Count - _unstarted - (_queue == 0 ? _controller?.Events.Waiting ?? 0 : 0);
            }
        }
    }

    /// <summary>A free place for a command; null when it was answered already. More commands than the queue has entries end the connection.</summary>
    private Command? Take(in SubmissionEntry entry)
    {
        Command? command;
        bool conflict;
        lock (_lock)
        {
            _head = (_head + 1) % _entries;
            if (!_idle.TryPop(out command))
            {
                if (_commands.Count >= _entries)
                {
                    throw new PduException(FatalError.Sequence, 0, $"more commands than the queue's {_entries} entries");
                }

                _commands.Add(command = new Command(this, _commands.Count));
            }

            ref ulong word = ref _ids[entry.CommandId >> 6];
            ulong bit = 1UL << (entry.CommandId & 63);
            conflict = (word & bit) != 0;
            word |= bit;
        }

        command.Entry = entry;
        command.Data = default;
        command.Result = 0;
        command.Received = 0;
        command.IsReady = false;
        command.IsAborted = false;
        command.Renew();
        command.IsBroken = false;
        command.Written = 0;
        command.Held = 0;
        command.StartedAt = Stopwatch.GetTimestamp();
        if (conflict)
        {
            command.Finish(NvmeStatus.CommandIdConflict);
            return null;
        }

        return command;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// The command's place and identifier are free before the answer can leave: a host may use both again the moment that it has the answer.
    /// </remarks>
    public void Complete(Command command)
    {
        Statistics.Count(command.Entry.Opcode, _queue == 0, command.StartedAt);
        var (entry, data, buffer) = (command.Entry, command.Data, command.Buffer);
        bool answers = entry.Direction == 2 && command.Status == NvmeStatus.Success && data.Length > 0;
        var completion = new CompletionEntry(
            command.Result, (ushort)(_flowOff ? 0xFFFF : Volatile.Read(ref _head)), entry.CommandId, command.Status, IsTransient(command.Status));
        if (command.Status != NvmeStatus.Success && IsAdmitted)
        {
            _controller!.Errors.Add(_queue, entry, completion);
        }

        if (answers && command.Written < data.Length)
        {
            // the one place that sees to it: the buffer is shared memory, with whatever its last user left
            data.Span[command.Written..].Clear();
        }

        int held = command.Held;
        Free(command);
        if (answers && data.Length > SmallAnswer)
        {
            AnswerLarge(buffer!, data.Length, completion, held);
        }
        else
        {
            int length = (answers && _flowOff ? 0 : ResponseLength) + (answers ? DataLength(data.Length) : 0);
            _out.Put(length, new Answer(this, answers ? data.Span : default, completion), static (to, a) => a.WriteTo(to));
            buffer?.Release();
            Unhold(held);
        }

        if (!_batching)
        {
            _out.Kick();
        }
    }

    /// <inheritdoc/>
    public bool TryAbort(ushort commandId)
    {
        Command? found;
        lock (_lock)
        {
            found = _commands.Find(c => c.Entry.CommandId == commandId && !_idle.Contains(c));
        }

        return found is not null && GiveUp(found, aborted: true);
    }

    private bool GiveUp(Command command, bool aborted)
    {
        command.IsAborted = aborted;
        return _controller?.Subsystem.Namespaces.Any(ns => ns.Faults?.CancelHeld(command.Cancellation) == true) == true;
    }

    /// <summary>Waits, after the connection's end, for the commands that still run; those that a fault holds back are given up.</summary>
    private async Task QuietAsync()
    {
        long end = Environment.TickCount64 + QuietMilliseconds;
        while (Environment.TickCount64 < end)
        {
            Command[] running;
            lock (_lock)
            {
                running = [.. _commands.Where(c => !_idle.Contains(c) && !_abandoned.Contains(c))];
            }

            if (running.Length == 0 || _queue == 0)
            {
                return;
            }

            foreach (var command in running)
            {
                GiveUp(command, aborted: false);
            }

            await Task.Delay(2);
        }
    }

    private static bool IsTransient(NvmeStatus status)
        => status is NvmeStatus.TransientTransportError or NvmeStatus.CommandInterrupted or NvmeStatus.NamespaceNotReady;

    private void Free(Command command)
    {
        command.Buffer = null;
        lock (_lock)
        {
            ushort id = command.Entry.CommandId;
            if (command.Status != NvmeStatus.CommandIdConflict)
            {
                _ids[id >> 6] &= ~(1UL << (id & 63));
            }

            _idle.Push(command);
        }
    }

    /// <summary>Runs a command whose data is there; a write to a zone waits for those before it whose data is still to come.</summary>
    private void InOrder(Command command)
    {
        if (_order.Count > 0 && IsOrdered(command) && FirstOfZone(command) >= 0)
        {
            command.IsReady = true;
            _order.Add(command);
            _unstarted++;
            return;
        }

        Start(command);
    }

    private void StartReady()
    {
        for (int i = 0; i < _order.Count; i++)
        {
            var command = _order[i];
            if (command.IsReady && FirstOfZone(command) == i)
            {
                _order.RemoveAt(i--);
                _unstarted--;
                Start(command);
            }
        }
    }

    private int FirstOfZone(Command command)
    {
        for (int i = 0; i < _order.Count; i++)
        {
            if (SameZone(_order[i], command))
            {
                return i;
            }
        }

        return -1;
    }

    private bool IsOrdered(Command command) => _queue != 0 && command.Entry.Opcode is Opcode.Write or Opcode.WriteZeroes
        && _controller!.Subsystem.Find(command.Entry.NamespaceId) is { Zones: not null };

    private bool SameZone(Command a, Command b)
    {
        if (a.Entry.NamespaceId != b.Entry.NamespaceId || _controller!.Subsystem.Find(a.Entry.NamespaceId) is not { Zones: { } zoned } ns)
        {
            return false;
        }

        ulong blocks = (ulong)(zoned.Limits.ZoneSize >> ns.BlockShift);
        return a.Entry.StartingLba / blocks == b.Entry.StartingLba / blocks;
    }

    private void Start(Command command)
    {
        if (Admit(command.Entry) is { } refused)
        {
            command.Finish(refused);
        }
        else if (_authentication is not null && IsAuthentication(command.Entry))
        {
            _ = RunAuthenticationAsync(command);
        }
        else if (_queue == 0 || _controller is null || command.Entry.Opcode == Opcode.Fabrics)
        {
            _ = RunAdminAsync(command);
        }
        else if (IoCommands.IsSlow(command.Entry))
        {
            if (command.Held == 0)
            {
                // its data stays in memory for as long as it waits
                Hold(command.Held = command.Data.Length);
            }

            command.Defer(_runIo);
        }
        else if (command.Entry.Opcode == Opcode.Read && !_pace.IsHere)
        {
            command.Defer(_runIo);
        }
        else
        {
            RunHere(command);
        }
    }

    // where reads wait for a disk they go elsewhere: other connections may share this thread
    private void RunHere(Command command)
    {
        bool measures = command.Entry.Opcode == Opcode.Read && command.Entry.DataLength <= MeasuredRead;
        long since = measures ? InlinePace.Now : 0;
        RunIo(command);
        if (measures)
        {
            _pace.Took(since);
        }
    }

    private void RunIo(Command command)
    {
        if (!_controller!.IsReady)
        {
            command.Finish(NvmeStatus.CommandSequence);
            return;
        }

        var run = IoCommands.ExecuteAsync(_controller, command);
        if (run.IsCompletedSuccessfully)
        {
            command.Finish(run.Result);
        }
        else
        {
            command.FinishAfter(run);
        }
    }

    private async Task RunAdminAsync(Command command)
    {
        NvmeStatus? status;
        try
        {
            status = _controller is null || IsConnect(command.Entry) ? Connect(command)
                : _queue != 0 ? NvmeStatus.InvalidOpcode
                : await AdminCommands.ExecuteAsync(_controller, command);
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or ArgumentException)
        {
            status = NvmeStatus.InternalError;
        }

        if (status is { } done)
        {
            command.Finish(done);
        }
    }

    /// <summary>Asks the host for a command's data, when there is room for it.</summary>
    private void Request(Command command)
    {
        if (IsOrdered(command))
        {
            _order.Add(command);
        }

        _unstarted++;
        lock (_lock)
        {
            _ungranted.Enqueue(command);
        }

        Grant();
    }

    private void Grant()
    {
        while (true)
        {
            Command? command;
            lock (_lock)
            {
                if (!_ungranted.TryPeek(out command) || (_granted > 0 && _granted + command.Entry.DataLength > _options.ConnectionBytes))
                {
                    return;
                }

                _ungranted.Dequeue();
                _granted += command.Entry.DataLength;
                _transfers.Add(command.Slot);
            }

            int length = (int)command.Entry.DataLength;
            if (_target.Buffers.TryRentTransfer(length) is not { } buffer)
            {
                Forget(command);
                _order.Remove(command);
                _unstarted--;
                command.Finish(NvmeStatus.CommandInterrupted);
                StartReady();
                continue;
            }

            command.Buffer = buffer;
            command.Data = buffer.Data(length);
            var pdu = new DataPdu(command.Entry.CommandId, (ushort)command.Slot, 0, (uint)length);
            _out.Put(PduHeader.ShortSize + _rules.HeaderDigestSize, new Ready(this, pdu), static (to, r) => r.WriteTo(to));
        }
    }

    private Command? FindTransfer(ushort tag)
    {
        lock (_lock)
        {
            return _transfers.Contains(tag) ? _commands[tag] : null;
        }
    }

    private void Received(Command command)
    {
        Forget(command);
        if (command.IsBroken)
        {
            _order.Remove(command);
            _unstarted--;
            command.Finish(NvmeStatus.TransientTransportError);
        }
        else if (_order.Contains(command))
        {
            command.IsReady = true;
        }
        else
        {
            _unstarted--;
            Start(command);
        }

        StartReady();
        Grant();
    }

    private void Forget(Command command)
    {
        lock (_lock)
        {
            _granted -= command.Entry.DataLength;
            _transfers.Remove(command.Slot);
        }
    }

    private void ReleaseTransfers()
    {
        lock (_lock)
        {
            foreach (int slot in _transfers)
            {
                _commands[slot].Buffer?.Release();
                _abandoned.Add(_commands[slot]);
            }

            _transfers.Clear();
            _abandoned.UnionWith(_ungranted);
            _abandoned.UnionWith(_order);
        }

        foreach (var waiting in _order.Where(c => c.IsReady))
        {
            waiting.Buffer?.Release();
        }
    }
}
