using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// The zone descriptor extensions that an image keeps, each in a slot that one write of a sector changes, and which zones have random write
/// areas, which the slots say too. Changed under the image's metadata mutex; read by whoever holds the zone.
/// </summary>
/// <remarks>
/// A reset must take pointer and extension away at once, and they lie in different sectors. So before the pointer goes back to the
/// start, the slot is made to say that it holds only above the start ("written"); then the pointer's write decides both. What the
/// slot still holds is stale, and is cleared before a later flush lets the pointer of that zone rise again. The pointer of a FULL zone
/// takes the random write area away too; the reset that follows treats what its slot says like that of any other zone.
/// </remarks>
internal sealed class ZoneExtensions
{
    private const int DefaultBytes = ZoneExtensionSlot.Unit;

    private readonly IStorage _storage;
    private readonly ClusterGeometry _geometry;
    private readonly InPlaceWrites _inPlace;
    private readonly ImageTables _places;
    private readonly FlushOrder _order;
    private readonly PaddockTables _tables;
    private readonly int _slotBytes;
    private readonly int _perCluster;
    private readonly HashSet<int> _stale = [];
    private readonly HashSet<int> _uncertainEntries = [];
    private HostOffset[] _clusters = [];
    private ZoneSlot[] _states = [];
    private bool _hasDirectory;

    // of a snapshot that is read; null for the disk itself
    private Dictionary<int, byte[]>? _recorded;
    private int _count;

    public ZoneExtensions(
        IStorage storage, ClusterGeometry geometry, InPlaceWrites inPlace, ImageTables places, FlushOrder order, PaddockTables tables)
    {
        _storage = storage;
        _geometry = geometry;
        _inPlace = inPlace;
        _places = places;
        _order = order;
        _tables = tables;
        Bytes = tables.Extension.ExtensionBytes is > 0 and var bytes ? (int)bytes : DefaultBytes;
        _slotBytes = ZoneExtensionSlot.SizeFor(Bytes);
        _perCluster = ZoneExtensionSlot.ZonesPerCluster(Bytes, geometry.ClusterSize);
    }

    /// <summary>Bytes of each extension.</summary>
    public int Bytes { get; }

    /// <summary>
    /// Reads the directory and its clusters, if there are any, and tells the zones; what is faulty is ignored with a warning.
    /// </summary>
    public async ValueTask LoadAsync(ZoneSet zones, CancellationToken cancellationToken)
    {
        var (offset, bytes) = (_tables.Extension.DirectoryOffset, _tables.Extension.DirectoryBytes);
        if (await _tables.ReadAsync("zone extension directory", offset, bytes, cancellationToken) is not { } directory)
        {
            return;
        }

        if (ZoneExtensionDirectory.TryParse(directory, out string? problem) is not { } clusters)
        {
            _tables.Warn($"the zone extension directory at {offset} is ignored: {problem}");
            return;
        }

        _places.Register(offset, bytes);
        _hasDirectory = true;
        _clusters = clusters;
        _states = new ZoneSlot[zones.Count];
        int bad = 0;
        var cluster = new byte[_geometry.ClusterSize];
        for (int i = 0; i < clusters.Length; i++)
        {
            if (!clusters[i].IsNone && !await ReadClusterAsync(i, cluster, cancellationToken))
            {
                clusters[i] = default;
                bad++;
            }
            else if (!clusters[i].IsNone)
            {
                bad += TakeSlots(i, cluster, zones);
            }
        }

        if (bad > 0)
        {
            _tables.Warn($"{bad} zone descriptor extensions, or clusters of them, are corrupt and ignored (check -r all removes them)");
        }
    }

    /// <summary>Takes the extensions of a snapshot that is read.</summary>
    public void TakeRecord(ZoneRecord record, ZoneSet zones)
    {
        _recorded = record.Extensions.Where(e => e.Zone < zones.Count && e.Data.Length == Bytes)
            .ToDictionary(static e => e.Zone, static e => e.Data);
        foreach (int zone in _recorded.Keys)
        {
            zones.SetLoaded(zone, zones.StoredPointerOf(zone), extended: true);
        }
    }

