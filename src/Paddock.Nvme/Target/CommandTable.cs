using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Target;

/// <summary>
/// The commands in flight of one queue: a slot and an identifier each. Slots are reused, so that a command allocates nothing.
/// Commands begin on the receiving thread and end on any.
/// </summary>
/// <typeparam name="TCommand">Commands of the transport.</typeparam>
/// <param name="create">Makes the command of a slot.</param>
/// <param name="entries">Size of the queue.</param>
internal sealed class CommandTable<TCommand>(Func<int, TCommand> create, int entries)
    where TCommand : Command
{
    private readonly Lock _lock = new();
    private readonly List<TCommand> _slots = [];
    private readonly Stack<TCommand> _free = new();
    private readonly ulong[] _identifiers = new ulong[65536 / 64];
    private TaskCompletionSource? _change;
    private int _entries = entries, _head, _inFlight;

    /// <summary>Position of the next submission entry (SQHD).</summary>
    public int Head => Volatile.Read(ref _head);

    /// <summary>Size of the queue: the limit of commands in flight.</summary>
    public int Entries => Volatile.Read(ref _entries);

    /// <summary>Number of commands in flight.</summary>
    public int InFlight => Volatile.Read(ref _inFlight);

    /// <summary>Sets the size of the queue; called by the receiving thread.</summary>
    public void Resize(int entries)
    {
        lock (_lock)
        {
            _entries = entries;
        }
    }

    /// <summary>Assigns a slot to a command.</summary>
    /// <param name="entry">The command.</param>
    /// <param name="isConflict">Whether another command in flight has the same identifier: this one must fail.</param>
    /// <returns>Null when as many commands are in flight as the queue has entries.</returns>
    public TCommand? TryBegin(in SubmissionEntry entry, out bool isConflict)
    {
        TCommand? command;
        lock (_lock)
        {
            if (!_free.TryPop(out command))
            {
                if (_slots.Count >= _entries)
                {
                    isConflict = false;
                    return null;
                }

                _slots.Add(command = create(_slots.Count));
            }

            _head = _head + 1 == _entries ? 0 : _head + 1;

            ref ulong word = ref _identifiers[entry.CommandId >> 6];
            ulong bit = 1UL << (entry.CommandId & 63);
            isConflict = (word & bit) != 0;
            word |= bit;
            _inFlight++;
            command.Begin(entry);
        }

        return command;
    }

    /// <summary>Frees a command's slot, and its identifier.</summary>
    public void End(TCommand command)
    {
        TaskCompletionSource? change;
        lock (_lock)
        {
            ushort id = command.Entry.CommandId;
            if (command.Status != NvmeStatus.CommandIdConflict)
            {
                _identifiers[id >> 6] &= ~(1UL << (id & 63));
            }

            command.IsInFlight = false;
            _inFlight--;
            _free.Push(command);
            (change, _change) = (_change, null);
        }

        change?.SetResult();
    }

    /// <summary>Removes a command that will never end, because its data can no longer arrive. Its slot is not used again.</summary>
    public void Abandon(TCommand command)
    {
        lock (_lock)
        {
            if (command.IsInFlight)
            {
                command.IsInFlight = false;
                _inFlight--;
            }
        }
    }

    /// <summary>The command in flight with an identifier; null if not found.</summary>
    public TCommand? Find(ushort commandId)
    {
        lock (_lock)
        {
            return _slots.Find(c => c.IsInFlight && c.Entry.CommandId == commandId);
        }
    }

    /// <summary>The commands in flight.</summary>
    public TCommand[] Snapshot()
    {
        lock (_lock)
        {
            return [.. _slots.Where(c => c.IsInFlight)];
        }
    }

    /// <summary>Completes at the next <see cref="End"/> or <see cref="Wake"/>.</summary>
    public Task NextChangeAsync()
    {
        lock (_lock)
        {
            return (_change ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    /// <summary>Completes <see cref="NextChangeAsync"/>.</summary>
    public void Wake()
    {
        TaskCompletionSource? change;
        lock (_lock)
        {
            (change, _change) = (_change, null);
        }

        change?.SetResult();
    }
}
