using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Paddock.Block;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// A bounded cache of table slices (parts of L2 tables or refcount blocks), keyed by their offset in the storage, kept as the
/// big-endian bytes of the storage.
/// </summary>
/// <remarks>
/// Two locks guard it. Loading, changing, evicting and writing back need the image's metadata mutex (see <see cref="EngineLocks"/>); I/O
/// happens under that mutex only. The short <see cref="Lock"/> in here lets readers look up entries without the mutex while slices come
/// and go.
/// </remarks>
internal sealed class MetadataCache
{
    /// <summary>Slices beyond the limit that are loaded while dirty ones cannot be written back.</summary>
    private const int SpareSlots = 8;

    /// <summary>Most bytes in one write: beyond 64 KiB a longer one is hardly faster.</summary>
    private const int MaxRequestBytes = 256 << 10;

    private readonly IStorage _storage;
    private readonly Lock _lock = new();
    private readonly Dictionary<long, int> _index = [];
    private readonly List<Slot> _slots = [];

    // the slices of the write-back that is running; the metadata mutex admits one
    private readonly List<Slot> _writing = [];
    private readonly int _maxSlots;
    private readonly string _writeEvent;
    private readonly string? _loadEvent;
    private int _hand;
    private int _dirtyCount;

    /// <param name="storage">Where the tables lie.</param>
    /// <param name="sliceBytes">Size of a slice: a power of two, at most a cluster.</param>
    /// <param name="maxBytes">Memory that the slices may take; at least four slices are always allowed.</param>
    /// <param name="loadEvent">Name of the fault point before a load.</param>
    /// <param name="writeEvent">Name of the fault point before a write-back.</param>
    public MetadataCache(IStorage storage, int sliceBytes, long maxBytes, string? loadEvent, string writeEvent)
    {
        _storage = storage;
        SliceBytes = sliceBytes;
        _maxSlots = (int)Math.Clamp(maxBytes / sliceBytes, 4, 1 << 24);
        _loadEvent = loadEvent;
        _writeEvent = writeEvent;
    }

    /// <summary>Size of a slice in bytes.</summary>
    public int SliceBytes { get; }

    /// <summary>True when a slice differs from the storage.</summary>
    public bool HasDirty => Volatile.Read(ref _dirtyCount) > 0;

