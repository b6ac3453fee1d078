namespace Paddock.VhostUser.Rings;

/// <summary>
/// Requests in flight of a split ring (vhost-user, "Inflight I/O tracking"), little-endian:
/// <code>
/// OFFSET      SIZE MEANING
///      0         8 features: 0
///      8         2 version: 1; 0 where nothing was recorded yet
///     10         2 how many descriptors follow
///     12         2 head of the last batch that was completed
///     14         2 used idx after the last batch
///     16 16 x size descriptors:
///      0         1   1: this head is in flight
///      1         5   reserved
///      6         2   next of the batch
///      8         8   counter: the order in which they were taken
/// </code>
/// </summary>
/// <remarks>Written by a previous process, or by any process with the file: values are checked when read.</remarks>
internal sealed unsafe class SplitInflight
{
    private const int VersionOffset = 8, CountOffset = 10, BatchOffset = 12, UsedOffset = 14, HeaderSize = 16;
    private const int NextOffset = 6, CounterOffset = 8, EntrySize = 16;
    private const ushort Version = 1;

    private readonly byte* _region;
    private readonly int _count;
    private readonly AppendNotes? _notes;
    private ulong _counter;

    /// <summary>Opens the record, or initializes an empty one.</summary>
    /// <exception cref="RingException">The record has another version or ring size.</exception>
    public SplitInflight(InflightRegion region, int size)
    {
        _region = (byte*)region.Start;
        if (region.Length < BytesFor(size) || ((nuint)_region & (EntrySize / 2 - 1)) != 0)
        {
            throw new RingException(
                $"the record of requests in flight has {region.Length} bytes: {BytesFor(size)} are needed, aligned to 8");
        }

        ushort version = Volatile.Read(ref Short(VersionOffset));
        IsNew = version == 0;
        if (IsNew)
        {
            new Span<byte>(_region, BytesFor(size)).Clear();
            Short(CountOffset) = (ushort)size;
            Volatile.Write(ref Short(VersionOffset), Version);
        }
        else if (version != Version)
        {
            throw new RingException($"the record of requests in flight has version {version}: {Version} is known");
        }

        _count = size;
        _notes = region.Notes == 0 ? null : new AppendNotes(region.Notes, size);
        if (IsNew)
        {
            _notes?.Keep(static _ => false);
        }

        if (Short(CountOffset) < size)
        {
            throw new RingException($"the record of requests in flight is of {Short(CountOffset)} descriptors: the ring has {size}");
        }
    }

    /// <summary>Whether the record was empty.</summary>
    public bool IsNew { get; }

    /// <summary>Size in bytes for a ring.</summary>
    public static int BytesFor(int size) => HeaderSize + (EntrySize * size);

    /// <summary>Finishes an interrupted completion of a previous process, and returns its requests in flight.</summary>
    /// <param name="used">The used ring's idx.</param>
    /// <returns>Heads, in the order in which they were taken.</returns>
    public ushort[] Recover(ushort used)
    {
        if (IsNew)
        {
            Short(UsedOffset) = used;
            return [];
        }

        EndBatch(used);
        var found = new List<(ulong Counter, ushort Head)>();
        for (int head = 0; head < _count; head++)
        {
            if (Flag(head) != 0)
            {
                found.Add((Counter(head), (ushort)head));
            }
            else
            {
                // counters restart: a record of an earlier request must not match a later one
                Forget(head);
            }
        }

        found.Sort();
        _counter = found.Count == 0 ? 0 : found[^1].Counter + 1;
        return [.. found.Select(f => f.Head)];
    }

    /// <summary>Where the append of an entry was about to land.</summary>
    public AppendNote? NoteOf(int entry) => _notes?.Find(entry, Counter(entry));

    /// <summary>The append of an entry is about to land.</summary>
    public void Note(int entry, AppendNote note) => _notes?.Set(entry, Counter(entry), note);

    /// <summary>It was completed.</summary>
    public void Forget(int entry) => _notes?.Clear(entry);

    /// <summary>A request was taken.</summary>
    public void Take(ushort head)
    {
        Counter(head) = _counter++;
        Volatile.Write(ref Flag(head), 1);
    }

    /// <summary>The used entry of a request is written; the idx of the ring follows.</summary>
    public void BeginComplete(ushort head)
    {
        Next(head) = Short(BatchOffset);
        Volatile.Write(ref Short(BatchOffset), head);
    }

    /// <summary>The idx of the ring is written.</summary>
    public void EndComplete(ushort head, ushort used)
    {
        Volatile.Write(ref Flag(head), 0);
        Volatile.Write(ref Short(UsedOffset), used);
    }

    // between the ring's idx and our own lie those whose flags may not have been cleared
    private void EndBatch(ushort used)
    {
        int batch = (ushort)(used - Short(UsedOffset));
        if (batch > _count && Enumerable.Range(0, _count).Any(h => Flag(h) != 0))
        {
            throw new RingException($"the record of requests in flight ends at used idx {Short(UsedOffset)}, the ring at {used}");
        }

        if (batch <= _count)
        {
            for (ushort head = Short(BatchOffset); batch > 0; batch--)
            {
                if (head >= _count)
                {
                    throw new RingException($"the record of requests in flight names descriptor {head}: the ring has {_count}");
                }

                Flag(head) = 0;
                head = Next(head);
            }
        }

        Volatile.Write(ref Short(UsedOffset), used);
    }

    private ref ushort Short(int offset) => ref *(ushort*)(_region + offset);

    private ref byte Flag(int head) => ref _region[HeaderSize + (EntrySize * head)];

    private ref ushort Next(int head) => ref *(ushort*)(_region + HeaderSize + (EntrySize * head) + NextOffset);

    private ref ulong Counter(int head) => ref *(ulong*)(_region + HeaderSize + (EntrySize * head) + CounterOffset);
}
