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
    public async ValueTask WriteAsync(List<int> sectors)
    {
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
    }
}
