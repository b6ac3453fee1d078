using System.Runtime.CompilerServices;
using Paddock.VhostUser.Memory;

namespace Paddock.VhostUser.Rings;

/// <summary>
/// A packed ring (virtio 1.2, 2.8), little-endian: one ring of <see cref="Descriptor"/>s, aligned to 16, in which the device overwrites
/// what the driver made available; and for each side an event suppression structure, aligned to 4:
/// <code>
/// OFFSET SIZE MEANING
///      0    2 descriptor index in bits 14:0, wrap counter in bit 15
///      2    2 flags: 0 = notify, 1 = do not, 2 = when that descriptor is passed (EVENT_IDX)
/// </code>
/// </summary>
internal sealed unsafe class PackedVirtqueue : Virtqueue
{
    private const int EventSize = 4, EventFlagsOffset = 2;
    private const ushort Always = 0, Never = 1, AtDescriptor = 2;
    private const int WrapBit = 15;
    private const int IndexMask = (1 << WrapBit) - 1;

    private readonly byte* _ring;
    private readonly byte* _driverEvent;
    private readonly byte* _deviceEvent;
    private readonly bool _eventIndex;
    private readonly PackedInflight? _inflight;
    private readonly PackedInflight.Replay[] _replays = [];
    private Descriptor[] _list = new Descriptor[8];
    private int _nextReplay;
    private RingPosition _available;
    private RingPosition _used;
    private int _outstanding;

    // descriptors used since the ring was opened; positions on one line, where a ring would fold them
    private long _usedTotal;
    private long _notifiedTotal;
    private bool _notifiedBefore;

    internal PackedVirtqueue(
        GuestMemory memory, RingFeatures features, int size, RingAddresses addresses, uint baseIndex, InflightRegion? inflight)
        : base(memory, features, size)
    {
        if (size is < 1 or > RingLimits.LargestRing)
        {
            throw new RingException($"a packed ring of {size} descriptors: 1 to {RingLimits.LargestRing} are taken");
        }

        _eventIndex = (features & RingFeatures.EventIndex) != 0;
        _ring = Locate(memory, "the descriptor ring", addresses.Descriptors, Descriptor.Size * size, Descriptor.Size);
        _driverEvent = Locate(memory, "the driver's event suppression", addresses.Driver, EventSize, EventSize);
        _deviceEvent = Locate(memory, "the device's event suppression", addresses.Device, EventSize, EventSize);
        _available = FromBase((ushort)baseIndex);

        // some front ends fill in the lower half only; nothing is in flight then, and both are at one place
        _used = baseIndex >> 16 == 0 ? _available : FromBase((ushort)(baseIndex >> 16));
        if (inflight is { } region)
        {
            _inflight = new PackedInflight(region, size, _used);
            if (!_inflight.IsNew)
            {
                _replays = _inflight.Recover(index => Volatile.Read(ref FlagsAt(index)), out _used);
                _available = _used;
                foreach (var replay in _replays)
                {
                    _available = _available.Advance(replay.Count, size);
                }
            }
        }
    }

    /// <inheritdoc/>
    public override uint Base => ToBase(_available) | ((uint)ToBase(_used) << 16);

    private protected override bool HasWork => _nextReplay < _replays.Length || IsAvailable(Volatile.Read(ref FlagsAt(_available.Index)));

    /// <inheritdoc/>
    public override bool EnableNotifications()
    {
        if (_eventIndex)
        {
            Volatile.Write(ref *(ushort*)_deviceEvent, ToBase(_available));
            Volatile.Write(ref *(ushort*)(_deviceEvent + EventFlagsOffset), AtDescriptor);
        }
        else
        {
            Volatile.Write(ref *(ushort*)(_deviceEvent + EventFlagsOffset), Always);
        }

        // the driver writes a descriptor and then looks here; we write here and then look at the descriptor
        Interlocked.MemoryBarrier();
        return HasWork;
    }

    /// <inheritdoc/>
    public override void DisableNotifications() => Volatile.Write(ref *(ushort*)(_deviceEvent + EventFlagsOffset), Never);

    private protected override bool Take(DescriptorChain chain)
    {
        if (_nextReplay < _replays.Length)
        {
            var replay = _replays[_nextReplay];
            Reserve(replay.Count);
            for (int i = 0; i < replay.Count; i++)
            {
                _list[i] = replay.Descriptors[i];
            }

            Fill(chain, replay.Count);
            chain.InflightIndex = replay.Entry;
            (chain.IsReplay, chain.Note) = (true, _inflight!.NoteOf(replay.Entry));
            _outstanding += replay.Count;
            _nextReplay++;
            return true;
        }

        if (!IsAvailable(Volatile.Read(ref FlagsAt(_available.Index))))
        {
            return false;
        }

        int count = CopyList();
        if (_outstanding + count > Size)
        {
            throw new RingException($"{_outstanding} descriptors are in flight, and {count} more are available: the ring has {Size}");
        }

        Fill(chain, count);
        if (_inflight is not null)
        {
            chain.InflightIndex = _inflight.Take(_list.AsSpan(0, count));
        }

        _outstanding += count;
        _available = _available.Advance(count, Size);
        return true;
    }

