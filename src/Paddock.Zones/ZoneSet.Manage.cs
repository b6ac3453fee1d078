using Paddock.Block;

namespace Paddock.Zones;

/// <summary>Open, close, finish and reset over ranges: checked whole, then applied (zoned-qcow2.md 3, range requests).</summary>
public sealed partial class ZoneSet
{
    /// <summary>
    /// Checks a range request whole: zone-aligned, inside the disk, every zone able to make the transition, enough resources. It
    /// changes nothing.
    /// </summary>
    /// <param name="action">What is asked.</param>
    /// <param name="offset">Where the first zone starts.</param>
    /// <param name="length">Bytes: whole zones; only a last, smaller zone may end it elsewhere.</param>
    /// <param name="range">
    /// The zones to give to <see cref="Apply"/>; without conventional ones when the whole disk is reset (note 2). Empty when refused.
    /// </param>
    /// <remarks>
    /// Finish and reset may await data work between this and <see cref="Apply"/>: they need no resources, so what other zones do
    /// meanwhile cannot
    /// make them fail. Open must be applied before any other call.
    /// </remarks>
    public ZoneResult CheckRange(ZoneAction action, long offset, long length, out ZoneRange range)
    {
        range = new ZoneRange(0, -1);
        if (offset < 0 || length <= 0 || length > _geometry.DiskLength - offset)
        {
            return Refuse(ZoneError.OutOfRange, NearestZone(offset));
        }

        long end = offset + length;
        int first = _geometry.ZoneOf(offset), last = _geometry.ZoneOf(end - 1);
        if (!_geometry.IsZoneStart(offset) || (end != _geometry.DiskLength && !_geometry.IsZoneStart(end)))
        {
            return Refuse(ZoneError.Unaligned, _geometry.IsZoneStart(offset) ? last : first);
        }

        if (action == ZoneAction.Reset && length == _geometry.DiskLength)
        {
            first = _geometry.ConventionalZones;
        }

        ZoneResult result = CheckTransitions(action, first, last);
        if (result.IsOk && action == ZoneAction.Open)
        {
            ZoneResult resources = CheckOpenResources(first, last);
            result = resources.IsOk ? result : resources;
        }

        if (result.IsOk)
        {
            range = new ZoneRange(first, last);
        }

        return result;
    }

    /// <summary>
    /// The first zone of a checked range, from <paramref name="from"/> on, that the action really changes; -1 when there is none
    /// left. Walk the
    /// zones whose data a finish or reset must clear with it: <c>for (z = NextChange(a, r, r.First); z >= 0; z = NextChange(a, r,
    /// z + 1))</c>.
    /// </summary>
    public int NextChange(ZoneAction action, ZoneRange range, int from)
    {
        byte stays = (byte)ConditionAfter(action);
        for (int zone = Math.Max(from, range.First); zone <= range.Last; zone++)
        {
            bool changes = action == ZoneAction.Close
                ? ConditionOf(zone) is ZoneCondition.ImplicitlyOpen or ZoneCondition.ExplicitlyOpen
                : _conditions[zone] != stays;
            if (changes)
            {
                return zone;
            }
        }

        return -1;
    }

    /// <summary>Makes the transitions of a checked range, or of a part of it.</summary>
    /// <returns>Number of zones that changed.</returns>
    public int Apply(ZoneAction action, ZoneRange range)
    {
        if (action == ZoneAction.Open)
        {
            return ApplyOpen(range);
        }

        int changed = 0;
        for (int zone = NextChange(action, range, range.First); zone >= 0; zone = NextChange(action, range, zone + 1))
        {
            changed++;
            switch (action)
            {
                case ZoneAction.Close:
                    MakeClosed(zone);
                    break;
                case ZoneAction.Finish:
                    RequireIdle(zone);
                    MakeFull(zone);
                    break;
                default:
                    RequireIdle(zone);
                    MakeEmpty(zone);
                    break;
            }
        }

        return changed;
    }

