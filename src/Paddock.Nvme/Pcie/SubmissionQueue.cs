using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Pcie;

/// <summary>Receives what happens to the commands of submission queues.</summary>
internal interface ICommandOwner
{
    /// <summary>The share of long commands.</summary>
    LongWorkClient LongWork { get; }

    /// <summary>The controller; null when it has been reset: commands must not start.</summary>
    Controller? Controller { get; }

    /// <summary>A command has ended; called on any thread.</summary>
    void Completed(PcieCommand command);

    /// <summary>A command ends without a completion; called on any thread.</summary>
    void Discard(PcieCommand command);
}

/// <summary>A submission queue in the host's memory. Used by the worker, except where commands end.</summary>
internal sealed class SubmissionQueue : ICommandQueue, IControllerQueue
{
    private readonly ICommandOwner _owner;
    private readonly ulong _address;

    /// <param name="owner">Receives what happens to its commands.</param>
    /// <param name="id">Its identifier; 0 is the admin queue.</param>
    /// <param name="address">Where it lies.</param>
    /// <param name="entries">Its size.</param>
    /// <param name="completions">Where its completions go.</param>
    public SubmissionQueue(ICommandOwner owner, ushort id, ulong address, int entries, CompletionQueue completions)
    {
        _owner = owner;
        _address = address;
        Id = id;
        Completions = completions;
        Table = new CommandTable<PcieCommand>(slot => new PcieCommand(this, slot), entries);
    }

    /// <summary>Its identifier.</summary>
    public ushort Id { get; }

    /// <summary>Where its completions go.</summary>
    public CompletionQueue Completions { get; }

    /// <summary>The commands in flight; its head is that of the queue.</summary>
    public CommandTable<PcieCommand> Table { get; }

    /// <summary>Position behind the last command that the host has submitted.</summary>
    public int Tail { get; private set; }

    /// <summary>The command that deletes the queue and waits for the commands in flight; null if the queue is not being deleted.</summary>
    public PcieCommand? Deletion { get; set; }

    /// <inheritdoc/>
    public LongWorkClient LongWork => _owner.LongWork;

    /// <inheritdoc/>
    public Controller? Controller => _owner.Controller;

    /// <inheritdoc/>
    public bool IsAuthenticating => false;

    /// <summary>Whether commands can be fetched: some are submitted, and no more are in flight than the queue has entries.</summary>
    public bool CanFetch => Tail != Table.Head && Deletion is null && Table.InFlight < Table.Entries;

    /// <summary>The host has submitted commands.</summary>
    /// <returns>False when the position is outside the queue.</returns>
    public bool TryMoveTail(uint position)
    {
        if (position >= (uint)Table.Entries)
        {
            return false;
        }

        Tail = (int)position;
        return true;
    }

    /// <summary>Copies submitted commands that lie side by side; they remain submitted until they begin.</summary>
    /// <returns>How many; -1 when the memory of the queue cannot be read.</returns>
    public int Fetch(IDeviceMemory memory, Span<byte> to)
    {
        int head = Table.Head;
        int count = Math.Min((Tail > head ? Tail : Table.Entries) - head, Table.Entries - Table.InFlight);
        count = Math.Min(count, to.Length / SubmissionEntry.Size);
        return memory.TryRead(_address + (ulong)(head * SubmissionEntry.Size), to[..(count * SubmissionEntry.Size)]) ? count : -1;
    }

    /// <inheritdoc/>
    public void Complete(Command command) => _owner.Completed((PcieCommand)command);

    /// <inheritdoc/>
    public void Drop(Command command) => _owner.Discard((PcieCommand)command);

    /// <inheritdoc/>
    public bool TryAbort(ushort commandId)
        => Table.Find(commandId) is { } command && Controller is { } controller && HeldCommands.GiveUp(controller, command, aborted: true);

    /// <inheritdoc/>
    /// <remarks>A queue ends with its controller.</remarks>
    public void Dispose()
    {
    }
}
