using System.Runtime.InteropServices;
using Paddock.Block;
using Paddock.Qcow2.Format;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The zone table on the storage and how it follows the zones: which sectors differ, what a flush may write, and the write ahead
/// of a reset.
/// Guarded by the device's lock but for the I/O, which the image's metadata mutex serialises.
/// </summary>
internal sealed class ZonePointerTable
{
    private const int SectorBytes = 512;
    private const int ZonesPerSector = SectorBytes / ZoneTableFormat.EntrySize;

    /// <summary>No sectors; nobody adds any.</summary>
    public static readonly List<int> NoSectors = [];

    private readonly IStorage _storage;
    private ZoneTableFormat _format;
    private readonly List<int> _dirty = [];
    private bool[] _isDirty;
    private byte[] _stored;
    private byte[] _record = [];
    private int _recordSize;

    public ZonePointerTable(IStorage storage, HostOffset offset, byte[] stored, ZoneTableFormat format)
    {
        _storage = storage;
        _format = format;
        Offset = offset;
        _stored = stored;
        _isDirty = new bool[(stored.Length + SectorBytes - 1) / SectorBytes];
    }

    /// <summary>Offset of the table in bytes.</summary>
    public HostOffset Offset { get; private set; }

    /// <summary>The bytes that the storage has, or will have when the writes under way are done.</summary>
    public ReadOnlySpan<byte> Stored => _stored;

    public ZoneTableFormat Format => _format;

    /// <summary>The data behind the table, if the storage has any.</summary>
    public ZoneDataRecord? Record { get; private set; }

    /// <summary>Whether the storage may have data behind the table.</summary>
    public bool MayHaveRecord { get; private set; }

    /// <summary>Takes the data that the storage has behind the table.</summary>
    public void TakeRecord(ZoneDataRecord record, byte[] bytes)
    {
        (Record, _record, MayHaveRecord) = (record, bytes, true);
        _recordSize = Math.Max(_recordSize, bytes.Length);
    }

    /// <summary>Something lies behind the table that does not count: the next write clears it.</summary>
    public void SuspectRecord(int size) => (MayHaveRecord, _recordSize) = (true, size);

    /// <summary>Sets a zone's pointer in captured sectors, to which the zone's is added.</summary>
    public void Set(int zone, long pointer, List<int> sectors)
    {
        _format.Write(_stored.AsSpan(zone * ZoneTableFormat.EntrySize), pointer, conventional: false);
        if (!sectors.Contains(zone / ZonesPerSector))
        {
            sectors.Add(zone / ZonesPerSector);
        }
    }

    /// <summary>Clears the place of data behind the table, durably.</summary>
    public async ValueTask ClearRecordAsync()
    {
        await _storage.WriteAsync(Offset.Value + ZoneDataRecord.PlaceFor(_stored.Length), new byte[ZoneDataRecord.EmptySize]);
        await _storage.FlushAsync();
    }

    /// <summary>Writes captured sectors, and data behind the table, in one request that is durable when it completes.</summary>
    /// <param name="durable">The storage.</param>
    /// <param name="sectors">The sectors.</param>
    /// <param name="record">What the data are.</param>
    /// <param name="data">The data.</param>
    public async ValueTask WriteRecordAsync(IDurableStorage durable, List<int> sectors, ZoneDataRecord record, ReadOnlyMemory<byte> data)
    {
        var bytes = record.Build(Offset, data.Span);
        var before = (MayHaveRecord, _recordSize);
        (MayHaveRecord, _recordSize) = (true, Math.Max(_recordSize, bytes.Length));
        try
        {
            await durable.WriteDurablyAsync(Offset.Value + (sectors.Min() * SectorBytes), WithRecord(sectors, bytes));
        }
        catch (BlockException e) when (e.Error == BlockError.NoSpace)
        {
            // nothing was written: later writes of the table must not need the space behind it
            (MayHaveRecord, _recordSize) = before;
            throw;
        }

        TakeRecord(record, bytes);
    }

