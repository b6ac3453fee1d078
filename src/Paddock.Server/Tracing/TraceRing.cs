using Paddock.Server.Live;

namespace Paddock.Server.Tracing;

/// <summary>A request in a trace.</summary>
/// <param name="Disk">Index of the disk.</param>
/// <param name="Request">The request.</param>
/// <param name="Ticks">Its duration in <see cref="System.Diagnostics.Stopwatch"/> ticks.</param>
/// <param name="Failed">Whether it failed.</param>
internal readonly record struct TracedRequest(int Disk, LiveRequest Request, long Ticks, bool Failed);

/// <summary>
/// Bounded queue from many writers to one reader, without locks: each slot has a turn number that says whose it is.
/// </summary>
internal sealed class TraceRing
{
    private readonly Slot[] _slots;
    private readonly int _mask;
    private long _tail, _head;

    /// <param name="size">Number of slots; a power of two.</param>
    public TraceRing(int size)
    {
        _slots = new Slot[size];
        _mask = size - 1;
        for (int i = 0; i < size; i++)
        {
            _slots[i].Turn = i;
        }
    }

    /// <summary>Adds a request; fails when the ring is full.</summary>
    public bool TryAdd(in TracedRequest request)
    {
        while (true)
        {
            long at = Volatile.Read(ref _tail);
            ref var slot = ref _slots[at & _mask];
            long turn = Volatile.Read(ref slot.Turn);
            if (turn < at)
            {
                return false;
            }

            if (turn == at && Interlocked.CompareExchange(ref _tail, at + 1, at) == at)
            {
                slot.Request = request;
                Volatile.Write(ref slot.Turn, at + 1);
                return true;
            }
        }
    }

    /// <summary>Takes the oldest request; one reader only.</summary>
    public bool TryTake(out TracedRequest request)
    {
        ref var slot = ref _slots[_head & _mask];
        request = default;
        if (Volatile.Read(ref slot.Turn) != _head + 1)
        {
            return false;
        }

        request = slot.Request;
        Volatile.Write(ref slot.Turn, _head + _slots.Length);
        _head++;
        return true;
    }

    private struct Slot
    {
        public long Turn;
        public TracedRequest Request;
    }
}
