using System.Buffers.Binary;
using Paddock.Posix;

namespace Paddock.Testing.Protocols.VfioUser;

/// <summary>A completed command.</summary>
/// <param name="Id">Command identifier.</param>
/// <param name="Status">Status field without the phase tag; 0: success.</param>
/// <param name="Result">Result: eight bytes, of which most commands use four.</param>
internal readonly record struct Completed(ushort Id, ushort Status, ulong Result)
{
    /// <summary>Status code type and status code.</summary>
    public int Code => Status & 0x7FF;
}

/// <summary>
/// A queue pair of a small NVMe driver: contiguous queues, data by PRPs, one list page for each command. Used by one thread at a time.
/// </summary>
internal sealed unsafe class DriverQueue : IDisposable
{
    public const int EntrySize = 64, CompletionSize = 16, Page = 4096;

    private readonly NvmeDriver _driver;
    private readonly EventWaiter _waiter = new();
    private readonly ushort[] _free;
    private int _freeCount;
    private uint _tail, _head;
    private bool _phase = true;

    public DriverQueue(NvmeDriver driver, int id, int entries, ulong at)
    {
        _driver = driver;
        (Id, Entries, At) = (id, entries, at);
        Completions = At + Pages(entries * EntrySize);
        Lists = Completions + Pages(entries * CompletionSize);
        End = Lists + ((ulong)entries * Page);
        _free = [.. Enumerable.Range(0, entries - 1).Select(i => (ushort)i)];
        _freeCount = _free.Length;
        _waiter.Add(Event);
        Clear();
    }

    public int Id { get; }

    public int Entries { get; }

    /// <summary>Address of the submission queue.</summary>
    public ulong At { get; }

    /// <summary>Address of the completion queue.</summary>
    public ulong Completions { get; }

    /// <summary>Address after the memory of this queue.</summary>
    public ulong End { get; }

    /// <summary>Commands in flight.</summary>
    public int InFlight => _free.Length - _freeCount;

    /// <summary>Index of the entry that was put last.</summary>
    public uint LastEntry => (_tail + (uint)Entries - 1) % (uint)Entries;

    /// <summary>Signalled by the interrupt of the queue.</summary>
    public EventDescriptor Event { get; } = EventDescriptor.Create();

    private ulong Lists { get; }

    /// <summary>Puts a command into the queue; <see cref="Ring"/> announces it.</summary>
    public ushort Put(
        byte opcode, uint nsid, ulong address = 0, int bytes = 0, uint cdw10 = 0, uint cdw11 = 0, uint cdw12 = 0, uint cdw13 = 0)
    {
        ushort id = _free[--_freeCount];
        var entry = new Span<byte>(_driver.Memory.At(At + (_tail * EntrySize)), EntrySize);
        entry.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(entry, opcode | ((uint)id << 16));
        BinaryPrimitives.WriteUInt32LittleEndian(entry[4..], nsid);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[24..], address);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[32..], SecondPointer(id, address, bytes));
        BinaryPrimitives.WriteUInt32LittleEndian(entry[40..], cdw10);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[44..], cdw11);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[48..], cdw12);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[52..], cdw13);
        _tail = (_tail + 1) % (uint)Entries;
        return id;
    }

    /// <summary>Announces the commands that were put.</summary>
    public void Ring() => _driver.RingDoorbell(2 * Id, _tail);

    /// <summary>Takes a completion; <see cref="Release"/> tells the controller.</summary>
    public bool TryTake(out Completed completed)
    {
        byte* at = _driver.Memory.At(Completions + (_head * CompletionSize));
        uint last = Volatile.Read(ref *(uint*)(at + 12));
        completed = default;
        if (((last >> 16) & 1) != (_phase ? 1u : 0))
        {
            return false;
        }

        completed = new Completed((ushort)last, (ushort)(last >> 17), *(ulong*)at);
        _free[_freeCount++] = completed.Id;
        _head++;
        if (_head == Entries)
        {
            (_head, _phase) = (0, !_phase);
        }

        return true;
    }

    /// <summary>Returns the entries of the completions taken.</summary>
    public void Release() => _driver.RingDoorbell((2 * Id) + 1, _head);

    /// <summary>Waits for an interrupt, or a time.</summary>
    public void WaitForInterrupt(int milliseconds)
    {
        _waiter.Wait(milliseconds);
        Event.Take();
    }

    /// <summary>Waits for a completion.</summary>
    public Completed Take(int seconds = 30)
    {
        Completed completed;
        for (long end = Environment.TickCount64 + (seconds * 1000L); !TryTake(out completed);)
        {
            if (Environment.TickCount64 > end || _driver.Device.Client.HasEnded)
            {
                throw new TimeoutException($"no completion in queue {Id}");
            }

            WaitForInterrupt(5);
        }

        Release();
        return completed;
    }

    /// <summary>Runs a command.</summary>
    public Completed Run(
        byte opcode, uint nsid, ulong address = 0, int bytes = 0, uint cdw10 = 0, uint cdw11 = 0, uint cdw12 = 0, uint cdw13 = 0)
    {
        Put(opcode, nsid, address, bytes, cdw10, cdw11, cdw12, cdw13);
        Ring();
        return Take();
    }

    /// <summary>Starts again with empty queues.</summary>
    public void Clear()
    {
        (_tail, _head, _phase, _freeCount) = (0, 0, true, _free.Length);
        for (int i = 0; i < _free.Length; i++)
        {
            _free[i] = (ushort)i;
        }

        new Span<byte>(_driver.Memory.At(At), (int)(Lists - At)).Clear();
        Event.Take();
    }

    public void Dispose()
    {
        _waiter.Dispose();
        Event.Dispose();
    }

    public static ulong Pages(int bytes) => (ulong)((bytes + Page - 1) & -Page);

    // PRP entry 2: the second page, or a list of the pages from the second on
    private ulong SecondPointer(ushort id, ulong address, int bytes)
    {
        ulong second = (address & ~(ulong)(Page - 1)) + Page, end = address + (ulong)bytes;
        if (end <= second)
        {
            return 0;
        }

        if (end <= second + Page)
        {
            return second;
        }

        ulong list = Lists + ((ulong)id * Page);
        ulong* entries = (ulong*)_driver.Memory.At(list);
        for (; second < end; second += Page)
        {
            *entries++ = second;
        }

        return list;
    }
}
