using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// The active L1 table: which L2 table maps which part of the disk. All of it is in memory. Read at any time; changed under the
/// image's metadata mutex.
/// </summary>
internal sealed class L1Table(IStorage storage, ImageHeader header, ulong[] entries) : IFlushStage
{
    private readonly ClusterGeometry _geometry = header.Geometry;
    private readonly SortedSet<int> _dirty = [];
    private ulong[] _entries = entries;
    private volatile SharedTables? _pending;

    /// <summary>Number of entries.</summary>
    public int Count => _entries.Length;

    /// <inheritdoc/>
    public bool IsDue => _dirty.Count > 0;

    /// <summary>Offset of the table in bytes.</summary>
    public HostOffset Offset => new((long)header.Fields.L1Offset);

    /// <summary>Where the L2 tables lie, none for entries without one.</summary>
    public IEnumerable<HostOffset> Tables => _entries.Select(static entry => new HostOffset((long)(entry & L2Entry.OffsetMask)));

    /// <summary>Tables that a snapshot in the making shares with the disk, and whose counts it has not raised yet; null: none.</summary>
    /// <remarks>Set while no request holds a guest cluster.</remarks>
    public SharedTables? Pending
    {
        get => _pending;
        set => _pending = value;
    }

    /// <summary>Reads the table that a header names.</summary>
    public static ValueTask<ulong[]> ReadAsync(IStorage storage, Qcow2Header header, CancellationToken cancellationToken)
        => ReadAsync(storage, new((long)header.L1Offset), header.L1Entries, cancellationToken);

    /// <summary>Reads a table from the storage.</summary>
    public static async ValueTask<ulong[]> ReadAsync(
        IStorage storage, HostOffset offset, uint count, CancellationToken cancellationToken)
    {
        var bytes = new byte[count * 8L];
        await storage.ReadAsync(offset.Value, bytes, cancellationToken);
        var entries = new ulong[count];
        for (int i = 0; i < entries.Length; i++)
        {
            entries[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        }

        return entries;
    }

    /// <inheritdoc/>
    public void Begin()
    {
    }

    /// <summary>The L2 table that maps an offset, as the entry has it; none if the entry is empty.</summary>
    public HostOffset Find(GuestOffset offset)
    {
        var entries = Volatile.Read(ref _entries);
        long index = _geometry.L1Index(offset);
        return index < entries.Length ? new((long)(Volatile.Read(ref entries[index]) & L2Entry.OffsetMask)) : default;
    }

    /// <summary>The L2 table that maps an offset, checked; none if the entry is empty.</summary>
    /// <exception cref="ImageCorruptException">Its offset is not that of a cluster.</exception>
    public HostOffset Get(GuestOffset offset)
    {
        var table = Find(offset);
        return _geometry.InCluster(table) == 0
            ? table
            : throw new ImageCorruptException(
                "L1 table", Offset, $"L2 table offset {table} unaligned (L1 index: 0x{_geometry.L1Index(offset):x})");
    }

    /// <summary>Whether the L2 table of an offset, which is there, belongs to this image's active state alone.</summary>
    public bool IsOwn(GuestOffset offset) => (_entries[_geometry.L1Index(offset)] & L2Entry.CopiedFlag) != 0;

    /// <summary>Sets the L2 table of an offset: one that is this image's own, or none.</summary>
    public void Set(GuestOffset offset, HostOffset table)
    {
        int index = (int)_geometry.L1Index(offset);
        Volatile.Write(ref _entries[index], table.IsNone ? 0 : (ulong)table.Value | L2Entry.CopiedFlag);
        _dirty.Add(index);
    }

    /// <summary>The L2 table of an entry; none if the entry is empty.</summary>
    public HostOffset TableAt(int index) => new((long)(_entries[index] & L2Entry.OffsetMask));

    /// <summary>Sets whether the L2 table of an entry, which is there, belongs to the active state alone.</summary>
    public void SetOwn(int index, bool isOwn)
    {
        ulong entry = isOwn ? _entries[index] | L2Entry.CopiedFlag : _entries[index] & ~L2Entry.CopiedFlag;
        if (entry != _entries[index])
        {
            Volatile.Write(ref _entries[index], entry);
            _dirty.Add(index);
        }
    }

    /// <summary>The entries, for a table that shares all L2 tables with this one.</summary>
    public ulong[] Copy() => Array.ConvertAll(_entries, static entry => entry & ~L2Entry.CopiedFlag);

    /// <summary>The header names another table: it is the one in use from now on.</summary>
    public void Replace(ulong[] entries)
    {
        _dirty.Clear();
        Volatile.Write(ref _entries, entries);
    }

    /// <summary>The table has no entries on the storage any more.</summary>
    public void Clear()
    {
        Array.Clear(_entries);
        _dirty.Clear();
    }

    /// <summary>The table with more entries, as bytes for a new place.</summary>
    public byte[] Extended(long entries)
    {
        var extended = new ulong[entries];
        _entries.CopyTo(extended, 0);
        return Bytes(extended);
    }

    /// <summary>A table as it is stored.</summary>
    public static byte[] Bytes(ReadOnlySpan<ulong> entries)
    {
        var bytes = new byte[entries.Length * 8];
        for (int i = 0; i < entries.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), entries[i]);
        }

        return bytes;
    }

    /// <summary>The header names the place of an extended table: it is the one in use from now on.</summary>
    public void Extend(long entries)
    {
        var extended = new ulong[entries];
        _entries.CopyTo(extended, 0);
        Volatile.Write(ref _entries, extended);
    }

    /// <inheritdoc/>
    public async ValueTask WriteAsync()
    {
        // a sector at a time: entries beside a changed one stay as they are
        const int PerSector = 64;
        var bytes = new byte[PerSector * 8];
        int lastSector = -1;
        foreach (int index in _dirty)
        {
            int sector = index / PerSector;
            if (sector == lastSector)
            {
                continue;
            }

            lastSector = sector;
            int count = Math.Min(PerSector, _entries.Length - (sector * PerSector));
            for (int i = 0; i < count; i++)
            {
                BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), _entries[(sector * PerSector) + i]);
            }

            await storage.OnEventAsync("l1_update");
            await storage.WriteAsync(Offset.Value + ((long)sector * PerSector * 8), bytes.AsMemory(0, count * 8));
        }

        _dirty.Clear();
    }
}
