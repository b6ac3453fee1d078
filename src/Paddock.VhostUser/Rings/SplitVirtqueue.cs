using System.Numerics;
using System.Runtime.CompilerServices;
using Paddock.VhostUser.Memory;

namespace Paddock.VhostUser.Rings;

/// <summary>
/// A split ring (virtio 1.2, 2.7), little-endian:
/// <code>
/// OFFSET        SIZE MEANING
/// descriptor table, aligned to 16: <see cref="Descriptor"/> x size
/// available ring, aligned to 2
///      0           2 flags: 1 = the driver requires no notification
///      2           2 idx: where the driver puts the next entry
///      4    2 x size heads of chains
///  after           2 used_event: notify when idx of the used ring passes it (EVENT_IDX)
/// used ring, aligned to 4
///      0           2 flags: 1 = the device requires no kick
///      2           2 idx: where the device puts the next entry
///      4    8 x size entries: head (4), bytes written (4)
///  after           2 avail_event: kick when idx of the available ring passes it (EVENT_IDX)
/// </code>
/// </summary>
internal sealed unsafe class SplitVirtqueue : Virtqueue
{
    private const int IndexOffset = 2, RingOffset = 4, EntrySize = 8, EventSize = 2;
    private const ushort NoNotify = 1;

    private readonly byte* _descriptors;
    private readonly byte* _available;
    private readonly byte* _used;
    private readonly int _mask;
    private readonly bool _eventIndex;
    private readonly SplitInflight? _inflight;

    // heads in flight: a head made available twice would be completed twice
    private readonly ulong[] _taken;
    private readonly ushort[] _replays;
    private int _nextReplay;
    private ushort _nextAvailable;
    private ushort _nextUsed;
    private ushort _notifiedUsed;
    private bool _notifiedBefore;

    internal SplitVirtqueue(
        GuestMemory memory, RingFeatures features, int size, RingAddresses addresses, uint baseIndex, InflightRegion? inflight)
        : base(memory, features, size)
    {
        if (size is < 1 or > RingLimits.LargestRing || !BitOperations.IsPow2(size))
        {
            throw new RingException($"a split ring of {size} descriptors: powers of two up to {RingLimits.LargestRing} are taken");
        }

        _eventIndex = (features & RingFeatures.EventIndex) != 0;
        int eventSize = _eventIndex ? EventSize : 0;
        _descriptors = Locate(memory, "the descriptor table", addresses.Descriptors, Descriptor.Size * size, Descriptor.Size);
        _available = Locate(
            memory, "the available ring", addresses.Driver, RingOffset + (sizeof(ushort) * size) + eventSize, sizeof(ushort));
        _used = Locate(memory, "the used ring", addresses.Device, RingOffset + (EntrySize * size) + eventSize, sizeof(uint));
        _mask = size - 1;
        _taken = new ulong[(size + 63) / 64];
        _nextUsed = Volatile.Read(ref At(_used, IndexOffset));
        _notifiedUsed = _nextUsed;
        _nextAvailable = (ushort)baseIndex;
        _replays = [];
        if (inflight is { } region)
        {
            _inflight = new SplitInflight(region, size);
            _replays = _inflight.Recover(_nextUsed);

            // requests taken and not completed are between the two
            if (!_inflight.IsNew)
            {
                _nextAvailable = (ushort)(_nextUsed + _replays.Length);
            }
        }
    }

    /// <inheritdoc/>
    public override uint Base => _nextAvailable;

    private protected override bool HasWork
        => _nextReplay < _replays.Length || Volatile.Read(ref At(_available, IndexOffset)) != _nextAvailable;

    private ref ushort UsedEvent => ref At(_available, RingOffset + (sizeof(ushort) * Size));

    private ref ushort AvailableEvent => ref At(_used, RingOffset + (EntrySize * Size));

    /// <inheritdoc/>
    public override bool EnableNotifications()
    {
        if (_eventIndex)
        {
            Volatile.Write(ref AvailableEvent, _nextAvailable);
        }
        else
        {
            Volatile.Write(ref At(_used, 0), 0);
        }

        // the driver writes its index, then reads this; we write this, then read its index
        Interlocked.MemoryBarrier();
        return HasWork;
    }

    /// <inheritdoc/>
    public override void DisableNotifications()
    {
        // with event indices an old one does: it is met once in 65536 entries
        if (!_eventIndex)
        {
            Volatile.Write(ref At(_used, 0), NoNotify);
        }
    }