    /// <summary>Reads a zone's extension, which it has.</summary>
    public async ValueTask ReadAsync(int zone, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (_recorded is not null)
        {
            _recorded[zone].CopyTo(buffer);
            return;
        }

        var slot = new byte[_slotBytes];
        await _storage.ReadAsync(SlotAt(zone).Value, slot, cancellationToken);
        if (ZoneExtensionSlot.Read(slot, zone) is not { Extension: ZoneSlotState.Fresh or ZoneSlotState.Written })
        {
            throw new ImageCorruptException("zone extension", SlotAt(zone), $"the extension of zone {zone} has changed under the image");
        }

        slot.AsMemory(ZoneExtensionSlot.DataAt, Bytes).CopyTo(buffer);
    }

    /// <summary>Gives a zone whose pointer is durably at its start an extension, durably, and a random write area on request.</summary>
    public ValueTask WriteAsync(int zone, ReadOnlyMemory<byte> data, int zoneCount, bool area = false)
        => PutAsync(zone, new ZoneSlot(ZoneSlotState.Fresh, area ? ZoneSlotState.Fresh : ZoneSlotState.None), data, zoneCount);

    /// <summary>
    /// Gives a zone without an extension, whose pointer is durably at its start, a random write area, durably. The zone reads as zeroes,
    /// durably, whatever its pointer.
    /// </summary>
    public ValueTask WriteAreaAsync(int zone, int zoneCount)
        => PutAsync(zone, new ZoneSlot(ZoneSlotState.None, ZoneSlotState.Fresh), default, zoneCount);

    /// <summary>Takes what a slot says of a random write area away, durably: the zone has none, but its condition may change.</summary>
    public async ValueTask EndAreaAsync(int zone)
    {
        if (zone >= _states.Length || _states[zone].Area == ZoneSlotState.None)
        {
            return;
        }

        var next = _states[zone] with { Area = ZoneSlotState.None };
        await _inPlace.WriteAsync(SlotAt(zone), await BuildAsync(zone, next));
        SetState(zone, next);
    }

    private async ValueTask PutAsync(int zone, ZoneSlot state, ReadOnlyMemory<byte> data, int zoneCount)
    {
        var slot = new byte[_slotBytes];
        ZoneExtensionSlot.Write(slot, zone, state, data.Span);
        if (HasSlot(zone))
        {
            // should this fail, the slot may hold it all the same: the next flush clears it
            _stale.Add(zone);
            await _inPlace.WriteAsync(SlotAt(zone), slot);
            _stale.Remove(zone);
        }
        else
        {
            await AddClusterAsync(zone, slot, zoneCount);
        }

        SetState(zone, state);
    }

    // a slot that says something else of its zone, and holds the same extension
    private async ValueTask<byte[]> BuildAsync(int zone, ZoneSlot state)
    {
        var slot = new byte[_slotBytes];
        if (state.IsNone)
        {
            return slot;
        }

        byte[] data = [];
        if (state.Extension != ZoneSlotState.None)
        {
            data = new byte[Bytes];
            await ReadAsync(zone, data, CancellationToken.None);
        }

        ZoneExtensionSlot.Write(slot, zone, state, data);
        return slot;
    }

    /// <summary>
    /// Before a reset: extensions and areas of zones that the zone table shows written go with their pointers from here on, durably.
    /// </summary>
    public async ValueTask TieToPointersAsync(ZoneRange range, Func<int, bool> isStoredAboveStart)
    {
        List<int> tied = [];
        for (int zone = range.First; _count > 0 && zone <= Math.Min(range.Last, _states.Length - 1); zone++)
        {
            if (_states[zone].IsFresh && isStoredAboveStart(zone))
            {
                await _storage.WriteAsync(SlotAt(zone).Value, await BuildAsync(zone, _states[zone].AsWritten));
                tied.Add(zone);
            }
        }

        if (tied.Count > 0)
        {
            await _storage.FlushAsync();
        }

        // not before: after a flush that failed, the next attempt must not write the pointers without their slots
        foreach (int zone in tied)
        {
            _states[zone] = _states[zone].AsWritten;
        }
    }

