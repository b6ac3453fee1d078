using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Tcp;

/// <summary>Begins and completes the commands of one connection: slots, counters, error log, and the answer to the host.</summary>
internal sealed class CommandQueue : ICommandQueue
{
    // until Connect
    private const int InitialEntries = 32;

    private static readonly TimeSpan QuietLimit = TimeSpan.FromSeconds(10);

    private readonly QueueAdmission _admission;
    private readonly PduWriter _writer;
    private readonly MemoryBudget _memory;
    private readonly LatencyTable _latencies;

    public CommandQueue(QueueAdmission admission, PduWriter writer, MemoryBudget memory, LatencyTable latencies)
    {
        _admission = admission;
        _writer = writer;
        _memory = memory;
        _latencies = latencies;
        Table = new CommandTable<TcpCommand>(slot => new TcpCommand(this, slot), InitialEntries);
    }

    /// <summary>The commands in flight.</summary>
    public CommandTable<TcpCommand> Table { get; }

    /// <inheritdoc/>
    public LongWorkClient LongWork { get; } = Serving.LongWork.Shared.Open();

    /// <inheritdoc/>
    public Controller? Controller => _admission.Controller;

    /// <summary>Begins a command; null when its identifier is in use and it has been answered already.</summary>
    /// <exception cref="PduException">More commands are in flight than the queue has entries.</exception>
    public TcpCommand? Begin(in SubmissionEntry entry)
    {
        var command = Table.TryBegin(entry, out bool isConflict)
            ?? throw new PduException(FatalError.Sequence, 0, $"more commands than the queue's {Table.Entries} entries");
        if (isConflict)
        {
            command.Finish(NvmeStatus.CommandIdConflict);
            return null;
        }

        return command;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Slot and identifier are freed before the answer can leave: the host may use both again as soon as it has the answer.
    /// </remarks>
    public void Complete(Command finished)
    {
        var command = (TcpCommand)finished;
        _latencies.Count(_admission.Queue == 0 ? ServedOperation.Admin : IoCommands.OperationOf(command.Entry.Opcode), command.StartedAt);
        var (entry, data, buffer, held) = (command.Entry, command.Data, command.Buffer, command.Held);
        bool omits = _admission.IsFlowControlOff;
        var completion = new CompletionEntry(
            command.Result, omits ? ushort.MaxValue : (ushort)Table.Head, entry.CommandId, command.Status,
            StatusMap.IsTransient(command.Status));
        if (command.Status != NvmeStatus.Success && _admission.IsAdmitted)
        {
            _admission.Controller!.Errors.Add(_admission.Queue, entry, completion, command.ErrorInformation);
        }

        if (entry.Direction != 2 || command.Status != NvmeStatus.Success)
        {
            data = default;
        }
        else if (command.Written < data.Length)
        {
            // the buffer is shared memory: the host must not see what its last user left there
            data.Span[command.Written..].Clear();
        }

        command.Buffer = null;
        Table.End(command);
        if (!_writer.WriteAnswer(data, buffer, completion, omits, held))
        {
            _memory.Return(held);
        }

        if (!_writer.IsGathering)
        {
            _writer.Send();
        }
    }

    /// <inheritdoc/>
    public void Drop(Command dropped)
    {
        var command = (TcpCommand)dropped;
        var (buffer, held) = (command.Buffer, command.Held);
        command.Buffer = null;
        Table.End(command);
        buffer?.Release();
        _memory.Return(held);
    }

    /// <summary>Ends a command that an injected fault holds, because the host aborts it.</summary>
    /// <returns>False when there is no such command: it is unknown, or ends by itself.</returns>
    public bool TryAbort(ushort commandId)
        => Table.Find(commandId) is { } found && _admission.Controller is { } controller
            && HeldCommands.GiveUp(controller, found, aborted: true);

    /// <summary>
    /// Waits, after the connection's end, for the commands that still run; those that an injected fault holds are given up.
    /// </summary>
    public async Task QuietAsync()
    {
        if (_admission.Queue == 0 || _admission.Controller is not { } controller)
        {
            return;
        }

        try
        {
            await HeldCommands.EndAllAsync(controller, Table).WaitAsync(QuietLimit);
        }
        catch (TimeoutException)
        {
            // the device does not answer: the connection's slot must not wait for it any longer
        }
    }
}
