using Paddock.Block;

namespace Paddock.Zones;

/// <summary>
/// A disk that changes its length (zoned-qcow2.md 3, Resize). Growing adds EMPTY zones and enlarges a smaller last one: if that one is FULL
/// it stays FULL
/// (its new part reads as zeroes until a reset), since a finished zone must not become writable again by itself, nor take a resource.
/// Shrinking is refused unless the zones that go are EMPTY; a zone that is cut keeps what is written, and is FULL if that fills it now.
/// </summary>
public sealed partial class ZoneSet
{
    /// <summary>Whether the disk can take another length; changes nothing.</summary>
    /// <param name="length">Bytes, a multiple of 512.</param>
    /// <returns>
    /// Refused: <see cref="ZoneError.Unaligned"/>, <see cref="ZoneError.OutOfRange"/> (below 0 or too many zones),
    /// <see cref="ZoneError.Conventional"/>
    /// (a conventional zone would go or be cut), <see cref="ZoneError.InvalidTransition"/> (a zone that goes is not EMPTY, or one
    /// that is cut
    /// holds data past the new end), <see cref="ZoneError.ReadOnly"/>, <see cref="ZoneError.Offline"/>.
    /// </returns>
    public ZoneResult CheckResize(long length)
    {
        if (length < 0 || ZoneGeometry.CountFor(length, _geometry.ZoneSize) > ZoneGeometry.MaxZones)
        {
            return Refuse(ZoneError.OutOfRange, NearestZone(length));
        }

        if (length % ZoneGeometry.SectorSize != 0)
        {
            return Refuse(ZoneError.Unaligned, NearestZone(length));
        }

        // The last zone first: a disk that is not EMPTY at its end is refused without a walk.
        for (int zone = Count - 1; zone >= 0 && _geometry.EndOf(zone) > length; zone--)
        {
            ZoneError error = CheckCut(zone, length);
            if (error != ZoneError.None)
            {
                return Refuse(error, zone);
            }
        }

        return ZoneResult.Done(NearestZone(length));
    }

    /// <summary>Changes the length; no zone that goes or is cut is busy.</summary>
    /// <returns>What <see cref="CheckResize"/> says; refused: nothing has changed.</returns>
    public ZoneResult Resize(long length)
    {
        ZoneResult result = CheckResize(length);
        if (!result.IsOk || length == _geometry.DiskLength)
        {
            return result;
        }

        int before = Count, after = (int)ZoneGeometry.CountFor(length, _geometry.ZoneSize);
        for (int zone = after; zone < before; zone++)
        {
            RequireIdle(zone);
        }

        int last = Math.Min(before, after) - 1;
        bool filled = last >= 0 && _pointers[last] - _geometry.StartOf(last) >= _geometry.CapacityOf(last);
        _geometry = new ZoneGeometry(Limits with { ZoneCount = after }, length);
        Array.Resize(ref _pointers, after);
        Array.Resize(ref _conditions, after);
        Array.Resize(ref _flags, after);
        _implicit.Resize(after);
        if (after > before)
        {
            Clear(before, after);
        }
        else
        {
            _tally = new ZoneTally(_conditions);
        }

        FitLast(last, filled);
        return result;
    }

    private ZoneError CheckCut(int zone, long length)
    {
        if (!_geometry.IsSequential(zone))
        {
            return ZoneError.Conventional;
        }

        ZoneError error = CheckFixed(zone);
        if (error != ZoneError.None || ConditionOf(zone) == ZoneCondition.Empty)
        {
            return error;
        }

        bool goes = _geometry.StartOf(zone) >= length;
        return goes || DataEndOf(zone) > length ? ZoneError.InvalidTransition : ZoneError.None;
    }

    /// <summary>The last zone that was and is there has another length: FULL moves its pointer, and a cut may have made it
    /// FULL.</summary>
    private void FitLast(int zone, bool filled)
    {
        if (zone < 0 || !_geometry.IsSequential(zone))
        {
            return;
        }

        ZoneCondition condition = ConditionOf(zone);
        if (filled && condition is (ZoneCondition.ReadOnly or ZoneCondition.Offline))
        {
            // it was FULL before, and will be when it is restored
            _pointers[zone] = _geometry.EndOf(zone);
        }

        bool writable = condition is ZoneCondition.ImplicitlyOpen or ZoneCondition.ExplicitlyOpen or ZoneCondition.Closed;
        if (condition == ZoneCondition.Full || (writable && _pointers[zone] - _geometry.StartOf(zone) >= _geometry.CapacityOf(zone)))
        {
            RequireIdle(zone);
            MakeFull(zone);
        }
    }
}
