using System.Diagnostics;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Pcie;

/// <summary>
/// Ends commands: copies their data to the host, and writes completions in batches. Used by the worker only, but for
/// <see cref="Discard"/>.
/// </summary>
internal sealed class CompletionPoster
{
    // completions of a batch have one time, unless much is copied between them
    private const int ShortCopy = 16 << 10;

    private readonly Controller _controller;
    private readonly IDeviceMemory _memory;
    private readonly MemoryBudget _budget;
    private readonly QueueSet _queues;
    private readonly QueueCommands _queueCommands;
    private readonly VectorSignals _signals;
    private readonly TransferMapPool _maps;
    private readonly TransferBuffers _buffers;
    private readonly LatencyTable _latencies;
    private CommandList _ended;
    private int _blocked;
    private long _now;

    public CompletionPoster(
        Controller controller, IDeviceMemory memory, MemoryBudget budget, QueueSet queues, QueueCommands queueCommands,
        VectorSignals signals, TransferMapPool maps, TransferBuffers buffers, LatencyTable latencies)
    {
        _controller = controller;
        _memory = memory;
        _budget = budget;
        _queues = queues;
        _queueCommands = queueCommands;
        _signals = signals;
        _maps = maps;
        _buffers = buffers;
        _latencies = latencies;
    }

    /// <summary>Whether commands have ended that were not posted.</summary>
    public bool HasEnded => !_ended.IsEmpty;

    /// <summary>Whether completions wait until the host has read others.</summary>
    public bool IsBlocked => _blocked > 0;

    /// <summary>Whether a completion that waited has room now.</summary>
    public bool CanUnblock => _blocked > 0 && _queues.Completions.Exists(static q => q.IsBlocked && !q.IsFull);

    /// <summary>Adds a command that has ended.</summary>
    public void Add(PcieCommand command) => _ended.Add(command);

    /// <summary>Adds the commands that ended on other threads.</summary>
    public void TakeEnded(WorkSignal from) => from.TakeEnded(ref _ended);

    /// <summary>Posts the commands that have ended, as far as there is room. Accesses the host's memory.</summary>
    /// <returns>False when a completion queue cannot be written.</returns>
    public bool TryPost()
    {
        if (_blocked > 0 && !TryUnblock())
        {
            return false;
        }

        bool isStale = true;
        while (_ended.Take() is { } command)
        {
            if (command.Buffer is not null)
            {
                isStale |= command.Data.Length > ShortCopy;
                MoveData(command);
            }

            if (isStale)
            {
                _now = Stopwatch.GetTimestamp();
                isStale = false;
            }

            if (!TryPost(command))
            {
                return false;
            }
        }

        return TryWriteAll();
    }

    /// <summary>Ends a command without a completion; on any thread.</summary>
    public void Discard(PcieCommand command)
    {
        command.Buffer?.Release();
        Forget(command);
        command.Queue.Table.End(command);
    }

    /// <summary>Ends all commands that were not posted: the controller is reset.</summary>
    public void DiscardAll()
    {
        while (_ended.Take() is { } command)
        {
            Discard(command);
        }

        foreach (var queue in _queues.Completions)
        {
            while (queue.TakeBlocked() is { } command)
            {
                Discard(command);
            }
        }
    }

    private bool TryUnblock()
    {
        _now = Stopwatch.GetTimestamp();
        foreach (var queue in _queues.Completions)
        {
            while (queue.TakeUnblocked() is { } command)
            {
                _blocked--;
                if (!TryGather(queue, command))
                {
                    return false;
                }
            }
        }

        return true;
    }

    private bool TryPost(PcieCommand command)
    {
        var queue = command.Queue.Completions;
        if (queue.IsFull)
        {
            _queues.TakeHead(queue);
        }

        if (!queue.IsBlocked && !queue.IsFull)
        {
            return TryGather(queue, command);
        }

        queue.Block(command);
        _blocked++;
        return true;
    }

    private bool TryGather(CompletionQueue queue, PcieCommand command)
    {
        var from = command.Queue;
        var status = command.Status == NvmeStatus.AbortRequested && from.Deletion is not null
            ? NvmeStatus.QueueDeleted : command.Status;
        var completion = new CompletionEntry(
            command.Result, (ushort)from.Table.Head, command.Entry.CommandId, status, StatusMap.IsTransient(status)) { QueueId = from.Id };
        _latencies.Count(from.Id == 0 ? ServedOperation.Admin : IoCommands.OperationOf(command.Entry.Opcode), command.StartedAt, _now);
        if (status != NvmeStatus.Success)
        {
            _controller.Errors.Add(from.Id, command.Entry, completion);
        }

        from.Table.End(command);
        if (from.Deletion is not null)
        {
            _queueCommands.FinishDeletion(from);
        }

        queue.Gather(completion);
        return !queue.MustWrite || TryWrite(queue);
    }

    private bool TryWriteAll()
    {
        for (int i = 0; i < _queues.Completions.Count; i++)
        {
            var queue = _queues.Completions[i];
            if (queue.Gathered > 0 && !TryWrite(queue))
            {
                return false;
            }
        }

        return true;
    }

    private bool TryWrite(CompletionQueue queue)
    {
        int count = queue.Gathered;
        if (!queue.TryWrite(_memory))
        {
            return false;
        }

        if (queue.Vector is { } vector)
        {
            if (_signals.UsesPin)
            {
                _queues.SetUnread(queue, true);
            }

            _signals.Add(vector, count);
        }

        return true;
    }

    private void MoveData(PcieCommand command)
    {
        if (command.Entry.Direction == 2 && command.Status == NvmeStatus.Success)
        {
            // the buffer is shared memory: the host must not see what its last user left there
            command.Data.Span[command.Written..].Clear();
            if (command.Map?.TryCopyOut(_memory, command.Data.Span) != true)
            {
                command.Status = NvmeStatus.DataTransferError;
            }
        }

        if (command.Map is { } map)
        {
            _maps.Return(map);
        }

        _buffers.Return(command.Buffer!);
        Forget(command);
    }

    private void Forget(PcieCommand command)
    {
        command.Buffer = null;
        command.Map = null;
        _budget.Return(command.Held);
        command.Held = 0;
    }
}
