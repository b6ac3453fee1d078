using Paddock.Block;

namespace Paddock.Zones.Tests;

/// <summary>
/// Every row of the state table (spec section 3) from every condition, under every limit edge: none, not reached, just reached with
/// something to evict, just reached with nothing to evict, active exhausted. The expectation is the table, written out.
/// </summary>
public class StateTableTests
{
    private const int Target = 4;

    public enum Request
    {
        Write,
        Append,
        Open,
        Close,
        Finish,
        Reset,
    }

    public enum Edge
    {
        /// <summary>No limits.</summary>
        Unlimited,

        /// <summary>One resource of each kind is free besides those of the target.</summary>
        OneLeft,

        /// <summary>Every open resource is in use, at least one by another implicitly open zone.</summary>
        OpenTakenEvictable,

        /// <summary>Every open resource is in use by explicitly open zones.</summary>
        OpenTaken,

        /// <summary>Every active resource is in use, open ones are free.</summary>
        ActiveTaken,
    }

    public static TheoryData<Request, ZoneCondition, Edge> Rows()
    {
        var rows = new TheoryData<Request, ZoneCondition, Edge>();
        foreach (var request in Enum.GetValues<Request>())
        {
            foreach (var condition in Enum.GetValues<ZoneCondition>())
            {
                foreach (var edge in Enum.GetValues<Edge>())
                {
                    rows.Add(request, condition, edge);
                }
            }
        }

        return rows;
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void Every_row_of_the_state_table_holds(Request request, ZoneCondition from, Edge edge)
    {
        var zones = Prepare(from, edge);
        var before = zones.Everything();
        int open = zones.OpenCount, active = zones.ActiveCount;
        var (error, to) = Expect(request, from, edge);

        var result = Do(zones, request, IndexOf(from));

        Assert.Equal(error, result.Error);
        Assert.Equal(to, zones.ConditionOf(IndexOf(from)));
        if (error != ZoneError.None)
        {
            Assert.Equal(before, zones.Everything());
            Assert.Equal((open, active), (zones.OpenCount, zones.ActiveCount));
            Assert.Equal(IndexOf(from), result.Zone);
        }

        CheckCounters(zones);
        Assert.Equal(request == Request.Close && from == ZoneCondition.Empty, result.NoTransition);
    }

    [Theory]
    [InlineData(ZoneCondition.Empty)]
    [InlineData(ZoneCondition.ImplicitlyOpen)]
    [InlineData(ZoneCondition.ExplicitlyOpen)]
    [InlineData(ZoneCondition.Closed)]
    public void Write_that_reaches_the_capacity_makes_the_zone_full_and_frees_both_resources(ZoneCondition from)
    {
        var zones = Disk.Of(8, open: 1, active: 1, capacity: Disk.Zone - 4096);
        zones.Put(Target, from);
        long at = zones.PointerOf(Target);
        Assert.True(zones.Write(at, zones.StartOf(Target) + zones.CapacityOf(Target) - at).IsOk);
        Assert.Equal(ZoneCondition.Full, zones.ConditionOf(Target));
        Assert.Equal((0, 0), (zones.OpenCount, zones.ActiveCount));
        Assert.Equal(zones.StartOf(Target) + Disk.Zone, zones.PointerOf(Target));
        Assert.True(zones.Write(0).IsOk);
    }

    [Theory]
    [InlineData(ZoneAction.Close)]
    [InlineData(ZoneAction.Reset)]
    public void Closing_an_unwritten_open_zone_makes_it_empty(ZoneAction action)
    {
        var zones = Disk.Of(2, open: 1, active: 1);
        Assert.True(zones.Manage(ZoneAction.Open, 0, Disk.Zone).IsOk);
        Assert.Equal(1, zones.ActiveCount);
        Assert.True(zones.Manage(action, 0, Disk.Zone).IsOk);
        Assert.Equal(ZoneCondition.Empty, zones.ConditionOf(0));
        Assert.Equal(0, zones.ActiveCount);
    }

    internal static void CheckCounters(ZoneSet zones)
    {
        var conditions = zones.Conditions();
        Assert.Equal(conditions.Count(c => c == ZoneCondition.ImplicitlyOpen), zones.ImplicitlyOpenCount);
        Assert.Equal(conditions.Count(c => c == ZoneCondition.ExplicitlyOpen), zones.ExplicitlyOpenCount);
        Assert.Equal(conditions.Count(c => c == ZoneCondition.Closed), zones.ClosedCount);
        Assert.True(zones.Limits.MaxOpenZones == 0 || zones.OpenCount <= zones.Limits.MaxOpenZones);
        Assert.True(zones.Limits.MaxActiveZones == 0 || zones.ActiveCount <= zones.Limits.MaxActiveZones);
    }

    private static int IndexOf(ZoneCondition condition) => condition == ZoneCondition.NotWritePointer ? 0 : Target;

    /// <summary>Zone 0 is conventional, zone 4 the target; zones 1 to 3 use resources.</summary>
    private static ZoneSet Prepare(ZoneCondition target, Edge edge)
    {
        bool holdsOpen = target is ZoneCondition.ImplicitlyOpen or ZoneCondition.ExplicitlyOpen;
        bool holdsActive = holdsOpen || target == ZoneCondition.Closed;
        uint open = holdsOpen ? 1u : 0u, active = holdsActive ? 1u : 0u;
        var (maxOpen, maxActive) = edge switch
        {
            Edge.Unlimited => (0u, 0u),
            Edge.OneLeft => (2 + open + 1, 3 + active + 1),
            Edge.ActiveTaken => (2 + open + 1, 3 + active),
            _ => (2 + open, 0u),
        };

        // The target is prepared first: its write and close need a resource temporarily.
        var zones = Disk.Of(8, maxOpen, maxActive, conventional: 1);
        if (target != ZoneCondition.NotWritePointer)
        {
            zones.Put(Target, target);
        }

        if (maxActive != 0)
        {
            zones.Put(3, ZoneCondition.Closed);
        }

        zones.Put(1, ZoneCondition.ExplicitlyOpen);
        zones.Put(2, edge == Edge.OpenTaken ? ZoneCondition.ExplicitlyOpen : ZoneCondition.ImplicitlyOpen);
        Assert.Equal(edge is Edge.OpenTaken or Edge.OpenTakenEvictable, maxOpen != 0 && zones.OpenCount == maxOpen);
        Assert.Equal(edge == Edge.ActiveTaken, maxActive != 0 && zones.ActiveCount == maxActive);
        Assert.True(target == ZoneCondition.NotWritePointer || zones.ConditionOf(Target) == target);
        return zones;
    }

    private static ZoneResult Do(ZoneSet zones, Request request, int zone)
    {
        long start = zones.StartOf(zone);
        return request switch
        {
            Request.Write => zones.Write(zones.ConditionOf(zone) == ZoneCondition.Full ? start : zones.PointerOf(zone)),
            Request.Append => zones.Append(start),
            Request.Open => zones.Manage(ZoneAction.Open, start, zones.LengthOf(zone)),
            Request.Close => zones.Manage(ZoneAction.Close, start, zones.LengthOf(zone)),
            Request.Finish => zones.Manage(ZoneAction.Finish, start, zones.LengthOf(zone)),
            _ => zones.Manage(ZoneAction.Reset, start, zones.LengthOf(zone)),
        };
    }

    private static (ZoneError Error, ZoneCondition To) Expect(Request request, ZoneCondition from, Edge edge)
    {
        ZoneError noActive = edge == Edge.ActiveTaken ? ZoneError.TooManyActive : ZoneError.None;
        ZoneError noOpen = edge == Edge.OpenTaken ? ZoneError.TooManyOpen : ZoneError.None;
        ZoneError opening = from == ZoneCondition.Empty && noActive != ZoneError.None ? noActive : noOpen;
        (ZoneError, ZoneCondition) Opened(ZoneCondition to) => opening == ZoneError.None ? (ZoneError.None, to) : (opening, from);
        return (request, from) switch
        {
            (Request.Write, ZoneCondition.NotWritePointer) => (ZoneError.None, from),
            (_, ZoneCondition.NotWritePointer) => (ZoneError.Conventional, from),
            (_, ZoneCondition.ReadOnly) => (ZoneError.ReadOnly, from),
            (_, ZoneCondition.Offline) => (ZoneError.Offline, from),
            (Request.Write or Request.Append, ZoneCondition.Empty or ZoneCondition.Closed) => Opened(ZoneCondition.ImplicitlyOpen),
            (Request.Write or Request.Append, ZoneCondition.ImplicitlyOpen or ZoneCondition.ExplicitlyOpen) => (ZoneError.None, from),
            (Request.Write or Request.Append or Request.Open, ZoneCondition.Full) => (ZoneError.Full, from),
            (Request.Open, ZoneCondition.Empty or ZoneCondition.Closed) => Opened(ZoneCondition.ExplicitlyOpen),
            (Request.Open, _) => (ZoneError.None, ZoneCondition.ExplicitlyOpen),
            (Request.Close, ZoneCondition.Full) => (ZoneError.InvalidTransition, from),
            (Request.Close, ZoneCondition.Empty) => (ZoneError.None, from),
            (Request.Close, _) => (ZoneError.None, ZoneCondition.Closed),
            (Request.Finish, _) => (ZoneError.None, ZoneCondition.Full),
            _ => (ZoneError.None, ZoneCondition.Empty),
        };
    }
}
