using Paddock.Block;

namespace Paddock.Testing;

/// <summary>
/// Model of the zoned disk of spec section 3 as a plain list of zones and their bytes, for comparison with the real ones. It shares no code
/// with them and has no optimizations: it uses a loop wherever one is needed. One request at a time.
/// </summary>
public sealed class ZoneModel
{
    private const int Sector = 512;

    private readonly ZonedLimits _limits;
    private readonly SparseBytes _data = new();
    private readonly List<ModelZone> _zones = [];
    private long _clock;

    /// <param name="limits">Geometry and limits; the number of zones follows from the length.</param>
    /// <param name="length">Size of the disk in bytes.</param>
    public ZoneModel(ZonedLimits limits, long length)
    {
        _limits = limits;
        Length = length;
        AddZones();
    }

    /// <summary>Size of the disk in bytes.</summary>
    public long Length { get; private set; }

    /// <summary>Number of zones.</summary>
    public int Count => _zones.Count;

    /// <summary>Bytes of a random write area.</summary>
    public long AreaBytes => _limits.RandomArea.Size;

    /// <summary>Zones with a random write area.</summary>
    public int AreaCount => _zones.Count(z => z.HasArea);

    public int ImplicitlyOpenCount => _zones.Count(z => z.Condition == ZoneCondition.ImplicitlyOpen);

    public int OpenCount => _zones.Count(z => z.IsOpen);

    public int ActiveCount => _zones.Count(z => z.IsOpen || z.Condition == ZoneCondition.Closed);

    /// <summary>Zones as reported.</summary>
    public ZoneDescriptor[] Report() => [.. _zones.Select(Describe)];

    /// <summary>Writes; a rejected write changes nothing.</summary>
    public ZoneError Write(long offset, ReadOnlySpan<byte> data)
    {
        ZoneError error = TakeWrite(offset, data.Length);
        if (error == ZoneError.None)
        {
            _data.Write(offset, data);
        }

        return error;
    }

    /// <summary>Writes zeroes, under the rule for writes.</summary>
    public ZoneError WriteZeroes(long offset, long length)
    {
        ZoneError error = TakeWrite(offset, length);
        if (error == ZoneError.None)
        {
            _data.Clear(offset, length);
        }

        return error;
    }

    /// <summary>Appends to the zone that starts at <paramref name="zoneStart"/>; returns the offset of the data.</summary>
    public ZoneError Append(long zoneStart, ReadOnlySpan<byte> data, out long offset)
    {
        offset = 0;
        if (zoneStart < 0 || zoneStart >= Length || data.Length == 0)
        {
            return ZoneError.OutOfRange;
        }

        var zone = _zones.Find(z => z.Start == zoneStart);
        if (zone is null)
        {
            return ZoneError.Unaligned;
        }

        if (zone.IsConventional)
        {
            return ZoneError.Conventional;
        }

        if (_limits.MaxAppendBytes > 0 && data.Length > _limits.MaxAppendBytes)
        {
            return ZoneError.AppendTooLong;
        }

        long at = zone.Pointer;
        ZoneError error = TakeSequential(zone, zone.Pointer, data.Length, appends: true);
        if (error == ZoneError.None)
        {
            offset = at;
            _data.Write(at, data);
        }

        return error;
    }

    /// <summary>Discards, in conventional zones only. The bytes may then read as anything; the model zeroes them.</summary>
    public ZoneError Discard(long offset, long length)
    {
        if (offset < 0 || length < 0 || offset + length > Length)
        {
            return ZoneError.OutOfRange;
        }

        if (_zones.Any(z => !z.IsConventional && z.Start < offset + length && offset < z.End && length > 0))
        {
            return ZoneError.Sequential;
        }

        _data.Clear(offset, length);
        return ZoneError.None;
    }

    /// <summary>Opens, closes, finishes or resets a range, all zones or none.</summary>
    public ZoneError Manage(ZoneAction action, long offset, long length)
    {
        if (offset < 0 || length <= 0 || offset + length > Length)
        {
            return ZoneError.OutOfRange;
        }

        var range = _zones.Where(z => z.Start >= offset && z.End <= offset + length).ToList();
        if (range.Count == 0 || range[0].Start != offset || range[^1].End != offset + length)
        {
            return ZoneError.Unaligned;
        }

        if (action == ZoneAction.Reset && length == Length)
        {
            range.RemoveAll(z => z.IsConventional);
        }

        foreach (var zone in range)
        {
            ZoneError error = Refusal(action, zone);
            if (error != ZoneError.None)
            {
                return error;
            }
        }

        return action switch
        {
            ZoneAction.Open => Open(range, allocates: false),
            ZoneAction.OpenWithRandomArea => Open(range, allocates: true),
            _ => Change(action, range),
        };
    }