    /// <summary>Zones of a range whose slots a reset must clear: nothing was ever written in them.</summary>
    public List<int> FreshIn(ZoneRange range)
    {
        var fresh = new List<int>();
        for (int zone = range.First; _count > 0 && zone <= Math.Min(range.Last, _states.Length - 1); zone++)
        {
            if (_states[zone].IsFresh)
            {
                fresh.Add(zone);
            }
        }

        return fresh;
    }

    /// <summary>Whether a zone's slot says nothing on the storage.</summary>
    public async ValueTask<bool> IsClearAsync(int zone)
    {
        var slot = new byte[_slotBytes];
        await _storage.ReadAsync(SlotAt(zone).Value, slot);
        return ZoneExtensionSlot.Read(slot, zone) is { IsNone: true };
    }

    /// <summary>Forgets the extensions and areas of a range that is reset.</summary>
    public void TakeReset(ZoneRange range)
    {
        for (int zone = range.First; _count > 0 && zone <= Math.Min(range.Last, _states.Length - 1); zone++)
        {
            if (!_states[zone].IsNone)
            {
                _stale.Add(zone);
                SetState(zone, default);
            }
        }
    }

    /// <summary>Empties the slots of zones.</summary>
    public async ValueTask ClearAsync(IReadOnlyCollection<int> zones)
    {
        var empty = new byte[_slotBytes];
        foreach (int zone in zones)
        {
            if (HasSlot(zone))
            {
                await _storage.WriteAsync(SlotAt(zone).Value, empty);
            }
        }
    }

    /// <summary>Whether any zone has an extension or an area, or has one stale in its slot.</summary>
    public bool HasAny => _count + _stale.Count > 0;

    /// <summary>Whether a zone's slot holds its extension.</summary>
    public bool IsKept(int zone) => zone < _states.Length && _states[zone].Extension != ZoneSlotState.None;

    /// <summary>Whether a zone's slot says anything.</summary>
    public bool HasState(int zone) => zone < _states.Length && !_states[zone].IsNone;

    /// <summary>True when slots are stale, or the write of an entry failed.</summary>
    public bool IsUnsettled => _stale.Count + _uncertainEntries.Count > 0;

    /// <summary>
    /// In a flush, before pointers rise: clears what is stale, and makes entries whose write failed what they are meant to be.
    /// </summary>
    public async ValueTask SettleAsync()
    {
        if (_stale.Count > 0)
        {
            await ClearAsync(_stale);
            _stale.Clear();
        }

        foreach (int index in _uncertainEntries)
        {
            await WriteEntryAsync(index, _clusters[index]);
        }

        _uncertainEntries.Clear();
    }

    private bool HasSlot(int zone) => zone / _perCluster < _clusters.Length && !_clusters[zone / _perCluster].IsNone;

    private int EntriesFor(int zoneCount) => (zoneCount + _perCluster - 1) / _perCluster;

    private int SlotIn(int zone) => ((zone % _perCluster) + 1) * _slotBytes;

    private HostOffset SlotAt(int zone) => _clusters[zone / _perCluster] + SlotIn(zone);

    private void SetState(int zone, ZoneSlot state)
    {
        if (zone >= _states.Length)
        {
            Array.Resize(ref _states, Math.Max(zone + 1, _states.Length * 2));
        }

        _count += (state.IsNone ? 0 : 1) - (_states[zone].IsNone ? 0 : 1);
        _states[zone] = state;
    }

