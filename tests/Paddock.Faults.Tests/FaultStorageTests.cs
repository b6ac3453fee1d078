using Paddock.Block;

namespace Paddock.Faults.Tests;

public class FaultStorageTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Request_fails_only_after_the_event_of_the_rule()
    {
        await using var storage = Make(new InjectErrorRule { Event = "l2_load", Errno = 28, Error = BlockError.NoSpace });
        await storage.WriteAsync(0, new byte[512], Token);
        await storage.OnEventAsync("l2_update");
        await storage.WriteAsync(0, new byte[512], Token);
        await storage.OnEventAsync("l2_load");
        var failure = await Assert.ThrowsAsync<BlockException>(() => storage.ReadAsync(0, new byte[512], Token).AsTask());
        Assert.Equal((28, BlockError.NoSpace), (failure.Errno, failure.Error));
        await Fails(storage.FlushAsync(Token));
        await Fails(storage.DiscardAsync(0, 1, Token));
        await Fails(storage.WriteZeroesAsync(0, 1, ZeroFlags.None, Token));
        await storage.GetStatusAsync(0, 512, Token);
    }

    [Fact]
    public async Task Once_rule_fails_one_request_and_is_not_rearmed()
    {
        await using var storage = Make(new InjectErrorRule { Event = "l2_load", Once = true, Immediately = true });
        await storage.OnEventAsync("l2_load");
        var failing = storage.WriteAsync(0, new byte[512], Token);
        Assert.True(failing.IsFaulted);
        await Fails(failing);
        await storage.OnEventAsync("l2_load");
        await storage.WriteAsync(0, new byte[512], Token);
    }

    [Fact]
    public async Task Event_none_occurs_at_open()
    {
        await using var storage = Make(new InjectErrorRule { Event = "none", Io = FaultIo.BlockStatus });
        await storage.ReadAsync(0, new byte[1], Token);
        await Assert.ThrowsAsync<BlockException>(() => storage.GetStatusAsync(0, 1, Token).AsTask());
    }

    [Fact]
    public async Task Rule_for_a_sector_fails_its_requests_and_no_flush()
    {
        await using var storage = Make(new InjectErrorRule { Event = "none", Sector = 2 });
        await storage.WriteAsync(0, new byte[1024], Token);
        await storage.WriteAsync(1536, new byte[512], Token);
        await storage.WriteAsync(1024, ReadOnlyMemory<byte>.Empty, Token);
        await storage.FlushAsync(Token);
        await Fails(storage.WriteAsync(0, new byte[1025], Token));
        await Fails(storage.ReadAsync(1024, new byte[1], Token));
    }

    [Fact]
    public async Task States_select_the_third_write()
    {
        await using var storage = Make(
            new InjectErrorRule { Event = "write_aio", State = 3, Io = FaultIo.Write },
            new SetStateRule { Event = "write_aio", State = 1, NewState = 2 },
            new SetStateRule { Event = "write_aio", State = 2, NewState = 3 });
        await using var device = new RawDevice(storage);
        await device.WriteAsync(0, new byte[512], cancellationToken: Token);
        Assert.Equal(2, storage.State);
        await device.WriteAsync(0, new byte[512], cancellationToken: Token);
        await Fails(device.WriteAsync(0, new byte[512], cancellationToken: Token));
        Assert.Equal(3, storage.State);
    }

    [Fact]
    public async Task Rules_of_a_later_event_replace_those_of_an_earlier_one()
    {
        await using var storage = Make(
            new InjectErrorRule { Event = "cow_read", Errno = 5 },
            new InjectErrorRule { Event = "cow_write", Errno = 28, Io = FaultIo.Write });
        await storage.OnEventAsync("cow_read");
        await storage.OnEventAsync("cow_write");
        await storage.ReadAsync(0, new byte[1], Token);
        var failure = await Assert.ThrowsAsync<BlockException>(() => storage.WriteAsync(0, new byte[1], Token).AsTask());
        Assert.Equal(28, failure.Errno);
    }

    [Fact]
    public async Task Request_stops_at_a_breakpoint_until_resumed()
    {
        await using var storage = Make();
        await using var device = new RawDevice(storage);
        var told = new List<string>();
        storage.Suspended += tag => told.Add($"suspended {tag}");
        storage.Resumed += tag => told.Add($"resumed {tag}");
        Assert.True(storage.SetBreak("write_aio", "A"));
        Assert.False(storage.SetBreak("no_such_event", "A"));
        Assert.False(storage.Resume("A"));
        var waiting = storage.WaitSuspendedAsync("A", Token);
        Assert.False(waiting.IsCompleted);
        var write = device.WriteAsync(0, new byte[512], cancellationToken: Token).AsTask();
        await waiting;
        Assert.True(storage.IsSuspended("A"));
        Assert.False(write.IsCompleted);
        Assert.Equal(0, storage.Length);

        // the breakpoint applied to one request: the next passes
        await device.WriteAsync(512, new byte[512], cancellationToken: Token);
        Assert.True(storage.Resume("A"));
        await write;
        Assert.False(storage.IsSuspended("A"));
        Assert.Equal(["suspended A", "resumed A"], told);
    }

    [Fact]
    public async Task Removing_a_breakpoint_resumes_its_requests()
    {
        await using var storage = Make();
        await using var device = new RawDevice(storage);
        storage.SetBreak("read_aio", "A");
        storage.SetBreak("write_aio", "A");
        var read = device.ReadAsync(0, new byte[512], Token).AsTask();
        await storage.WaitSuspendedAsync("A", Token);
        Assert.True(storage.RemoveBreak("A"));
        await read;
        await device.WriteAsync(0, new byte[512], cancellationToken: Token);
        Assert.False(storage.RemoveBreak("A"));
    }

    [Fact]
    public async Task Closing_resumes_stopped_requests()
    {
        var storage = Make();
        storage.SetBreak("cow_read", "A");
        var stopped = storage.OnEventAsync("cow_read").AsTask();
        await storage.DisposeAsync();
        await stopped;
    }

    [Fact]
    public void Storage_without_rules_allocates_nothing()
    {
        var storage = Make();
        var buffer = new byte[512];
        Run(storage, buffer, 100);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Run(storage, buffer, 1000);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private static void Run(FaultStorage storage, byte[] buffer, int times)
    {
        for (int i = 0; i < times; i++)
        {
            var told = storage.OnEventAsync("write_aio");
            bool done = told.IsCompletedSuccessfully;
            var write = storage.WriteAsync(0, buffer);
            done &= write.IsCompletedSuccessfully;
            var read = storage.ReadAsync(0, buffer);
            done &= read.IsCompletedSuccessfully;
            Assert.True(done);
        }
    }

    private static FaultStorage Make(params FaultRule[] rules) => new(new MemoryStorage(), rules);

    private static async Task Fails(ValueTask request) => await Assert.ThrowsAsync<BlockException>(() => request.AsTask());
}
