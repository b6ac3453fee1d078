using Paddock.Block;

namespace Paddock.Faults.Tests;

public sealed class ServedDeviceFaultTests : IAsyncDisposable
{
    private const int Moves = 1000;

    private readonly DeviceFaults _faults = new();
    private readonly ServedDevice _device;

    public ServedDeviceFaultTests()
    {
        var storage = new MemoryStorage();
        _device = new ServedDevice(new RawDevice(storage, readOnly: false, 0), _faults);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _device.DisposeAsync();

    [Fact]
    public async Task Nth_every_and_count_choose_the_failing_writes()
    {
        _faults.Add(new DeviceFault { Operations = DeviceOperations.Write, Nth = 3, Every = 2, Count = 3, Error = BlockError.NoSpace });
        Assert.Equal("..x.x.x..", await WritesAsync(9));
        var state = Assert.Single(_faults.Rules);
        Assert.Equal((3, true), (state.Hits, state.Spent));
        Assert.Equal(7, state.Seen);
    }

    [Fact]
    public async Task Rule_with_count_0_fails_requests_until_cleared()
    {
        int id = _faults.Add(new DeviceFault { Operations = DeviceOperations.Write, Count = 0 });
        Assert.Equal("xxxx", await WritesAsync(4));
        Assert.Equal(0, _faults.Clear(id + 1));
        Assert.Equal(1, _faults.Clear(id));
        Assert.Equal("..", await WritesAsync(2));
    }

    [Fact]
    public async Task Rule_matches_requests_in_its_range_and_every_flush()
    {
        _faults.Add(new DeviceFault { Offset = 1024, Length = 512, Count = 0 });
        await _device.WriteAsync(0, new byte[1024], cancellationToken: Token);
        await _device.WriteAsync(1536, new byte[512], cancellationToken: Token);
        await Assert.ThrowsAsync<InjectedFaultException>(async () => await _device.WriteAsync(0, new byte[1025], cancellationToken: Token));
        await Assert.ThrowsAsync<InjectedFaultException>(async () => await _device.ReadAsync(1535, new byte[1], Token));
        await Assert.ThrowsAsync<InjectedFaultException>(async () => await _device.FlushAsync(Token));
    }

    [Fact]
    public async Task Same_seed_chooses_same_requests()
    {
        var fault = new DeviceFault { Operations = DeviceOperations.Write, Count = 0, Probability = 0.5, Seed = 7 };
        int id = _faults.Add(fault);
        string first = await WritesAsync(64);
        _faults.Clear(id);
        _faults.Add(fault);
        Assert.Equal(first, await WritesAsync(64));
        Assert.InRange(first.Count(c => c == 'x'), 16, 48);
    }

    [Fact]
    public async Task Rules_count_independently_and_the_oldest_decides()
    {
        _faults.Add(new DeviceFault { Operations = DeviceOperations.Write, Error = BlockError.NoSpace });
        _faults.Add(new DeviceFault { Operations = DeviceOperations.Any, Nth = 2, Error = BlockError.Busy });
        var first = await Assert.ThrowsAsync<InjectedFaultException>(
            async () => await _device.WriteAsync(0, new byte[512], cancellationToken: Token));
        var second = await Assert.ThrowsAsync<InjectedFaultException>(async () => await _device.FlushAsync(Token));
        Assert.Equal((BlockError.NoSpace, BlockError.Busy), (first.Error, second.Error));
    }

    [Fact]
    public async Task Held_request_blocks_no_other_and_resumes_on_release()
    {
        _faults.Add(new DeviceFault { Operations = DeviceOperations.Write, Action = DeviceFaultAction.Hang });
        var hangs = _device.WriteAsync(0, new byte[512], cancellationToken: Token).AsTask();
        await _device.WriteAsync(512, new byte[512], cancellationToken: Token);
        Assert.False(hangs.IsCompleted);
        Assert.Equal(1, _faults.Rules[0].Waiting);
        Assert.Equal(1, _faults.Release());
        await hangs;
        Assert.Equal(0, _faults.Release());
        Assert.Equal(1024, _device.Length);
    }

    [Fact]
    public async Task Held_request_is_cancelled_by_its_source_and_no_other()
    {
        using var mine = new CancellationTokenSource();
        using var other = new CancellationTokenSource();
        _faults.Add(new DeviceFault { Action = DeviceFaultAction.Hang });
        var hangs = _device.FlushAsync(mine.Token).AsTask();
        Assert.False(_faults.CancelHeld(other));
        Assert.False(other.IsCancellationRequested);
        Assert.True(_faults.CancelHeld(mine));
        Assert.Equal(BlockError.Cancelled, (await Assert.ThrowsAsync<BlockException>(() => hangs)).Error);
        Assert.True(mine.IsCancellationRequested);
        Assert.False(_faults.CancelHeld(mine));
    }

    [Fact]
    public async Task Cancelled_token_ends_the_wait()
    {
        using var mine = new CancellationTokenSource();
        _faults.Add(new DeviceFault { Action = DeviceFaultAction.Delay, Delay = TimeSpan.FromHours(1) });
        var waits = _device.FlushAsync(mine.Token).AsTask();
        await mine.CancelAsync();
        Assert.Equal(BlockError.Cancelled, (await Assert.ThrowsAsync<BlockException>(() => waits)).Error);
    }

    [Fact]
    public void Number_of_rules_is_limited()
    {
        for (int i = 0; i < DeviceFaults.MaxRules; i++)
        {
            _faults.Add(new DeviceFault());
        }

        Assert.Equal(BlockError.Busy, Assert.Throws<BlockException>(() => _faults.Add(new DeviceFault())).Error);
    }

    [Fact]
    public async Task Without_rules_a_request_allocates_nothing()
    {
        var data = new byte[512];
        await MoveAsync(data);
        long before = GC.GetAllocatedBytesForCurrentThread();
        await MoveAsync(data);

        // the runtime may allocate for itself meanwhile: less than a byte per request
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, Moves);
    }

    private async Task MoveAsync(byte[] data)
    {
        for (int i = 0; i < Moves; i++)
        {
            await _device.WriteAsync(0, data);
            await _device.ReadAsync(0, data);
        }
    }

    private async Task<string> WritesAsync(int count)
    {
        var seen = new List<char>();
        for (int i = 0; i < count; i++)
        {
            try
            {
                await _device.WriteAsync(0, new byte[512], cancellationToken: Token);
                seen.Add('.');
            }
            catch (BlockException)
            {
                seen.Add('x');
            }
        }

        return string.Concat(seen);
    }
}