    private async ValueTask<bool> ReadClusterAsync(int index, byte[] cluster, CancellationToken cancellationToken)
    {
        var offset = _clusters[index];
        if (offset.Value < 0 || _geometry.InCluster(offset) != 0 || offset.Value > _storage.Length - cluster.Length
            || _places.IsMetadata(offset, cluster.Length))
        {
            return false;
        }

        await _storage.ReadAsync(offset.Value, cluster, cancellationToken);
        if (!ZoneExtensionSlot.IsHead(cluster, index))
        {
            return false;
        }

        _places.Register(offset, cluster.Length);
        return true;
    }

    /// <summary>Takes over the slots of a cluster; returns how many are corrupt.</summary>
    private int TakeSlots(int index, ReadOnlySpan<byte> cluster, ZoneSet zones)
    {
        int bad = 0;
        for (long zone = (long)index * _perCluster; zone < (index + 1L) * _perCluster; zone++)
        {
            int slot = SlotIn((int)zone);
            var state = ZoneExtensionSlot.Read(cluster.Slice(slot, _slotBytes), (int)zone);
            if (state is null)
            {
                bad++;
            }
            else if (!state.Value.IsNone)
            {
                Take((int)zone, state.Value, zones);
            }
        }

        return bad;
    }

    private void Take(int zone, ZoneSlot state, ZoneSet zones)
    {
        if (zone >= zones.Count || !zones.Geometry.IsSequential(zone))
        {
            // of a disk that was longer: it must not come back when the disk grows again
            _stale.Add(zone);
        }
        else if (zones.ConditionOf(zone) == ZoneCondition.Offline)
        {
            // its pointer is corrupt: the meaning of the slot is known only after the repair
        }
        else if (!state.IsFresh && zones.ConditionOf(zone) == ZoneCondition.Empty)
        {
            _stale.Add(zone);
        }
        else
        {
            zones.SetLoaded(
                zone, zones.StoredPointerOf(zone), state.Extension != ZoneSlotState.None, state.Area != ZoneSlotState.None);
            SetState(zone, state);
        }
    }

    private async ValueTask AddClusterAsync(int zone, byte[] slot, int zoneCount)
    {
        int index = zone / _perCluster;
        var cluster = new byte[_geometry.ClusterSize];
        ZoneExtensionSlot.WriteHead(cluster, index);
        slot.CopyTo(cluster, SlotIn(zone));
        var offset = await _places.PlaceAsync(cluster);
        if (index >= _clusters.Length || !_hasDirectory)
        {
            await MoveDirectoryAsync(index, offset, EntriesFor(zoneCount));
            return;
        }

        await _order.RunAsync();
        _uncertainEntries.Add(index);
        await WriteEntryAsync(index, offset);
        await _storage.FlushAsync();
        _uncertainEntries.Remove(index);
        _clusters[index] = offset;
    }

    private async ValueTask WriteEntryAsync(int index, HostOffset offset)
    {
        var entry = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteInt64BigEndian(entry, offset.Value);
        await _storage.WriteAsync(_tables.Extension.DirectoryOffset.Value + ZoneExtensionDirectory.EntryAt(index), entry);
    }

    private async ValueTask MoveDirectoryAsync(int index, HostOffset cluster, int entries)
    {
        var clusters = new HostOffset[Math.Max(entries, _clusters.Length)];
        _clusters.CopyTo(clusters, 0);
        clusters[index] = cluster;
        var before = _tables.Extension;
        var offset = await _places.PlaceAsync(ZoneExtensionDirectory.Build(clusters));
        await _order.RunAsync();
        await _tables.PutAsync(before with
        {
            ExtensionBytes = (uint)Bytes, DirectoryEntries = (uint)clusters.Length, DirectoryOffset = offset,
        });
        if (_hasDirectory)
        {
            _places.Free(before.DirectoryOffset, before.DirectoryBytes);
        }

        (_clusters, _hasDirectory) = (clusters, true);
    }
}