    /// <summary>The bytes of a cached slice, to be used only inside <paramref name="scope"/>, which the caller disposes.</summary>
    public bool TryGet(long offset, out ReadOnlySpan<byte> bytes, out Lock.Scope scope)
    {
        scope = _lock.EnterScope();
        ref int slot = ref CollectionsMarshal.GetValueRefOrNullRef(_index, offset);
        if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref slot))
        {
            bytes = default;
            return false;
        }

        var entry = _slots[slot];
        entry.Used = true;
        bytes = entry.Bytes;
        return true;
    }

    /// <summary>
    /// The bytes of a slice, loaded when needed. Valid until the next load, under the metadata mutex; changes go through
    /// <see cref="Set64"/>, <see cref="SetPair"/> or <see cref="MarkDirty"/>.
    /// </summary>
    /// <param name="offset">Where the slice lies; a multiple of the slice size.</param>
    /// <param name="makeRoom">Writes dirty slices back in a safe order; called when a dirty slice must go.</param>
    public ValueTask<byte[]> GetAsync(long offset, Func<ValueTask> makeRoom)
    {
        lock (_lock)
        {
            if (_index.TryGetValue(offset, out int slot))
            {
                _slots[slot].Used = true;
                return ValueTask.FromResult(_slots[slot].Bytes);
            }
        }

        return LoadAsync(offset, makeRoom, read: true);
    }

    /// <summary>A slice of zeroes for a table that is new: nothing is read.</summary>
    public ValueTask<byte[]> CreateAsync(long offset, Func<ValueTask> makeRoom)
    {
        Forget(offset);
        return LoadAsync(offset, makeRoom, read: false);
    }

    /// <summary>Changes one 8-byte big-endian entry of a cached slice.</summary>
    public void Set64(long offset, int entry, ulong value)
    {
        lock (_lock)
        {
            var slot = _slots[_index[offset]];
            BinaryPrimitives.WriteUInt64BigEndian(slot.Bytes.AsSpan(entry * 8), value);
            SetDirty(slot);
        }
    }

    /// <summary>Replaces the bytes of a cached slice.</summary>
    public void Replace(long offset, ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            var slot = _slots[_index[offset]];
            bytes.CopyTo(slot.Bytes);
            SetDirty(slot);
        }
    }

    /// <summary>Changes two 8-byte big-endian entries of a cached slice, so that readers see both or neither.</summary>
    public void SetPair(long offset, int pair, ulong first, ulong second)
    {
        lock (_lock)
        {
            var slot = _slots[_index[offset]];
            var bytes = slot.Bytes.AsSpan(pair * 16);
            BinaryPrimitives.WriteUInt64BigEndian(bytes, first);
            BinaryPrimitives.WriteUInt64BigEndian(bytes[8..], second);
            SetDirty(slot);
        }
    }

    /// <summary>Marks a cached slice that was changed in place.</summary>
    public void MarkDirty(long offset)
    {
        lock (_lock)
        {
            SetDirty(_slots[_index[offset]]);
        }
    }

    /// <summary>Drops the slices of a range without writing them: the table is gone.</summary>
    public void Forget(long offset, long length)
    {
        for (long at = offset; at < offset + length; at += SliceBytes)
        {
            Forget(at);
        }
    }

    /// <summary>Drops everything; dirty slices must have been written.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            _index.Clear();
            _slots.Clear();
            _dirtyCount = 0;
            _hand = 0;
        }
    }

    /// <summary>
    /// Writes every dirty slice in ascending order; adjacent slices go out in one request. A slice stays dirty until its request has
    /// succeeded.
    /// </summary>
    /// <remarks>
    /// The slices are gathered in one buffer: copying them costs less than the vector of a gather write, allocates nothing, and serves
    /// direct I/O too.
    /// </remarks>
    public async ValueTask WriteBackAsync()
    {
        if (!HasDirty)
        {
            return;
        }

        CollectDirty();
        byte[]? gathered = null;
        try
        {
            for (int first = 0, count; first < _writing.Count; first += count)
            {
                count = AdjacentFrom(first);
                await _storage.OnEventAsync(_writeEvent);
                if (count == 1)
                {
                    await _storage.WriteAsync(_writing[first].Offset, _writing[first].Bytes);
                }
                else
                {
                    gathered ??= ArrayPool<byte>.Shared.Rent(MaxRequestBytes);
                    for (int i = 0; i < count; i++)
                    {
                        _writing[first + i].Bytes.CopyTo(gathered, i * SliceBytes);
                    }

                    await _storage.WriteAsync(_writing[first].Offset, gathered.AsMemory(0, count * SliceBytes));
                }

                SetClean(first, count);
            }
        }
        finally
        {
            _writing.Clear();
            if (gathered is not null)
            {
                ArrayPool<byte>.Shared.Return(gathered);
            }
        }
    }

    /// <summary>Puts the dirty slices in <see cref="_writing"/>, sorted by offset.</summary>
    private void CollectDirty()
    {
        foreach (var slot in _slots)
        {
            if (slot.Dirty)
            {
                _writing.Add(slot);
            }
        }

        _writing.Sort(static (a, b) => a.Offset.CompareTo(b.Offset));
    }

    /// <summary>Number of slices from <paramref name="first"/> on that adjoin each other and fit one request.</summary>
    private int AdjacentFrom(int first)
    {
        int last = Math.Min(_writing.Count, first + Math.Max(1, MaxRequestBytes / SliceBytes));
        int next = first + 1;
        while (next < last && _writing[next].Offset == _writing[next - 1].Offset + SliceBytes)
        {
            next++;
        }

        return next - first;
    }

    private void SetClean(int first, int count)
    {
        for (int i = first; i < first + count; i++)
        {
            _writing[i].Dirty = false;
        }

        _dirtyCount -= count;
    }

    private async ValueTask<byte[]> LoadAsync(long offset, Func<ValueTask> makeRoom, bool read)
    {
        var slot = await TakeSlotAsync(makeRoom);
        if (read)
        {
            if (_loadEvent is not null)
            {
                await _storage.OnEventAsync(_loadEvent);
            }

            await _storage.ReadAsync(offset, slot.Bytes);
        }
        else
        {
            slot.Bytes.AsSpan().Clear();
        }

        lock (_lock)
        {
            slot.Offset = offset;
            slot.Used = true;
            _index.Add(offset, slot.Number);
        }

        return slot.Bytes;
    }

    private async ValueTask<Slot> TakeSlotAsync(Func<ValueTask> makeRoom)
    {
        if (_slots.Count < _maxSlots)
        {
            lock (_lock)
            {
                var slot = new Slot(_slots.Count, new byte[SliceBytes]);
                _slots.Add(slot);
                return slot;
            }
        }

        var victim = FindVictim();
        if (victim.Dirty)
        {
            try
            {
                await makeRoom();
            }
            catch (BlockException) when (TryFindSpare(out var spare))
            {
                // reads go on where nothing can be written
                victim = spare;
            }
        }

        Forget(victim.Offset);
        return victim;
    }

    // a slice that differs from the storage stays: nothing else has what is in it
    private bool TryFindSpare(out Slot spare)
    {
        lock (_lock)
        {
            spare = _slots.Find(static s => !s.Dirty)!;
            if (spare is null && _slots.Count < _maxSlots + SpareSlots)
            {
                spare = new Slot(_slots.Count, new byte[SliceBytes]);
                _slots.Add(spare);
            }

            return spare is not null;
        }
    }

    // second chance: a slice that was used since the hand passed stays for another round
    private Slot FindVictim()
    {
        lock (_lock)
        {
            while (true)
            {
                var slot = _slots[_hand];
                _hand = (_hand + 1) % _slots.Count;
                if (!slot.Used || slot.Offset < 0)
                {
                    return slot;
                }

                slot.Used = false;
            }
        }
    }

    private void Forget(long offset)
    {
        lock (_lock)
        {
            if (_index.Remove(offset, out int number))
            {
                var slot = _slots[number];
                slot.Offset = -1;
                slot.Used = false;
                if (slot.Dirty)
                {
                    slot.Dirty = false;
                    _dirtyCount--;
                }
            }
        }
    }

    private void SetDirty(Slot slot)
    {
        if (!slot.Dirty)
        {
            slot.Dirty = true;
            _dirtyCount++;
        }
    }

    private sealed class Slot(int number, byte[] bytes)
    {
        public int Number => number;

        public byte[] Bytes => bytes;

        public long Offset { get; set; } = -1;

        public bool Dirty { get; set; }

        public bool Used { get; set; }
    }
}
