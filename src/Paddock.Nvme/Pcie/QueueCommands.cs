using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Pcie;

/// <summary>
/// The admin commands that create and delete queues, and Doorbell Buffer Config (NVMe base 2.0, 5.4 to 5.7): dword 10 has the identifier in
/// 15:0 and the size (0's based) in 31:16, dword 11 what depends on the kind of the queue. Used by the worker only.
/// </summary>
internal sealed class QueueCommands
{
    private const uint Contiguous = 1, InterruptsEnabled = 2;
    private const ulong PageOffset = 4095;

    private readonly Controller _controller;
    private readonly QueueSet _queues;
    private readonly ICommandOwner _owner;

    /// <param name="controller">The controller.</param>
    /// <param name="queues">Its queues.</param>
    /// <param name="owner">Receives the commands of new queues.</param>
    public QueueCommands(Controller controller, QueueSet queues, ICommandOwner owner)
    {
        _controller = controller;
        _queues = queues;
        _owner = owner;
    }

    /// <summary>Whether a command is one of these.</summary>
    public static bool Has(in SubmissionEntry entry) => entry.Opcode is AdminOpcode.CreateIoCompletionQueue
        or AdminOpcode.CreateIoSubmissionQueue or AdminOpcode.DeleteIoCompletionQueue or AdminOpcode.DeleteIoSubmissionQueue
        or AdminOpcode.DoorbellBufferConfig;

    /// <summary>Runs a command. May access the host's memory.</summary>
    /// <returns>Its status; null when it completes once the commands of a queue have.</returns>
    public NvmeStatus? Execute(PcieCommand command)
    {
        ref readonly var entry = ref command.Entry;
        return entry.Opcode switch
        {
            AdminOpcode.CreateIoCompletionQueue => CreateCompletion(entry),
            AdminOpcode.CreateIoSubmissionQueue => CreateSubmission(entry),
            AdminOpcode.DeleteIoCompletionQueue => DeleteCompletion(entry),
            AdminOpcode.DeleteIoSubmissionQueue => DeleteSubmission(command),
            _ => ConfigureDoorbells(entry),
        };
    }

    /// <summary>Removes a queue that is being deleted, once none of its commands is in flight.</summary>
    public void FinishDeletion(SubmissionQueue queue)
    {
        if (queue.Deletion is { } deletion && queue.Table.InFlight == 0)
        {
            queue.Deletion = null;
            _controller.Detach(queue.Id, queue);
            _queues.Remove(queue);
            deletion.Finish(NvmeStatus.Success);
        }
    }

    private NvmeStatus CreateCompletion(in SubmissionEntry entry)
    {
        uint id = entry.Dword10 & 0xFFFF;
        if (id == 0 || id > (uint)_controller.CompletionQueues || _queues.FindCompletion(id) is not null)
        {
            return NvmeStatus.QueueIdInvalid;
        }

        uint vector = entry.Dword11 >> 16;
        if (CheckMemory(entry, Properties.CompletionEntryShift) is { } wrong)
        {
            return wrong;
        }

        bool interrupts = (entry.Dword11 & InterruptsEnabled) != 0;
        if (interrupts && vector >= (uint)_controller.Traits.Vectors)
        {
            return NvmeStatus.InterruptVectorInvalid;
        }

        var queue = new CompletionQueue((ushort)id, entry.DataAddress, EntriesOf(entry), interrupts ? (int)vector : null);
        if (_queues.TryAdd(queue))
        {
            return NvmeStatus.Success;
        }

        _queues.Remove(queue);
        return NvmeStatus.DataTransferError;
    }

    private NvmeStatus CreateSubmission(in SubmissionEntry entry)
    {
        uint id = entry.Dword10 & 0xFFFF, completion = entry.Dword11 >> 16;
        if (id == 0 || id > (uint)_controller.SubmissionQueues || _queues.FindSubmission(id) is not null || completion == 0)
        {
            return NvmeStatus.QueueIdInvalid;
        }

        if (_queues.FindCompletion(completion) is not { } completions)
        {
            return completion > (uint)_controller.CompletionQueues ? NvmeStatus.QueueIdInvalid : NvmeStatus.CompletionQueueInvalid;
        }

        if (CheckMemory(entry, Properties.SubmissionEntryShift) is { } wrong)
        {
            return wrong;
        }

        var queue = new SubmissionQueue(_owner, (ushort)id, entry.DataAddress, EntriesOf(entry), completions);
        if (!_controller.Attach(queue.Id, queue))
        {
            return NvmeStatus.QueueIdInvalid;
        }

        if (_queues.TryAdd(queue))
        {
            return NvmeStatus.Success;
        }

        _controller.Detach(queue.Id, queue);
        _queues.Remove(queue);
        return NvmeStatus.DataTransferError;
    }

    private NvmeStatus DeleteCompletion(in SubmissionEntry entry)
    {
        uint id = entry.Dword10 & 0xFFFF;
        if (id == 0 || _queues.FindCompletion(id) is not { } queue)
        {
            return NvmeStatus.QueueIdInvalid;
        }

        if (queue.Users > 0)
        {
            return NvmeStatus.QueueDeletionInvalid;
        }

        _queues.Remove(queue);
        return NvmeStatus.Success;
    }

    private NvmeStatus? DeleteSubmission(PcieCommand command)
    {
        uint id = command.Entry.Dword10 & 0xFFFF;
        if (id == 0 || _queues.FindSubmission(id) is not { Deletion: null } queue)
        {
            return NvmeStatus.QueueIdInvalid;
        }

        queue.Deletion = command;
        if (queue.Table.InFlight > 0)
        {
            foreach (var running in queue.Table.Snapshot())
            {
                HeldCommands.GiveUp(_controller, running, aborted: true);
            }
        }

        FinishDeletion(queue);
        return null;
    }

    private NvmeStatus ConfigureDoorbells(in SubmissionEntry entry)
    {
        if (!_controller.Traits.ShadowDoorbells)
        {
            return NvmeStatus.InvalidOpcode;
        }

        if (((entry.DataAddress | entry.Prp2) & PageOffset) != 0)
        {
            return NvmeStatus.InvalidField;
        }

        return _queues.TryShadow(entry.DataAddress, entry.Prp2) ? NvmeStatus.Success : NvmeStatus.DataTransferError;
    }

    private NvmeStatus? CheckMemory(in SubmissionEntry entry, int entrySizeShift)
    {
        int entries = EntriesOf(entry);
        if (entries < 2 || entries > _controller.Target.Options.QueueEntries || ((_controller.Configuration >> entrySizeShift) & 0xF) == 0)
        {
            return NvmeStatus.QueueSizeInvalid;
        }

        return (entry.Dword11 & Contiguous) == 0 ? NvmeStatus.InvalidField
            : (entry.DataAddress & PageOffset) != 0 ? NvmeStatus.PrpOffsetInvalid : null;
    }

    private static int EntriesOf(in SubmissionEntry entry) => (int)(entry.Dword10 >> 16) + 1;
}
