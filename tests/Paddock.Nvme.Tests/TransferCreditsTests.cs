using Paddock.Nvme.Tcp;

namespace Paddock.Nvme.Tests;

public class TransferCreditsTests
{
    private readonly QueueDouble _queue = new();
    private readonly TransferCredits _credits = new(limit: 8192);

    [Fact]
    public void Transfers_are_granted_in_order_up_to_the_limit()
    {
        var commands = Enumerable.Range(0, 3).Select(i => _queue.Command(i)).ToArray();
        Array.ForEach(commands, _credits.Request);
        Assert.Same(commands[0], _credits.GrantNext());
        Assert.Same(commands[1], _credits.GrantNext());
        Assert.Null(_credits.GrantNext());
        Assert.Equal(8192, _credits.GrantedBytes);
        _credits.Return(commands[1]);
        Assert.Same(commands[2], _credits.GrantNext());
        Assert.Equal([commands[0], commands[2]], _credits.Granted.OrderBy(c => c.Slot));
    }

    [Fact]
    public void Transfer_above_the_limit_is_granted_alone()
    {
        var large = _queue.Command(0, 1 << 20);
        var small = _queue.Command(1);
        _credits.Request(large);
        _credits.Request(small);
        Assert.Same(large, _credits.GrantNext());
        Assert.Null(_credits.GrantNext());
        _credits.Return(large);
        Assert.Same(small, _credits.GrantNext());
        Assert.Equal(4096, _credits.GrantedBytes);
    }

    [Fact]
    public void Small_transfer_does_not_overtake_a_waiting_large_one()
    {
        var (first, large, small) = (_queue.Command(0), _queue.Command(1, 8192), _queue.Command(2, 512));
        _credits.Request(first);
        _credits.Request(large);
        _credits.Request(small);
        Assert.Same(first, _credits.GrantNext());
        Assert.Null(_credits.GrantNext());
        Assert.Equal([large, small], _credits.Waiting);
    }

    [Fact]
    public void Tag_is_valid_only_while_its_transfer_is_granted()
    {
        var command = _queue.Command(5);
        _credits.Request(command);
        Assert.Null(_credits.Find(5));
        _credits.GrantNext();
        Assert.Same(command, _credits.Find(5));
        Assert.Null(_credits.Find(4));
        Assert.Null(_credits.Find(ushort.MaxValue));
        _credits.Return(command);
        Assert.Null(_credits.Find(5));
    }

    [Fact]
    public void Transfer_returned_twice_counts_once()
    {
        var command = _queue.Command(0);
        _credits.Request(command);
        _credits.GrantNext();
        _credits.Return(command);
        _credits.Return(command);
        Assert.Equal(0, _credits.GrantedBytes);
    }
}