    /// <summary>Says that a zone's pointer moved.</summary>
    public void MarkDirty(int zone)
    {
        int sector = zone / ZonesPerSector;
        if (!_isDirty[sector])
        {
            _isDirty[sector] = true;
            _dirty.Add(sector);
        }
    }

    /// <summary>Whether the storage may have another pointer for a zone than <see cref="Stored"/>.</summary>
    public bool IsDirty(int zone) => _isDirty[zone / ZonesPerSector];

    /// <summary>
    /// Takes the sectors that differ, with their pointers as they are now: to be written once everything below those pointers is durable.
    /// </summary>
    /// <param name="context">Passed to <paramref name="pointerOf"/>.</param>
    /// <param name="pointerOf">A zone's pointer as far as its data is in the image.</param>
    /// <param name="zones">The zones.</param>
    public List<int> Capture<T>(T context, Func<T, int, long> pointerOf, ZoneSet zones)
    {
        if (_dirty.Count == 0)
        {
            return NoSectors;
        }

        var sectors = new List<int>(_dirty);
        _dirty.Clear();
        foreach (int sector in sectors)
        {
            _isDirty[sector] = false;
            int end = Math.Min((sector + 1) * ZonesPerSector, zones.Count);
            for (int zone = sector * ZonesPerSector; zone < end; zone++)
            {
                if (zones.ConditionOf(zone) is not (ZoneCondition.Offline or ZoneCondition.ReadOnly))
                {
                    var entry = _stored.AsSpan(zone * ZoneTableFormat.EntrySize);
                    _format.Write(entry, pointerOf(context, zone), !zones.Geometry.IsSequential(zone));
                }
            }
        }

        return sectors;
    }

    /// <summary>Sets only these zones' entries back to their starts; returns the sectors in which that changed anything.</summary>
    /// <param name="first">First zone.</param>
    /// <param name="last">Last zone.</param>
    /// <param name="zones">The zones.</param>
    /// <param name="replaced">Takes each zone whose entry changed, with the entry that it had.</param>
    public List<int> CaptureReset(int first, int last, ZoneSet zones, List<(int Zone, ulong Entry)> replaced)
    {
        var sectors = new List<int>();
        Span<byte> entry = stackalloc byte[ZoneTableFormat.EntrySize];
        for (int zone = first; zone <= last; zone++)
        {
            _format.Write(entry, zones.StartOf(zone), conventional: false);
            var stored = _stored.AsSpan(zone * ZoneTableFormat.EntrySize, ZoneTableFormat.EntrySize);
            if (!stored.SequenceEqual(entry))
            {
                replaced.Add((zone, MemoryMarshal.Read<ulong>(stored)));
                entry.CopyTo(stored);
                int sector = zone / ZonesPerSector;
                if (sectors.Count == 0 || sectors[^1] != sector)
                {
                    sectors.Add(sector);
                }
            }
        }

        return sectors;
    }

    /// <summary>Whether a zone's entry lies in its zone.</summary>
    public bool IsValid(int zone, ZoneSet zones) => _format.TryRead(_stored, zone, zones, out _);

    /// <summary>A zone's pointer as the storage has it, or will have it when the writes under way are done.</summary>
    /// <exception cref="ZoneException">The entry is corrupt.</exception>
    public long PointerOf(int zone, ZoneSet zones)
        => _format.TryRead(_stored, zone, zones, out long pointer)
            ? pointer
            : throw new ZoneException(
                ZoneError.Offline, zone,
                $"zone {zone} is offline because its entry in the zone table is corrupt: repair the image with 'check -r all'");

    /// <summary>Whether the storage has a zone's entry as it is in memory.</summary>
    public async ValueTask<bool> IsStoredAsync(int zone)
    {
        int at = zone * ZoneTableFormat.EntrySize;
        var entry = new byte[ZoneTableFormat.EntrySize];
        await _storage.ReadAsync(Offset.Value + at, entry);
        return entry.AsSpan().SequenceEqual(_stored.AsSpan(at, ZoneTableFormat.EntrySize));
    }