    private protected override bool Take(DescriptorChain chain)
    {
        if (_nextReplay < _replays.Length)
        {
            ushort again = _replays[_nextReplay];
            TakeHead(chain, again);
            (chain.IsReplay, chain.Note) = (true, _inflight!.NoteOf(again));
            _nextReplay++;
            return true;
        }

        ushort index = Volatile.Read(ref At(_available, IndexOffset));
        int waiting = (ushort)(index - _nextAvailable);
        if (waiting == 0)
        {
            return false;
        }

        if (waiting > Size)
        {
            throw new RingException(
                $"the available ring's idx is {index}, {waiting} entries ahead of {_nextAvailable}: the ring has {Size}");
        }

        ushort head = Volatile.Read(ref At(_available, RingOffset + (sizeof(ushort) * (_nextAvailable & _mask))));
        TakeHead(chain, head);
        _inflight?.Take(head);
        _nextAvailable++;
        return true;
    }

    private protected override void PutUsed(DescriptorChain chain, uint written)
    {
        ushort head = chain.Id;
        byte* entry = _used + RingOffset + (EntrySize * (_nextUsed & _mask));
        Unsafe.WriteUnaligned(entry, (uint)head);
        Unsafe.WriteUnaligned(entry + sizeof(uint), written);
        _taken[head / 64] &= ~(1UL << (head % 64));
        _inflight?.BeginComplete(head);
        _nextUsed++;
        Volatile.Write(ref At(_used, IndexOffset), _nextUsed);
        _inflight?.EndComplete(head, _nextUsed);
        if (chain.Note is not null)
        {
            _inflight?.Forget(head);
        }
    }

    /// <inheritdoc/>
    public override void NoteAppend(DescriptorChain chain, AppendNote note)
    {
        chain.Note = note;
        _inflight?.Note(chain.Id, note);
    }

    private protected override bool WantsNotification()
    {
        ushort before = _notifiedUsed, now = _nextUsed;
        bool owed = !_notifiedBefore && _inflight is { IsNew: false };
        if (before == now && !owed)
        {
            return false;
        }

        // the index must be visible before we read the driver's flags or event index
        Interlocked.MemoryBarrier();
        bool first = !_notifiedBefore;
        (_notifiedUsed, _notifiedBefore) = (now, true);
        if (owed || !_eventIndex)
        {
            return owed || (Volatile.Read(ref At(_available, 0)) & NoNotify) == 0;
        }

        ushort wanted = Volatile.Read(ref UsedEvent);
        return first || (ushort)(now - wanted - 1) < (ushort)(now - before);
    }

    private static ref ushort At(byte* part, int offset) => ref *(ushort*)(part + offset);

    private void TakeHead(DescriptorChain chain, ushort head)
    {
        if (head >= Size)
        {
            throw new RingException($"the available ring names descriptor {head}: the table has {Size}");
        }

        ulong bit = 1UL << (head % 64);
        if ((_taken[head / 64] & bit) != 0)
        {
            throw new RingException($"the available ring names descriptor {head}, which is in flight");
        }

        chain.Id = head;
        Walk(chain, head);
        _taken[head / 64] |= bit;
    }

    // 2.7.5: chains by NEXT; the last descriptor may be an indirect table, chained in the same way
    private void Walk(DescriptorChain chain, ushort head)
    {
        byte* table = _descriptors;
        int count = Size, left = Size;
        bool indirect = false;
        for (int index = head; ;)
        {
            if (left-- == 0)
            {
                throw new RingException($"the chain of descriptor {head} loops, or is longer than {count} descriptors");
            }

            var descriptor = Descriptor.Read(table + (Descriptor.Size * index));
            var flags = descriptor.SplitFlags;
            if ((flags & DescriptorFlags.Indirect) != 0)
            {
                if (indirect || (flags & DescriptorFlags.Next) != 0)
                {
                    throw new RingException($"the chain of descriptor {head}: an indirect table within one, or before the chain's end");
                }

                table = LocateTable(descriptor, out count);
                (index, left, indirect) = (0, count, true);
                continue;
            }

            chain.Add(Memory, descriptor, (flags & DescriptorFlags.Write) != 0);
            if ((flags & DescriptorFlags.Next) == 0)
            {
                return;
            }

            index = descriptor.Next;
            if (index >= count)
            {
                throw new RingException($"the chain of descriptor {head} goes on at {index}: the table has {count}");
            }
        }
    }
}
