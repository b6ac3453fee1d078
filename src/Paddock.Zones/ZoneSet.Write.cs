using Paddock.Block;

namespace Paddock.Zones;

/// <summary>Writes and appends: the write rule, and the resources that a write takes and gives back (zoned-qcow2.md 3).</summary>
public sealed partial class ZoneSet
{
    /// <summary>
    /// Checks a write (or write-zeroes: the same rule) whole and takes its resources. Refused: nothing has changed. Taken:
    /// <see cref="EndWrite"/>
    /// must follow, for the zone that the result names.
    /// </summary>
    /// <param name="offset">Byte offset on the disk.</param>
    /// <param name="length">Bytes, above 0.</param>
    public ZoneResult BeginWrite(long offset, long length)
    {
        if (offset < 0 || length <= 0 || length > _geometry.DiskLength - offset)
        {
            return Refuse(ZoneError.OutOfRange, NearestZone(offset));
        }

        int zone = _geometry.ZoneOf(offset);
        if (!_geometry.IsSequential(zone))
        {
            return CheckConventional(zone, _geometry.ZoneOf(offset + length - 1));
        }

        ZoneError error = CheckSequential(zone, length);
        if (error == ZoneError.None && offset != _pointers[zone])
        {
            error = offset % ZoneGeometry.SectorSize != 0 ? ZoneError.Unaligned : ZoneError.NotAtWritePointer;
        }

        if (error == ZoneError.None && length > _geometry.StartOf(zone) + _geometry.CapacityOf(zone) - offset)
        {
            error = ZoneError.BoundaryCrossed;
        }

        return error == ZoneError.None ? Begin(zone) : Refuse(error, zone);
    }

    /// <summary>Checks an append whole, takes its resources, and says where its data goes. As <see cref="BeginWrite"/>
    /// otherwise.</summary>
    /// <param name="zoneStart">Where the zone starts: it names the zone.</param>
    /// <param name="length">Bytes, above 0.</param>
    /// <param name="offset">Where the data goes: the zone's write pointer.</param>
    public ZoneResult BeginAppend(long zoneStart, long length, out long offset)
    {
        offset = 0;
        if (zoneStart < 0 || zoneStart >= _geometry.DiskLength || length <= 0)
        {
            return Refuse(ZoneError.OutOfRange, NearestZone(zoneStart));
        }

        int zone = _geometry.ZoneOf(zoneStart);
        ZoneError error = !_geometry.IsZoneStart(zoneStart) ? ZoneError.Unaligned
            : !_geometry.IsSequential(zone) ? ZoneError.Conventional
            : _maxAppend != 0 && length > _maxAppend ? ZoneError.AppendTooLong
            : CheckSequential(zone, length);
        if (error == ZoneError.None && length > zoneStart + _geometry.CapacityOf(zone) - _pointers[zone])
        {
            error = ZoneError.BoundaryCrossed;
        }

        if (error != ZoneError.None)
        {
            return Refuse(error, zone);
        }

        ZoneResult result = Begin(zone);
        if (result.IsOk)
        {
            offset = _pointers[zone];
        }

        return result;
    }

    /// <summary>
    /// Ends a write. Success moves the pointer, and at the capacity makes the zone FULL and gives both resources back. Failure
    /// leaves the zone as it
    /// was before, as far as others' requests meanwhile allow; a zone in which nothing is written and that is not open is EMPTY
    /// again. What the
    /// write evicted stays closed.
    /// </summary>
    /// <param name="zone">The zone that the begin named; nothing is to be done for a conventional one.</param>
    /// <param name="length">Bytes, as given to the begin.</param>
    /// <param name="success">Whether all data reached the image.</param>
    public void EndWrite(int zone, long length, bool success)
    {
        if (!_geometry.IsSequential(zone))
        {
            return;
        }

        if (!IsBusy(zone))
        {
            throw new InvalidOperationException($"zone {zone} is not being written");
        }

        bool opened = (_flags[zone] & (byte)ZoneFlags.OpenedByWrite) != 0;
        _flags[zone] &= (byte)ZoneFlags.Extended;
        if (success)
        {
            _pointers[zone] += length;
            if (_pointers[zone] - _geometry.StartOf(zone) >= _geometry.CapacityOf(zone))
            {
                MakeFull(zone);
            }
        }
        else if (ConditionOf(zone) == ZoneCondition.Closed || (opened && ConditionOf(zone) == ZoneCondition.ImplicitlyOpen))
        {
            // Either evicted or closed meanwhile, or opened for nothing.
            MakeClosed(zone);
        }
    }

    /// <summary>
    /// Whether a range may be discarded. Never in a sequential zone: there a discard could only punch below a pointer, where data
    /// must stay, or lie
    /// above it, where nothing is (zoned-qcow2.md 3). Conventional zones take it anywhere.
    /// </summary>
    public ZoneResult CheckDiscard(long offset, long length)
    {
        if (offset < 0 || length < 0 || length > _geometry.DiskLength - offset)
        {
            return Refuse(ZoneError.OutOfRange, NearestZone(offset));
        }

        if (length == 0)
        {
            return ZoneResult.Done(NearestZone(offset));
        }

        int first = _geometry.ZoneOf(offset), last = _geometry.ZoneOf(offset + length - 1);
        return _geometry.IsSequential(last)
            ? Refuse(ZoneError.Sequential, Math.Max(first, _geometry.ConventionalZones))
            : CheckConventional(first, last);
    }

    private ZoneResult CheckConventional(int first, int last)
    {
        if (_geometry.IsSequential(last))
        {
            return Refuse(ZoneError.BoundaryCrossed, _geometry.ConventionalZones);
        }

        for (int zone = first; zone <= last; zone++)
        {
            ZoneError error = CheckFixed(zone);
            if (error != ZoneError.None)
            {
                return Refuse(error, zone);
            }
        }

        return ZoneResult.Done(first);
    }

    private ZoneError CheckSequential(int zone, long length)
    {
        ZoneError error = CheckFixed(zone);
        return error != ZoneError.None ? error
            : length % ZoneGeometry.SectorSize != 0 ? ZoneError.Unaligned
            : ConditionOf(zone) == ZoneCondition.Full ? ZoneError.Full
            : ZoneError.None;
    }

    private ZoneError CheckFixed(int zone) => ConditionOf(zone) switch
    {
        ZoneCondition.ReadOnly => ZoneError.ReadOnly,
        ZoneCondition.Offline => ZoneError.Offline,
        _ => ZoneError.None,
    };

    private ZoneResult Begin(int zone)
    {
        RequireIdle(zone);
        int evicted = -1;
        switch (ConditionOf(zone))
        {
            case ZoneCondition.ImplicitlyOpen:
                _implicit.Touch(zone);
                _flags[zone] |= (byte)ZoneFlags.Busy;
                break;
            case ZoneCondition.ExplicitlyOpen:
                _flags[zone] |= (byte)ZoneFlags.Busy;
                break;
            default:
                ZoneError error = CheckResources(ConditionOf(zone));
                if (error != ZoneError.None)
                {
                    return Refuse(error, zone);
                }

                evicted = MakeRoom();
                Release(zone);
                SetCondition(zone, ZoneCondition.ImplicitlyOpen);
                _implicit.Add(zone);
                _flags[zone] |= (byte)(ZoneFlags.Busy | ZoneFlags.OpenedByWrite);
                break;
        }

        return ZoneResult.Done(zone, evicted);
    }

    private int NearestZone(long offset)
        => offset <= 0 || Count == 0 ? 0 : offset >= _geometry.DiskLength ? Count - 1 : _geometry.ZoneOf(offset);
}