    /// <summary>Puts an entry back that <see cref="CaptureReset"/> replaced.</summary>
    public void Restore(int zone, ulong entry) => MemoryMarshal.Write(_stored.AsSpan(zone * ZoneTableFormat.EntrySize), entry);

    /// <summary>Puts captured sectors back to be written another time: their write failed.</summary>
    public void MarkSectorsDirty(List<int> sectors)
    {
        foreach (int sector in sectors)
        {
            MarkDirty(sector * ZonesPerSector);
        }
    }

    /// <summary>Writes captured sectors, adjoining ones in one request.</summary>
    /// <param name="sectors">The sectors.</param>
    /// <param name="endsRecord">Whether data behind the table do not count any more.</param>
    public async ValueTask WriteAsync(List<int> sectors, bool endsRecord = false)
    {
        if (MayHaveRecord)
        {
            await WriteWithRecordAsync(sectors, endsRecord);
            return;
        }

        sectors.Sort();
        for (int i = 0; i < sectors.Count;)
        {
            int run = 1;
            while (i + run < sectors.Count && sectors[i + run] == sectors[i] + run)
            {
                run++;
            }

            int at = sectors[i] * SectorBytes;
            int length = Math.Min(run * SectorBytes, _stored.Length - at);
            await _storage.OnEventAsync("zone_table_update");
            await _storage.WriteAsync(Offset.Value + at, _stored.AsMemory(at, length));
            i += run;
        }
    }

    /// <summary>Takes the table's new place, size and format.</summary>
    public void Move(HostOffset offset, byte[] stored, ZoneTableFormat format)
    {
        _format = format;
        Offset = offset;
        _stored = stored;
        _dirty.Clear();
        _isDirty = new bool[(stored.Length + SectorBytes - 1) / SectorBytes];
        ForgetRecord();
    }

    private void ForgetRecord() => (Record, _record, _recordSize, MayHaveRecord) = (null, [], 0, false);

    // in one request: data must not outlive the pointer that is their end, or come to count when it has the same value again
    private async ValueTask WriteWithRecordAsync(List<int> sectors, bool endsRecord)
    {
        if (sectors.Count == 0)
        {
            sectors = [(_stored.Length - 1) / SectorBytes];
        }

        bool stays = !endsRecord && Record is { } record && HasPointer(record.Zone, record.End);
        await _storage.OnEventAsync("zone_table_update");
        await WriteAtomicallyAsync(
            Offset.Value + (sectors.Min() * SectorBytes), WithRecord(sectors, stays ? _record : new byte[_recordSize]));
        if (!stays)
        {
            ForgetRecord();
        }
    }

    // a power cut within a reset must not leave the pointer without its data
    private ValueTask WriteAtomicallyAsync(long offset, byte[] bytes)
    {
        long end = offset + bytes.Length;
        return _storage is IDurableStorage { DurableBlock: > 0 and var block } durable && end <= _storage.Length
            && offset / block == (end - 1) / block
            ? durable.WriteDurablyAsync(offset, bytes) : _storage.WriteAsync(offset, bytes);
    }

    private bool HasPointer(int zone, long pointer)
    {
        Span<byte> entry = stackalloc byte[ZoneTableFormat.EntrySize];
        _format.Write(entry, pointer, conventional: false);
        return entry.SequenceEqual(_stored.AsSpan(zone * ZoneTableFormat.EntrySize, ZoneTableFormat.EntrySize));
    }

    private byte[] WithRecord(List<int> sectors, byte[] record)
    {
        int at = sectors.Min() * SectorBytes, place = ZoneDataRecord.PlaceFor(_stored.Length);
        var bytes = new byte[place + record.Length - at];
        _stored.AsSpan(at).CopyTo(bytes);
        record.CopyTo(bytes, place - at);
        return bytes;
    }
}
