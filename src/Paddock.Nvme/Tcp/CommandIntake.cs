using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Tcp;

/// <summary>
/// Takes commands from the wire until they can start: checks them, finds or requests their data, and keeps the writes of a zone in order.
/// Used by the receiving thread only, but for <see cref="Unstarted"/>.
/// </summary>
internal sealed class CommandIntake : IPduReceiver
{
    private readonly NvmeTarget _target;
    private readonly QueueAdmission _admission;
    private readonly CommandQueue _queue;
    private readonly CommandRunner _runner;
    private readonly PduWriter _writer;
    private readonly MemoryBudget _memory;
    private readonly TransferCredits _credits;
    private readonly ZoneOrder _order = new();
    private volatile int _unstarted;

    public CommandIntake(
        NvmeTarget target, QueueAdmission admission, CommandQueue queue, CommandRunner runner, PduWriter writer, MemoryBudget memory)
    {
        _target = target;
        _admission = admission;
        _queue = queue;
        _runner = runner;
        _writer = writer;
        _memory = memory;
        _credits = new TransferCredits(target.Options.ConnectionBytes);
    }

    /// <summary>Commands that wait for their data, or behind such a command. May be read from any thread.</summary>
    public int Unstarted => _unstarted;

    /// <inheritdoc/>
    public void Initialize(in InitializePdu response, in PduRules rules) => _writer.WriteInitialize(response, rules);

    /// <inheritdoc/>
    public void TakeCommand(in SubmissionEntry entry, Slab buffer, Memory<byte> data, bool isDamaged)
    {
        if (_queue.Begin(entry) is not { } command)
        {
            return;
        }

        var refused = isDamaged ? NvmeStatus.TransientTransportError : Prepare(command, buffer, data);
        if (refused is { } status)
        {
            command.Finish(status);
        }
    }

    /// <inheritdoc/>
    public TcpCommand? FindTransfer(ushort tag) => _credits.Find(tag);

    /// <inheritdoc/>
    public void CompleteTransfer(TcpCommand command)
    {
        _credits.Return(command);
        if (command.IsBroken)
        {
            _order.Remove(command);
            _unstarted--;
            command.Finish(NvmeStatus.TransientTransportError);
        }
        else if (!_order.MarkReady(command))
        {
            _unstarted--;
            _runner.Start(command);
        }

        StartReady();
        GrantTransfers();
    }

    /// <summary>Releases the data of commands that have not started; the connection has ended.</summary>
    public void Abandon()
    {
        foreach (var command in _credits.Granted)
        {
            command.Buffer?.Release();
            _queue.Table.Abandon(command);
        }

        foreach (var command in _order.Ready)
        {
            command.Buffer?.Release();
        }

        foreach (var command in _credits.Waiting.Concat(_order.Commands))
        {
            _queue.Table.Abandon(command);
        }

        _unstarted = 0;
    }

    /// <summary>Finds a command's data and starts the command, now or when its data has been received.</summary>
    /// <returns>Null, or why the command cannot run.</returns>
    private NvmeStatus? Prepare(TcpCommand command, Slab buffer, Memory<byte> capsule)
    {
        const byte usesSgl = 0x40;
        var entry = command.Entry;
        if (entry.Flags != usesSgl)
        {
            return NvmeStatus.InvalidField;
        }

        if (_admission.RefusalOf(entry) is { } refused)
        {
            return refused;
        }

        if (entry.DataLength > _target.Options.MaxTransferBytes)
        {
            return NvmeStatus.InvalidField;
        }

        int length = (int)entry.DataLength;
        switch (entry.Direction)
        {
            case 1 when length > 0 && entry.DataKind == SubmissionEntry.InCapsule:
                if (entry.DataAddress > (ulong)capsule.Length || length > capsule.Length - (int)entry.DataAddress)
                {
                    return NvmeStatus.SglOffsetInvalid;
                }

                buffer.Hold();
                command.Buffer = buffer;
                command.Data = capsule.Slice((int)entry.DataAddress, length);
                break;
            case 1 when length > 0:
                if (entry.DataKind != SubmissionEntry.InTransport)
                {
                    return NvmeStatus.SglTypeInvalid;
                }

                RequestTransfer(command);
                return null;
            case 2 when length > 0:
                if (entry.DataKind != SubmissionEntry.InTransport)
                {
                    return NvmeStatus.SglTypeInvalid;
                }

                if (_target.Buffers.TryRentTransfer(length) is not { } room)
                {
                    return NvmeStatus.CommandInterrupted;
                }

                _memory.Take(command.Held = length);
                command.Buffer = room;
                command.Data = room.Data(length);
                break;
            case 3:
                return NvmeStatus.InvalidOpcode;
        }

        StartInOrder(command);
        return null;
    }

    /// <summary>Starts a command whose data is complete; a write to a zone waits for earlier ones whose data is not.</summary>
    private void StartInOrder(TcpCommand command)
    {
        if (!_order.IsEmpty && ZoneOf(command.Entry) is { } zone && _order.IsBusy(zone))
        {
            _order.Add(command, zone, isReady: true);
            _unstarted++;
            return;
        }

        _runner.Start(command);
    }

    private void StartReady()
    {
        int position = 0;
        while (_order.TakeReady(ref position) is { } command)
        {
            _unstarted--;
            _runner.Start(command);
        }
    }

    // null for everything but a write to a zoned namespace
    private ZoneKey? ZoneOf(in SubmissionEntry entry)
        => _admission.Queue != 0 && entry.Opcode is Opcode.Write or Opcode.WriteZeroes
            && _admission.Controller!.Find(entry.NamespaceId) is { Zones: { } zones } ns
            ? new ZoneKey(entry.NamespaceId, entry.StartingLba / (ulong)(zones.Limits.ZoneSize >> ns.BlockShift))
            : null;

    /// <summary>Requests the data of a command from the host, once that fits the connection's limit.</summary>
    private void RequestTransfer(TcpCommand command)
    {
        if (ZoneOf(command.Entry) is { } zone)
        {
            _order.Add(command, zone, isReady: false);
        }

        _unstarted++;
        _credits.Request(command);
        GrantTransfers();
    }

    private void GrantTransfers()
    {
        while (_credits.GrantNext() is { } command)
        {
            int length = (int)command.Entry.DataLength;
            if (_target.Buffers.TryRentTransfer(length) is { } buffer)
            {
                command.Buffer = buffer;
                command.Data = buffer.Data(length);
                _writer.WriteReadyToTransfer(command);
                continue;
            }

            _credits.Return(command);
            _order.Remove(command);
            _unstarted--;
            command.Finish(NvmeStatus.CommandInterrupted);
            StartReady();
        }
    }
}