    private protected override void PutUsed(DescriptorChain chain, uint written)
    {
        byte* descriptor = _ring + (Descriptor.Size * _used.Index);
        var flags = (_used.Wrap ? DescriptorFlags.Available | DescriptorFlags.Used : 0) | (written > 0 ? DescriptorFlags.Write : 0);
        ref ushort flagsPlace = ref FlagsAt(_used.Index);
        var next = _used.Advance(chain.RingDescriptors, Size);
        _inflight?.BeginComplete(chain.InflightIndex, next);
        Unsafe.WriteUnaligned(descriptor + sizeof(ulong), written);
        Unsafe.WriteUnaligned(descriptor + sizeof(ulong) + sizeof(uint), chain.Id);
        Volatile.Write(ref flagsPlace, (ushort)flags);
        _inflight?.EndComplete(chain.InflightIndex, next);
        if (chain.Note is not null)
        {
            _inflight?.Forget(chain.InflightIndex);
        }

        _used = next;
        _usedTotal += chain.RingDescriptors;
        _outstanding -= chain.RingDescriptors;
    }

    /// <inheritdoc/>
    public override void NoteAppend(DescriptorChain chain, AppendNote note)
    {
        chain.Note = note;
        _inflight?.Note(chain.InflightIndex, note);
    }

    private protected override bool WantsNotification()
    {
        long before = _notifiedTotal, now = _usedTotal;
        bool owed = !_notifiedBefore && _inflight is { IsNew: false };
        if (before == now && !owed)
        {
            return false;
        }

        // the descriptors must be visible before we read the driver's event suppression
        Interlocked.MemoryBarrier();
        bool first = !_notifiedBefore;
        (_notifiedTotal, _notifiedBefore) = (now, true);
        uint wanted = Volatile.Read(ref *(uint*)_driverEvent);
        ushort flags = (ushort)(wanted >> 16);
        if (owed || flags != AtDescriptor || !_eventIndex)
        {
            return owed || flags != Never;
        }

        // the wrap counter says whether that place is in this lap or in the one before
        long lap = now - _used.Index;
        long at = lap + (wanted & IndexMask) - ((wanted >> WrapBit & 1) != 0 == _used.Wrap ? 0 : Size);
        return first || (before <= at && at < now);
    }

    private static ushort ToBase(RingPosition position) => (ushort)(position.Index | (position.Wrap ? 1 << WrapBit : 0));

    private RingPosition FromBase(ushort value)
    {
        int index = value & IndexMask;
        return index < Size ? new RingPosition(index, value >> WrapBit != 0)
            : throw new RingException($"the ring is to begin at descriptor {index}: it has {Size}");
    }

    private ref ushort FlagsAt(int index) => ref *(ushort*)(_ring + (Descriptor.Size * index) + Descriptor.PackedFlagsOffset);

    private bool IsAvailable(ushort flags) => PackedInflight.IsAvailable(flags, _available.Wrap);

    private void Reserve(int count)
    {
        if (_list.Length < count)
        {
            Array.Resize(ref _list, Math.Max(count, Math.Min(2 * _list.Length, Size)));
        }
    }

    // the driver makes a list available by its head, which it writes last
    private int CopyList()
    {
        int index = _available.Index;
        for (int count = 1; ; count++)
        {
            Reserve(count);
            var descriptor = Descriptor.Read(_ring + (Descriptor.Size * index));
            _list[count - 1] = descriptor;
            if ((descriptor.PackedFlags & DescriptorFlags.Next) == 0)
            {
                return count;
            }

            if (count == Size)
            {
                throw new RingException($"the list at descriptor {_available.Index} does not end: the ring has {Size}");
            }

            index = index + 1 == Size ? 0 : index + 1;
        }
    }

    private void Fill(DescriptorChain chain, int count)
    {
        for (int i = 0; i < count; i++)
        {
            var descriptor = _list[i];
            if ((descriptor.PackedFlags & DescriptorFlags.Indirect) == 0)
            {
                chain.Add(Memory, descriptor, (descriptor.PackedFlags & DescriptorFlags.Write) != 0);
            }
            else if (i == count - 1)
            {
                FillFromTable(chain, descriptor);
            }
            else
            {
                throw new RingException($"an indirect table at 0x{descriptor.Address:x} before its list's end");
            }
        }

        chain.Id = _list[count - 1].Id;
        chain.RingDescriptors = count;
    }

    // 2.8.7: all of the table, in order; only WRITE counts
    private void FillFromTable(DescriptorChain chain, in Descriptor place)
    {
        byte* table = LocateTable(place, out int count);
        for (int i = 0; i < count; i++)
        {
            var descriptor = Descriptor.Read(table + (Descriptor.Size * i));
            if ((descriptor.PackedFlags & DescriptorFlags.Indirect) != 0)
            {
                throw new RingException($"an indirect table within the one at 0x{place.Address:x}");
            }

            chain.Add(Memory, descriptor, (descriptor.PackedFlags & DescriptorFlags.Write) != 0);
        }
    }
}