    /// <summary>Commits a random write area up to an offset.</summary>
    public ZoneError Commit(long end)
    {
        if (end <= 0 || end > Length)
        {
            return ZoneError.OutOfRange;
        }

        var zone = _zones.Single(z => z.Start < end && end <= z.End);
        if (zone.IsConventional || zone.Kept != 0)
        {
            return zone.IsConventional ? ZoneError.Conventional
                : zone.Kept == ZoneCondition.ReadOnly ? ZoneError.ReadOnly : ZoneError.Offline;
        }

        bool whole = end == zone.Start + zone.Capacity || (end - zone.Pointer) % Math.Max(1, _limits.RandomArea.Granularity) == 0;
        if (!zone.HasArea || end <= zone.Pointer || end > DataEndOf(zone) || !whole)
        {
            return ZoneError.InvalidZoneOperation;
        }

        ZoneError error = zone.IsOpen ? ZoneError.None : OpenOne(zone, ZoneCondition.ImplicitlyOpen);
        if (error == ZoneError.None)
        {
            zone.LastWrite = ++_clock;
            MovePointer(zone, end);
        }

        return error;
    }

    /// <summary>Makes a sequential zone READ ONLY or OFFLINE; EMPTY restores its previous state.</summary>
    public ZoneError SetCondition(int index, ZoneCondition condition)
    {
        var zone = _zones[index];
        var kept = condition == ZoneCondition.Empty ? 0 : condition;
        if (kept == 0 && zone.Kept != 0 && zone.State == ZoneCondition.Closed && _limits.MaxActiveZones > 0
            && ActiveCount >= _limits.MaxActiveZones)
        {
            return ZoneError.TooManyActive;
        }

        if (kept != 0)
        {
            zone.HasArea = false;
            Close(zone);
            if (zone.State == ZoneCondition.Closed && zone.Pointer == zone.Start && zone.Extension is null)
            {
                zone.Condition = ZoneCondition.Empty;
            }
        }

        zone.Kept = kept;
        return ZoneError.None;
    }

    /// <summary>Sets the extension of an EMPTY zone, and gives it a random write area on request.</summary>
    public ZoneError Extend(int index, byte[] extension, bool area = false)
    {
        var zone = _zones[index];
        if (zone.IsConventional || zone.Condition != ZoneCondition.Empty)
        {
            return zone.IsConventional ? ZoneError.Conventional : ZoneError.InvalidTransition;
        }

        if (area && _limits.RandomArea.Size == 0)
        {
            return ZoneError.InvalidZoneOperation;
        }

        if (_limits.MaxActiveZones > 0 && ActiveCount >= _limits.MaxActiveZones)
        {
            return ZoneError.TooManyActive;
        }

        if (area && _limits.RandomArea.MaxZones > 0 && AreaCount >= _limits.RandomArea.MaxZones)
        {
            return ZoneError.TooManyRandomAreas;
        }

        zone.Extension = extension;
        zone.HasArea = area;
        zone.Condition = ZoneCondition.Closed;
        return ZoneError.None;
    }

    /// <summary>Returns the extension of a zone; null if it has none.</summary>
    public byte[]? ExtensionOf(int index) => _zones[index].Extension;

    /// <summary>Returns the data of a read.</summary>
    public byte[] Read(long offset, int length)
    {
        var bytes = _data.Read(offset, length);
        foreach (var zone in _zones.Where(z => !z.IsConventional && z.Start < offset + length && offset < z.End))
        {
            long from = Math.Max(offset, DataEndOf(zone)), to = Math.Min(offset + length, zone.End);
            if (from < to)
            {
                bytes.AsSpan((int)(from - offset), (int)(to - from)).Clear();
            }
        }

        return bytes;
    }

    /// <summary>Closes and reopens the image, as after a power cut following a flush: open states are kept in memory only.</summary>
    public void Reopen()
    {
        foreach (var zone in _zones.Where(z => z.IsOpen))
        {
            Close(zone);
        }
    }

    /// <summary>Changes the size of the disk.</summary>
    public ZoneError Resize(long length)
    {
        if (length < 0 || length % Sector != 0)
        {
            return length < 0 ? ZoneError.OutOfRange : ZoneError.Unaligned;
        }

        foreach (var zone in Enumerable.Reverse(_zones).Where(z => z.End > length))
        {
            if (zone.IsConventional)
            {
                return ZoneError.Conventional;
            }

            if (zone.Kept != 0)
            {
                return zone.Kept == ZoneCondition.ReadOnly ? ZoneError.ReadOnly : ZoneError.Offline;
            }

            if (zone.Condition != ZoneCondition.Empty && (zone.Start >= length || DataEndOf(zone) > length))
            {
                return ZoneError.InvalidTransition;
            }
        }

        _data.Clear(Math.Min(length, Length), Math.Abs(length - Length));
        Length = length;
        _zones.RemoveAll(z => z.Start >= length);
        if (_zones.Count > 0)
        {
            Fit(_zones[^1]);
        }

        AddZones();
        return ZoneError.None;
    }