    /// <summary>Checks and applies in one go, for actions without data work (open, close) and for tests.</summary>
    public ZoneResult Manage(ZoneAction action, long offset, long length)
    {
        ZoneResult result = CheckRange(action, offset, length, out ZoneRange range);
        if (result.IsOk)
        {
            Apply(action, range);
        }

        return result;
    }

    private static ZoneCondition ConditionAfter(ZoneAction action) => action switch
    {
        ZoneAction.Open => ZoneCondition.ExplicitlyOpen,
        ZoneAction.Close => ZoneCondition.Closed,
        ZoneAction.Finish => ZoneCondition.Full,
        _ => ZoneCondition.Empty,
    };

    /// <summary>The rows of the state table, without resources.</summary>
    private static ZoneError CheckTransition(ZoneAction action, ZoneCondition from) => from switch
    {
        ZoneCondition.NotWritePointer => ZoneError.Conventional,
        ZoneCondition.ReadOnly => ZoneError.ReadOnly,
        ZoneCondition.Offline => ZoneError.Offline,
        ZoneCondition.Full when action == ZoneAction.Open => ZoneError.Full,
        ZoneCondition.Full when action == ZoneAction.Close => ZoneError.InvalidTransition,
        _ => ZoneError.None,
    };

    private ZoneResult CheckTransitions(ZoneAction action, int first, int last)
    {
        int notMoved = -1;
        for (int zone = first; zone <= last; zone++)
        {
            // A conventional zone that is READ ONLY is still first of all conventional.
            ZoneError error = _geometry.IsSequential(zone) ? CheckTransition(action, ConditionOf(zone)) : ZoneError.Conventional;
            if (error != ZoneError.None)
            {
                return Refuse(error, zone);
            }

            if (notMoved < 0 && action == ZoneAction.Close && ConditionOf(zone) == ZoneCondition.Empty)
            {
                notMoved = zone;
            }
        }

        return ZoneResult.Done(notMoved >= 0 ? notMoved : Math.Min(first, last), noTransition: notMoved >= 0);
    }

    /// <summary>
    /// Opening counts as one: implicitly open zones of the range keep the resource they have, CLOSED and EMPTY ones take an open
    /// one each, EMPTY ones
    /// an active one too, and only implicitly open zones outside the range can be evicted for them.
    /// </summary>
    private ZoneResult CheckOpenResources(int first, int last)
    {
        long active = ActiveCount, open = _explicit;
        for (int zone = first; zone <= last && _maxOpen != 0; zone++)
        {
            open += ConditionOf(zone) == ZoneCondition.ImplicitlyOpen ? 1 : 0;
        }

        for (int zone = first; zone <= last; zone++)
        {
            ZoneCondition condition = ConditionOf(zone);
            if (condition == ZoneCondition.Empty && _maxActive != 0 && ++active > _maxActive)
            {
                return Refuse(ZoneError.TooManyActive, zone);
            }

            if (condition is ZoneCondition.Empty or ZoneCondition.Closed && _maxOpen != 0 && ++open > _maxOpen)
            {
                return Refuse(ZoneError.TooManyOpen, zone);
            }
        }

        return ZoneResult.Done(first);
    }

    private int ApplyOpen(ZoneRange range)
    {
        int changed = 0;

        // Implicitly open zones of the range first: they have their resource, and must not be evicted for their neighbours.
        for (int zone = range.First; zone <= range.Last; zone++)
        {
            if (ConditionOf(zone) == ZoneCondition.ImplicitlyOpen)
            {
                MakeExplicitlyOpen(zone);
                changed++;
            }
        }

        for (int zone = range.First; zone <= range.Last; zone++)
        {
            if (ConditionOf(zone) != ZoneCondition.ExplicitlyOpen)
            {
                MakeRoom();
                MakeExplicitlyOpen(zone);
                changed++;
            }
        }

        return changed;
    }
}
