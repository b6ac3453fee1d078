using Paddock.Nvme.Target;
using Paddock.Nvme.Tcp;

namespace Paddock.Nvme.Tests;

public class ZoneOrderTests
{
    private static readonly ZoneKey First = new(1, 0), Second = new(1, 1), OtherNamespace = new(2, 0);

    private readonly QueueDouble _queue = new();
    private readonly ZoneOrder _order = new();

    [Fact]
    public void Write_starts_once_its_data_has_arrived_and_no_earlier_write_of_its_zone_waits()
    {
        TcpCommand a = Add(0, First), b = Add(1, First);
        Assert.True(_order.MarkReady(b));
        Assert.Empty(Started());
        Assert.True(_order.MarkReady(a));
        Assert.Equal([a, b], Started());
        Assert.True(_order.IsEmpty);
    }

    [Fact]
    public void Write_of_another_zone_or_namespace_does_not_wait()
    {
        Add(0, First);
        Assert.True(_order.IsBusy(First));
        Assert.False(_order.IsBusy(Second));
        Assert.False(_order.IsBusy(OtherNamespace));
        TcpCommand second = Add(1, Second), other = Add(2, OtherNamespace);
        _order.MarkReady(other);
        _order.MarkReady(second);
        Assert.Equal([second, other], Started());
    }

    [Fact]
    public void Removing_a_write_starts_those_queued_behind_it()
    {
        TcpCommand damaged = Add(0, First), b = Add(1, First, isReady: true);
        Assert.Empty(Started());
        _order.Remove(damaged);
        Assert.Equal([b], Started());
    }

    [Fact]
    public void Removing_an_unknown_write_changes_nothing()
    {
        var a = Add(0, First, isReady: true);
        _order.Remove(_queue.Command(7));
        Assert.False(_order.MarkReady(_queue.Command(8)));
        Assert.Equal([a], Started());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(20261128)]
    public void Writes_of_each_zone_start_in_order_of_arrival_whatever_the_order_of_their_data(int seed)
    {
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var zoneOf = new Dictionary<TcpCommand, ZoneKey>();
        List<TcpCommand> arrived = [], noData = [], started = [];
        for (int i = 0; i < 2000 || noData.Count > 0; i++)
        {
            if (i < 2000 && random.Next(2) == 0)
            {
                var zone = new ZoneKey((uint)random.Next(1, 3), (ulong)random.Next(3));
                var command = Add(i, zone);
                zoneOf.Add(command, zone);
                arrived.Add(command);
                noData.Add(command);
            }
            else if (noData.Count > 0)
            {
                int which = random.Next(noData.Count);
                Assert.True(_order.MarkReady(noData[which]));
                noData.RemoveAt(which);
                started.AddRange(Started());
                Assert.All(started, c => Assert.DoesNotContain(c, noData));
            }
        }

        foreach (var zone in zoneOf.Values.Distinct())
        {
            Assert.Equal(arrived.Where(c => zoneOf[c] == zone), started.Where(c => zoneOf[c] == zone));
        }
    }

    private TcpCommand Add(int slot, ZoneKey zone, bool isReady = false)
    {
        var command = _queue.Command(slot);
        _order.Add(command, zone, isReady);
        return command;
    }

    private List<TcpCommand> Started()
    {
        var started = new List<TcpCommand>();
        int position = 0;
        while (_order.TakeReady(ref position) is { } command)
        {
            started.Add(command);
        }

        return started;
    }
}