    private void AddZones()
    {
        for (long start = _zones.Count * _limits.ZoneSize; start < Length; start += _limits.ZoneSize)
        {
            bool conventional = _zones.Count < _limits.ConventionalZones;
            var zone = new ModelZone { Start = start, Pointer = start, IsConventional = conventional };
            zone.Condition = conventional ? ZoneCondition.NotWritePointer : ZoneCondition.Empty;
            _zones.Add(zone);
            Fit(zone);
        }
    }

    // Fits a zone to the size of the disk; FULL stays FULL, and a zone that is cut to its written data becomes FULL.
    private void Fit(ModelZone zone)
    {
        zone.Length = Math.Min(_limits.ZoneSize, Length - zone.Start);
        zone.Capacity = zone.IsConventional ? zone.Length : Math.Min(_limits.ZoneCapacity, zone.Length);
        bool filled = zone.Pointer > zone.Start && zone.Pointer >= zone.Start + zone.Capacity;
        if (zone.State == ZoneCondition.Full || (!zone.IsConventional && filled))
        {
            zone.Condition = ZoneCondition.Full;
            zone.Pointer = zone.End;
            zone.HasArea = false;
        }
    }

    private ZoneError TakeWrite(long offset, long length)
    {
        if (offset < 0 || length <= 0 || offset + length > Length)
        {
            return ZoneError.OutOfRange;
        }

        var zone = _zones.Single(z => z.Start <= offset && offset < z.End);
        if (!zone.IsConventional)
        {
            return TakeSequential(zone, offset, length);
        }

        bool crosses = _zones.Any(z => !z.IsConventional && z.Start < offset + length && z.Start > offset);
        return crosses ? ZoneError.BoundaryCrossed : ZoneError.None;
    }

    private ZoneError TakeSequential(ModelZone zone, long offset, long length, bool appends = false)
    {
        if (zone.Kept != 0)
        {
            return zone.Kept == ZoneCondition.ReadOnly ? ZoneError.ReadOnly : ZoneError.Offline;
        }

        if (length % Sector != 0)
        {
            return ZoneError.Unaligned;
        }

        if (zone.Condition == ZoneCondition.Full)
        {
            return ZoneError.Full;
        }

        if (zone.HasArea && appends)
        {
            return ZoneError.InvalidZoneOperation;
        }

        bool inArea = zone.HasArea && offset % Sector == 0 && offset > zone.Pointer;
        if (zone.HasArea && offset >= zone.Pointer && offset % Sector == 0
            && offset + length > zone.Pointer + (2 * _limits.RandomArea.Size))
        {
            return ZoneError.NotAtWritePointer;
        }

        if (offset != zone.Pointer && !inArea)
        {
            return offset % Sector != 0 ? ZoneError.Unaligned : ZoneError.NotAtWritePointer;
        }

        if (offset + length > zone.Start + zone.Capacity)
        {
            return ZoneError.BoundaryCrossed;
        }

        if (!zone.IsOpen)
        {
            ZoneError error = OpenOne(zone, ZoneCondition.ImplicitlyOpen);
            if (error != ZoneError.None)
            {
                return error;
            }
        }

        zone.LastWrite = ++_clock;
        long next = offset + length;
        if (zone.HasArea)
        {
            next = zone.Pointer;
            while (next + _limits.RandomArea.Size < offset + length)
            {
                next += _limits.RandomArea.Granularity;
            }
        }

        MovePointer(zone, Math.Min(next, zone.Start + zone.Capacity));
        return ZoneError.None;
    }

    private static void MovePointer(ModelZone zone, long pointer)
    {
        zone.Pointer = pointer;
        if (pointer == zone.Start + zone.Capacity)
        {
            zone.Condition = ZoneCondition.Full;
            zone.Pointer = zone.End;
            zone.HasArea = false;
        }
    }

    private long DataEndOf(ModelZone zone)
        => zone.State == ZoneCondition.Full ? zone.Start + zone.Capacity
            : zone.HasArea ? Math.Min(zone.Pointer + _limits.RandomArea.Size, zone.Start + zone.Capacity)
            : zone.Pointer;

    private ZoneError OpenOne(ModelZone zone, ZoneCondition to)
    {
        if (zone.Condition == ZoneCondition.Empty && _limits.MaxActiveZones > 0 && ActiveCount >= _limits.MaxActiveZones)
        {
            return ZoneError.TooManyActive;
        }

        if (_limits.MaxOpenZones > 0 && OpenCount >= _limits.MaxOpenZones)
        {
            var oldest = _zones.Where(z => z.Condition == ZoneCondition.ImplicitlyOpen).MinBy(z => z.LastWrite);
            if (oldest is null)
            {
                return ZoneError.TooManyOpen;
            }

            Close(oldest);
        }

        zone.Condition = to;
        return ZoneError.None;
    }

