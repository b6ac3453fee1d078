using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Pcie;

/// <summary>
/// Prepares commands, which finds their data in the host's memory and copies what comes from the host, and starts them. Used by the worker
/// only.
/// </summary>
internal sealed class CommandStarter
{
    private const int FuseMask = 3, PointerShift = 6, PointerInvalid = 3;

    private static readonly Action<Command> RunAdminLater = command => RunAdmin(command);

    private readonly Controller _controller;
    private readonly IDeviceMemory _memory;
    private readonly DmaGate _gate;
    private readonly MemoryBudget _budget;
    private readonly QueueCommands _queueCommands;
    private readonly TransferMapPool _maps;
    private readonly TransferBuffers _buffers;
    private readonly PrpList _prps;
    private readonly SglChain _sgls;
    private readonly IoRunner _io = new(sharesThread: true);

    public CommandStarter(
        Controller controller, IDeviceMemory memory, DmaGate gate, MemoryBudget budget, QueueCommands queueCommands,
        TransferMapPool maps, TransferBuffers buffers)
    {
        _controller = controller;
        _memory = memory;
        _gate = gate;
        _budget = budget;
        _queueCommands = queueCommands;
        _maps = maps;
        _buffers = buffers;
        _prps = new PrpList(memory);
        _sgls = new SglChain(memory);
    }

    /// <summary>Starts a command that has begun; it may have completed when this returns.</summary>
    public void Start(PcieCommand command)
    {
        bool isAdmin = command.Queue.Id == 0;
        if (isAdmin && QueueCommands.Has(command.Entry))
        {
            RunInside(command);
            return;
        }

        var status = Prepare(command, isAdmin);
        if (status != NvmeStatus.Success)
        {
            command.Finish(status);
        }
        else if (!isAdmin)
        {
            _io.Start(command);
        }
        else if (command.Entry.Opcode is AdminOpcode.AsyncEventRequest or AdminOpcode.Abort)
        {
            RunInside(command);
        }
        else
        {
            command.Defer(RunAdminLater);
        }
    }

    private static void RunAdmin(Command command)
    {
        if (command.Controller is { } controller)
        {
            _ = AdminCommands.RunAsync(controller, command);
        }
        else
        {
            command.Finish(NvmeStatus.CommandSequence);
        }
    }

    // commands that change what a reset of the controller clears: it waits for the gate, and nothing of them is left behind
    private void RunInside(PcieCommand command)
    {
        if (!_gate.TryEnter())
        {
            command.Finish(NvmeStatus.CommandSequence);
            return;
        }

        if (!QueueCommands.Has(command.Entry))
        {
            RunAdmin(command);
        }
        else if (CheckFlags(command.Entry, isAdmin: true) is { } wrong)
        {
            command.Finish(wrong);
        }
        else if (_queueCommands.Execute(command) is { } status)
        {
            command.Finish(status);
        }

        _gate.Leave();
    }

    private NvmeStatus Prepare(PcieCommand command, bool isAdmin)
    {
        ref readonly var entry = ref command.Entry;
        if (CheckFlags(entry, isAdmin) is { } wrong)
        {
            return wrong;
        }

        long length = CommandData.LengthOf(_controller, isAdmin, entry);
        if (length == 0)
        {
            return NvmeStatus.Success;
        }

        if (length > _controller.MaxTransfer)
        {
            return NvmeStatus.InvalidField;
        }

        if (_buffers.TryRent((int)length) is not { } buffer)
        {
            return NvmeStatus.CommandInterrupted;
        }

        command.Buffer = buffer;
        command.Data = buffer.Data((int)length);
        if (!_gate.TryEnter())
        {
            return NvmeStatus.DataTransferError;
        }

        var status = Map(command, (int)length);
        _gate.Leave();
        return status;
    }

    private NvmeStatus Map(PcieCommand command, int length)
    {
        ref readonly var entry = ref command.Entry;
        var map = command.Map = _maps.Rent();
        var status = entry.Flags >> PointerShift == 0 ? _prps.Read(entry, length, map) : _sgls.Read(entry, length, map);
        _budget.Take(command.Held = length + map.Footprint);
        return status != NvmeStatus.Success || entry.Direction != 1 || map.TryCopyIn(_memory, command.Data.Span)
            ? status : NvmeStatus.DataTransferError;
    }

    // no fused commands; SGLs are not for admin commands (NVMe base 2.0, figure 88)
    private static NvmeStatus? CheckFlags(in SubmissionEntry entry, bool isAdmin)
    {
        int pointer = entry.Flags >> PointerShift;
        return (entry.Flags & FuseMask) != 0 || pointer == PointerInvalid || (isAdmin && pointer != 0) ? NvmeStatus.InvalidField : null;
    }
}
