namespace Paddock.VhostUser.Rings;

/// <summary>
/// Requests in flight of a packed ring (vhost-user, "Inflight I/O tracking"), little-endian:
/// <code>
/// OFFSET      SIZE MEANING
///      0         8 features: 0
///      8         2 version: 1; 0 where nothing was recorded yet
///     10         2 how many entries follow
///     12         2 head of the list of free entries
///     14         2 the same, as of the last step that was done whole
///     16         2 used index of the descriptor ring
///     18         2 the same, as of the last step that was done whole
///     20         1 the device's wrap counter
///     21         1 the same, as of the last step that was done whole
///     22        10 reserved
///     32 32 x size entries:
///      0         1   1: this entry begins a request that is in flight
///      1         1   reserved
///      2         2   next entry, of the list or of the free list; the number of entries ends it
///      4         2   last entry of the list
///      6         2   descriptors of the list
///      8         8   counter: the order in which they were taken
///     16         2   buffer id
///     18         2   flags
///     20         4   length
///     24         8   address
/// </code>
/// </summary>
/// <remarks>
/// Written by a previous process, or by any process with the file: values are checked when read and kept here where possible.
/// </remarks>
internal sealed unsafe class PackedInflight
{
    private const int VersionOffset = 8, CountOffset = 10, FreeOffset = 12, OldFreeOffset = 14, UsedOffset = 16, OldUsedOffset = 18;
    private const int WrapOffset = 20, OldWrapOffset = 21, HeaderSize = 32;
    private const int NextOffset = 2, LastOffset = 4, NumberOffset = 6, CounterOffset = 8;
    private const int IdOffset = 16, FlagsOffset = 18, LengthOffset = 20, AddressOffset = 24, EntrySize = 32;
    private const ushort Version = 1;

    private readonly byte* _region;
    private readonly int _size;
    private readonly int _count;
    private readonly ushort[] _last;
    private ushort _free;
    private readonly AppendNotes? _notes;
    private ulong _counter;

    /// <summary>Opens the record, or initializes an empty one.</summary>
    /// <exception cref="RingException">The record has another version or ring size.</exception>
    public PackedInflight(InflightRegion region, int size, RingPosition used)
    {
        _region = (byte*)region.Start;
        if (region.Length < BytesFor(size) || ((nuint)_region & (sizeof(ulong) - 1)) != 0)
        {
            throw new RingException(
                $"the record of requests in flight has {region.Length} bytes: {BytesFor(size)} are needed, aligned to 8");
        }

        ushort version = Volatile.Read(ref Short(VersionOffset));
        IsNew = version == 0;
        if (IsNew)
        {
            Begin(size, used);
        }
        else if (version != Version)
        {
            throw new RingException($"the record of requests in flight has version {version}: {Version} is known");
        }

        _size = size;
        _count = Short(CountOffset);
        if (_count < size || region.Length < BytesFor(_count))
        {
            throw new RingException(
                $"the record of requests in flight is of {_count} descriptors in {region.Length} bytes: the ring has {size}");
        }

        _last = new ushort[_count];
        _notes = region.Notes == 0 || _count > size ? null : new AppendNotes(region.Notes, size);
        if (IsNew)
        {
            _notes?.Keep(static _ => false);
        }
    }

    /// <summary>Whether the record was empty.</summary>
    public bool IsNew { get; }

    /// <summary>Size in bytes for a ring.</summary>
    public static int BytesFor(int size) => HeaderSize + (EntrySize * size);

    /// <summary>Whether a descriptor is available in the lap of a wrap counter (virtio 1.2, 2.8.1).</summary>
    public static bool IsAvailable(ushort flags, bool wrap)
        => ((flags & (ushort)DescriptorFlags.Available) != 0) == wrap && ((flags & (ushort)DescriptorFlags.Used) != 0) != wrap;

    /// <summary>Finishes or undoes an interrupted completion of a previous process, and returns its requests in flight.</summary>
    /// <param name="flagsAt">Reads a descriptor's flags in the ring.</param>
    /// <param name="used">Where the next used descriptor goes.</param>
    /// <returns>Requests, in the order in which they were taken.</returns>
    public Replay[] Recover(Func<int, ushort> flagsAt, out RingPosition used)
    {
        var old = Position(Short(OldUsedOffset), _region[OldWrapOffset]);
        var now = Position(Short(UsedOffset), _region[WrapOffset]);
        if (old != now && !IsAvailable(flagsAt(old.Index), old.Wrap))
        {
            // the driver may have seen it
            Commit(now);
            old = now;
        }

        _free = Short(OldFreeOffset);
        Short(FreeOffset) = _free;
        Short(UsedOffset) = (ushort)old.Index;
        _region[WrapOffset] = (byte)(old.Wrap ? 1 : 0);
        used = old;
        ClearFree();
        return Find();
    }

    /// <summary>Where the append of an entry was about to land.</summary>
    public AppendNote? NoteOf(int entry) => _notes?.Find(entry, Long(entry, CounterOffset));

    /// <summary>The append of an entry is about to land.</summary>
    public void Note(int entry, AppendNote note) => _notes?.Set(entry, Long(entry, CounterOffset), note);

    /// <summary>It was completed.</summary>
    public void Forget(int entry) => _notes?.Clear(entry);