    private ZoneError Open(List<ModelZone> range, bool allocates)
    {
        // Try it on the current state, and revert everything if a zone cannot be opened.
        var before = _zones.ConvertAll(z => z.State);
        var areas = range.Where(z => allocates && !z.HasArea).ToList();
        var empty = areas.Where(z => z.Condition == ZoneCondition.Empty).ToHashSet();
        foreach (var zone in range.Where(z => z.Condition == ZoneCondition.ImplicitlyOpen))
        {
            zone.Condition = ZoneCondition.ExplicitlyOpen;
        }

        foreach (var zone in range.Where(z => z.Condition != ZoneCondition.ExplicitlyOpen))
        {
            ZoneError error = OpenOne(zone, ZoneCondition.ExplicitlyOpen);
            if (error != ZoneError.None)
            {
                return Revert(before, error);
            }
        }

        int taken = AreaCount;
        foreach (var zone in areas)
        {
            if (_limits.RandomArea.Size == 0 || !empty.Contains(zone))
            {
                return Revert(before, ZoneError.InvalidZoneOperation);
            }

            if (_limits.RandomArea.MaxZones > 0 && ++taken > _limits.RandomArea.MaxZones)
            {
                return Revert(before, ZoneError.TooManyRandomAreas);
            }
        }

        areas.ForEach(static z => z.HasArea = true);
        return ZoneError.None;
    }

    private ZoneError Revert(List<ZoneCondition> before, ZoneError error)
    {
        for (int i = 0; i < _zones.Count; i++)
        {
            _zones[i].Condition = before[i];
        }

        return error;
    }

    private ZoneError Change(ZoneAction action, List<ModelZone> range)
    {
        foreach (var zone in range)
        {
            switch (action)
            {
                case ZoneAction.Close:
                    Close(zone);
                    break;
                case ZoneAction.Finish when zone.Condition != ZoneCondition.Full:
                    _data.Clear(DataEndOf(zone), zone.End - DataEndOf(zone));
                    zone.HasArea = false;
                    zone.Condition = ZoneCondition.Full;
                    zone.Pointer = zone.End;
                    break;
                case ZoneAction.Reset:
                    _data.Clear(zone.Start, zone.Length);
                    zone.Condition = ZoneCondition.Empty;
                    zone.Pointer = zone.Start;
                    zone.Extension = null;
                    zone.HasArea = false;
                    break;
            }
        }

        return ZoneError.None;
    }

    private static ZoneError Refusal(ZoneAction action, ModelZone zone) => zone.Condition switch
    {
        ZoneCondition.NotWritePointer => ZoneError.Conventional,
        ZoneCondition.ReadOnly => ZoneError.ReadOnly,
        ZoneCondition.Offline => ZoneError.Offline,
        ZoneCondition.Full when action is ZoneAction.Open or ZoneAction.OpenWithRandomArea => ZoneError.Full,
        ZoneCondition.Full when action == ZoneAction.Close => ZoneError.InvalidTransition,
        _ => ZoneError.None,
    };

    private static void Close(ModelZone zone)
    {
        if (zone.IsOpen)
        {
            zone.Condition = zone.Pointer == zone.Start && zone.Extension is null && !zone.HasArea
                ? ZoneCondition.Empty : ZoneCondition.Closed;
        }
    }

    private static ZoneDescriptor Describe(ModelZone zone) => new(
        zone.Start, zone.Length, zone.Capacity, zone.Pointer, zone.Condition,
        zone.IsConventional ? ZoneType.Conventional : ZoneType.SequentialWriteRequired)
    {
        HasRandomArea = zone.HasArea,
    };

    private sealed class ModelZone
    {
        public required long Start { get; init; }

        public required bool IsConventional { get; init; }

        public long Length { get; set; }

        public long Capacity { get; set; }

        public long Pointer { get; set; }

        /// <summary>State apart from wear.</summary>
        public ZoneCondition State { get; private set; }

        /// <summary>READ ONLY, OFFLINE or 0.</summary>
        public ZoneCondition Kept { get; set; }

        public byte[]? Extension { get; set; }

        /// <summary>Whether it has a random write area.</summary>
        public bool HasArea { get; set; }

        public ZoneCondition Condition
        {
            get => Kept == 0 ? State : Kept;
            set => State = value;
        }

        public long LastWrite { get; set; }

        public long End => Start + Length;

        public bool IsOpen => Condition is ZoneCondition.ImplicitlyOpen or ZoneCondition.ExplicitlyOpen;
    }
}
