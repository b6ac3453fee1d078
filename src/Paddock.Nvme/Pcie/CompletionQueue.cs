using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Pcie;

/// <summary>
/// A completion queue in the host's memory. Entries are gathered and written together; an entry becomes valid with its phase, so that of
/// the first is written last, alone: the host looks at none behind it before. Used by the worker only.
/// </summary>
/// <param name="id">Its identifier; 0 is the admin queue.</param>
/// <param name="address">Where it lies.</param>
/// <param name="entries">Its size.</param>
/// <param name="vector">Its interrupt vector; null when it raises no interrupts.</param>
internal sealed class CompletionQueue(ushort id, ulong address, int entries, int? vector)
{
    private const int Batch = 32;
    private const int StatusField = 12;
    private const byte PhaseBit = 1;
    private const int PhaseByte = 14;

    private readonly byte[] _gathered = new byte[Batch * CompletionEntry.Size];
    private int _count, _tail;
    private bool _phase = true;

    /// <summary>Commands whose completions wait until the host has read others.</summary>
    private CommandList _blocked;

    /// <summary>Its identifier.</summary>
    public ushort Id => id;

    /// <summary>Its size.</summary>
    public int Entries => entries;

    /// <summary>Its interrupt vector; null when it raises no interrupts.</summary>
    public int? Vector => vector;

    /// <summary>Number of submission queues that use it.</summary>
    public int Users { get; set; }

    /// <summary>Position up to which the host has read.</summary>
    public int Head { get; private set; }

    /// <summary>Position of the next entry.</summary>
    public int Tail => _tail;

    /// <summary>Whether completions wait for the host.</summary>
    public bool IsBlocked => !_blocked.IsEmpty;

    /// <summary>Whether an entry has no room.</summary>
    public bool IsFull => (_tail + 1 == entries ? 0 : _tail + 1) == Head;

    /// <summary>Number of entries that are gathered and not written.</summary>
    public int Gathered => _count;

    /// <summary>Whether as many entries are gathered as fit, or the next one lies elsewhere.</summary>
    public bool MustWrite => _count == Batch || (_count > 0 && _tail == 0);

    /// <summary>Whether the queue counts as having unread entries for the interrupt pin.</summary>
    public bool IsUnread { get; set; }

    /// <summary>The host has read entries.</summary>
    /// <returns>False when the position is outside the queue, or behind an entry that was not written.</returns>
    public bool TryMoveHead(uint position)
    {
        if (position >= (uint)entries || Distance(Head, (int)position) > Distance(Head, _tail))
        {
            return false;
        }

        Head = (int)position;
        return true;
    }

    /// <summary>Keeps a command whose completion has no room.</summary>
    public void Block(PcieCommand command) => _blocked.Add(command);

    /// <summary>The next command whose completion waits, if there is room for it.</summary>
    public PcieCommand? TakeUnblocked() => IsFull ? null : _blocked.Take();

    /// <summary>Removes a command whose completion waits; for a queue that has ended.</summary>
    public PcieCommand? TakeBlocked() => _blocked.Take();

    /// <summary>Gathers an entry; the queue is not full.</summary>
    public void Gather(in CompletionEntry entry)
    {
        // all but the first have their phase already
        bool phase = _count == 0 ? !_phase : _phase;
        (entry with { Phase = phase }).WriteTo(_gathered.AsSpan(_count * CompletionEntry.Size));
        _count++;
        if (++_tail == entries)
        {
            _tail = 0;
            _phase = !_phase;
        }
    }

    /// <summary>Writes the gathered entries.</summary>
    /// <returns>False when the memory of the queue cannot be written.</returns>
    public bool TryWrite(IDeviceMemory memory)
    {
        int first = _tail - _count + (_tail < _count ? entries : 0);
        ulong at = address + (ulong)(first * CompletionEntry.Size);
        var gathered = _gathered.AsSpan(0, _count * CompletionEntry.Size);
        _count = 0;
        if (!memory.TryWrite(at, gathered))
        {
            return false;
        }

        gathered[PhaseByte] ^= PhaseBit;
        return memory.TryWrite(at + StatusField, gathered.Slice(StatusField, sizeof(uint)));
    }

    private int Distance(int from, int to) => to >= from ? to - from : to - from + entries;
}