    /// <summary>A request was taken.</summary>
    /// <returns>The entry that keeps it.</returns>
    /// <exception cref="RingException">The list of free entries is damaged.</exception>
    public int Take(ReadOnlySpan<Descriptor> list)
    {
        ushort head = Checked(_free);
        Short(head, NumberOffset) = 0;
        Long(head, CounterOffset) = _counter++;
        Volatile.Write(ref Flag(head), 1);
        ushort free = head, last = head;
        foreach (ref readonly var descriptor in list)
        {
            last = Checked(free);
            Short(head, NumberOffset)++;
            Long(last, AddressOffset) = descriptor.Address;
            Word(last, LengthOffset) = descriptor.Length;
            Short(last, FlagsOffset) = (ushort)descriptor.PackedFlags;
            Short(last, IdOffset) = descriptor.Id;
            free = Short(last, NextOffset);
            Short(FreeOffset) = free;
        }

        Short(head, LastOffset) = last;
        _last[head] = last;
        _free = free;
        Volatile.Write(ref Short(OldFreeOffset), free);
        return head;
    }

    /// <summary>A request is about to be completed in the ring.</summary>
    /// <param name="entry">What <see cref="Take"/> returned.</param>
    /// <param name="next">Where the ring's next used descriptor will go.</param>
    public void BeginComplete(int entry, RingPosition next)
    {
        Short(_last[entry], NextOffset) = _free;
        _free = (ushort)entry;
        Volatile.Write(ref Short(FreeOffset), _free);
        Volatile.Write(ref Short(UsedOffset), (ushort)next.Index);
        Volatile.Write(ref _region[WrapOffset], (byte)(next.Wrap ? 1 : 0));
    }

    /// <summary>The driver may see it.</summary>
    public void EndComplete(int entry, RingPosition next)
    {
        Volatile.Write(ref Flag(entry), 0);
        Commit(next);
    }

    private void Begin(int size, RingPosition used)
    {
        new Span<byte>(_region, BytesFor(size)).Clear();
        for (int i = 0; i < size; i++)
        {
            Short(i, NextOffset) = (ushort)(i + 1);
        }

        Short(CountOffset) = (ushort)size;
        Short(UsedOffset) = (ushort)used.Index;
        _region[WrapOffset] = (byte)(used.Wrap ? 1 : 0);
        Commit(used);
        Volatile.Write(ref Short(VersionOffset), Version);
    }

    private void Commit(RingPosition used)
    {
        Volatile.Write(ref Short(OldFreeOffset), Short(FreeOffset));
        Volatile.Write(ref Short(OldUsedOffset), (ushort)used.Index);
        Volatile.Write(ref _region[OldWrapOffset], (byte)(used.Wrap ? 1 : 0));
    }

    // what is on the free list is not in flight, whatever its flag says: it was being taken, or was completed
    private void ClearFree()
    {
        int entry = _free;
        for (int steps = 0; entry != _count; steps++)
        {
            if (entry > _count || steps == _count)
            {
                throw new RingException($"the record of requests in flight has a list of free entries that goes to {entry}, or loops");
            }

            Flag(entry) = 0;
            entry = Short(entry, NextOffset);
        }
    }

    private Replay[] Find()
    {
        var found = new List<(ulong Counter, int Entry)>();
        for (int entry = 0; entry < _count; entry++)
        {
            if (Flag(entry) != 0)
            {
                found.Add((Long(entry, CounterOffset), entry));
            }
            else
            {
                // counters restart: a record of an earlier request must not match a later one
                Forget(entry);
            }
        }

        found.Sort();
        _counter = found.Count == 0 ? 0 : found[^1].Counter + 1;
        int left = _size;
        var replays = new Replay[found.Count];
        for (int i = 0; i < replays.Length; i++)
        {
            replays[i] = Load(found[i].Entry, ref left);
        }

        return replays;
    }

    private Replay Load(int head, ref int left)
    {
        int count = Short(head, NumberOffset);
        left -= count;
        if (count == 0 || left < 0)
        {
            throw new RingException(
                $"the record of requests in flight has one of {count} descriptors: too many for a ring of {_size}, or none");
        }

        var list = new Descriptor[count];
        int entry = head;
        for (int i = 0; i < count; i++)
        {
            Checked(entry);
            list[i] = new Descriptor(
                Long(entry, AddressOffset), Word(entry, LengthOffset), Short(entry, IdOffset), Short(entry, FlagsOffset));
            _last[head] = (ushort)entry;
            entry = Short(entry, NextOffset);
        }

        return new Replay(head, list);
    }

    private RingPosition Position(ushort index, byte wrap) => index < _size ? new RingPosition(index, wrap != 0)
        : throw new RingException($"the record of requests in flight ends at used index {index}: the ring has {_size}");

    private ushort Checked(int entry) => entry < _count ? (ushort)entry
        : throw new RingException($"the record of requests in flight goes on at entry {entry}: it has {_count}");

    private ref ushort Short(int offset) => ref *(ushort*)(_region + offset);

    private ref byte Flag(int entry) => ref _region[HeaderSize + (EntrySize * entry)];

    private ref ushort Short(int entry, int field) => ref *(ushort*)(_region + HeaderSize + (EntrySize * entry) + field);

    private ref uint Word(int entry, int field) => ref *(uint*)(_region + HeaderSize + (EntrySize * entry) + field);

    private ref ulong Long(int entry, int field) => ref *(ulong*)(_region + HeaderSize + (EntrySize * entry) + field);

    /// <summary>A request that was in flight.</summary>
    /// <param name="Entry">The entry that keeps it.</param>
    /// <param name="Descriptors">Its descriptors in the ring.</param>
    internal readonly record struct Replay(int Entry, Descriptor[] Descriptors)
    {
        /// <summary>How many of the ring's descriptors it takes.</summary>
        public int Count => Descriptors.Length;
    }
}
