using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Testing;

namespace Paddock.Faults.Tests;

/// <summary>Resizing a device while requests are in flight.</summary>
public class ServedDeviceResizeTests
{
    private const int Large = 1 << 20, Small = 64 << 10;

    [Fact]
    public async Task No_request_runs_during_a_resize_and_growth_reads_as_zeroes()
    {
        var inner = new Watch(Large);
        var device = new ServedDevice(inner.Device);
        bool ends = false;
        int refused = 0;
        var workers = Enumerable.Range(0, 4).Select(seed => Task.Run(async () =>
        {
            var random = new Random(seed);
            byte[] data = [.. Enumerable.Repeat((byte)1, 512)];
            while (!Volatile.Read(ref ends))
            {
                long at = random.Next(Large / 512) * 512L;
                try
                {
                    await (random.Next(4) switch
                    {
                        0 => device.WriteAsync(at, data),
                        1 => device.WriteZeroesAsync(at, 512),
                        2 => device.FlushAsync(),
                        _ => device.ReadAsync(at, new byte[512]),
                    });
                }
                catch (BlockException e) when (e.Error == BlockError.OutOfRange)
                {
                    Interlocked.Increment(ref refused);
                }
            }
        })).ToArray();
        for (int i = 0; i < 200 || Volatile.Read(ref refused) == 0; i++)
        {
            await device.ResizeAsync(Small);
            await Task.Yield();
            await device.ReadAsync(0, new byte[512]);
            await device.ResizeAsync(Large);
        }

        await device.ResizeAsync(Small);
        Volatile.Write(ref ends, true);
        await Task.WhenAll(workers);
        Assert.Equal(0, inner.Met);
        await device.ResizeAsync(Large);
        byte[] rest = new byte[Large - Small];
        await device.ReadAsync(Small, rest);
        Assert.False(rest.AsSpan().ContainsAnyExcept((byte)0));
    }

    [Fact]
    public async Task Resize_waits_for_requests_in_flight_and_later_ones_see_the_new_size()
    {
        var inner = new Watch(Large) { Hold = new TaskCompletionSource() };
        var device = new ServedDevice(inner.Device);
        var first = device.WriteAsync(Large - 512, new byte[512]).AsTask();
        var resize = device.ResizeAsync(Small).AsTask();
        var outside = device.WriteAsync(Large - 512, new byte[512]).AsTask();
        var inside = device.ReadAsync(0, new byte[512]).AsTask();
        Assert.False(resize.IsCompleted || outside.IsCompleted || inside.IsCompleted);
        Assert.Equal(Large, device.Length);
        inner.Hold.SetResult();
        await first;
        await resize;
        await inside;
        Assert.Equal(BlockError.OutOfRange, (await Assert.ThrowsAsync<BlockException>(() => outside)).Error);
        Assert.Equal(Small, inner.Device.Length);
    }

    [Fact]
    public async Task Every_request_beyond_the_end_of_a_shrunk_device_is_out_of_range()
    {
        var device = new ServedDevice(new TestDevice(Large));
        await device.ResizeAsync(Small);
        foreach (var request in new Func<ValueTask>[]
        {
            () => device.ReadAsync(Small, new byte[1]), () => device.WriteAsync(Small - 512, new byte[1024]), ()
                => device.WriteZeroesAsync(Large, 1),
            () => device.DiscardAsync(Small + 1, 0), async () => await device.GetStatusAsync(Small + 1, 1),
        })
        {
            Assert.Equal(BlockError.OutOfRange, (await Assert.ThrowsAsync<BlockException>(() => request().AsTask())).Error);
        }

        await device.ReadAsync(Small, Memory<byte>.Empty);
    }

    [Fact]
    public async Task Resized_is_raised_only_if_the_size_changed()
    {
        var inner = new Watch(Large);
        var device = new ServedDevice(inner.Device);
        int told = 0;
        device.Resized += () => told++;
        await device.ResizeAsync(Large);
        Assert.Equal(0, told);
        await device.ResizeAsync(Small);
        Assert.Equal((1, 1), (told, inner.FlushesAtSize(Small)));
        device.Resizing += length => length > Large ? "too long" : null;
        Assert.Equal("too long", (await Assert.ThrowsAsync<BlockException>(() => device.ResizeAsync(Large + 512).AsTask())).Message);
        inner.Device.Failures[DeviceCall.Resize] = new BlockException(BlockError.NoSpace, "full");
        Assert.Equal(BlockError.NoSpace, (await Assert.ThrowsAsync<BlockException>(() => device.ResizeAsync(Large).AsTask())).Error);
        Assert.Equal((1, (long)Small), (told, device.Length));

        // after a rejected and a failed resize the gate is open
        await device.SettledAsync();
        await device.ReadAsync(0, new byte[512]);
    }

    [Theory]
    [InlineData(Small)]
    [InlineData(2 * Large)]
    public async Task Resize_with_a_failed_flush_is_reported_and_completed_by_a_retry(int size)
    {
        var inner = new Watch(Large);
        inner.Device.Failures[DeviceCall.Flush] = new BlockException(BlockError.Io, "no medium");
        var device = new ServedDevice(inner.Device);
        int told = 0;
        device.Resized += () => told += device.Length == size ? 1 : 0;
        await Assert.ThrowsAsync<BlockException>(() => device.ResizeAsync(size).AsTask());
        Assert.Equal((1, (long)size), (told, device.Length));
        await Assert.ThrowsAsync<BlockException>(() => device.ResizeAsync(size).AsTask());
        inner.Device.Failures.Clear();
        await device.ResizeAsync(size);
        Assert.Equal((1, 1, 1), (told, inner.Resizes, inner.FlushesAtSize(size)));
        await device.ResizeAsync(size);
        Assert.Equal((1, 1), (inner.Resizes, inner.FlushesAtSize(size)));
    }

    [Fact]
    public async Task Resize_to_the_same_size_does_nothing()
    {
        var inner = new Watch(Large) { Hold = new TaskCompletionSource() };
        var device = new ServedDevice(inner.Device);
        var held = device.WriteAsync(0, new byte[512]).AsTask();

        // a request is inside: if the gate were closed, this would wait for it
        await device.ResizeAsync(Large);
        inner.Hold.SetResult();
        await held;
        Assert.Equal(Large, await device.ResizeAsync(now => now, Preallocation.Full));
        Assert.Equal((0, 0), (inner.Resizes, inner.FlushesAtSize(Large)));
    }

    [Fact]
    public async Task Relative_resizes_are_serialized()
    {
        var inner = new Watch(Large) { Hold = new TaskCompletionSource() };
        var device = new ServedDevice(inner.Device);
        var held = device.WriteAsync(0, new byte[512]).AsTask();
        var first = device.ResizeAsync(2 * Large).AsTask();
        var second = device.ResizeAsync(now => now + Small, Preallocation.Off).AsTask();
        var third = device.ResizeAsync(now => throw new InvalidOperationException($"{now}"), Preallocation.Off).AsTask();
        inner.Hold.SetResult();
        await held;
        await first;
        Assert.Equal(2 * Large, await second);
        Assert.Equal($"{(2 * Large) + Small}", (await Assert.ThrowsAsync<InvalidOperationException>(() => third)).Message);
        await device.ReadAsync(2 * Large, new byte[Small]);
    }

    [Fact]
    public async Task Resize_that_waited_for_another_meets_the_objections_of_then()
    {
        var inner = new Watch(Large) { Hold = new TaskCompletionSource() };
        var device = new ServedDevice(inner.Device);
        var held = device.WriteAsync(0, new byte[512]).AsTask();
        var first = device.ResizeAsync(now => now, Preallocation.Off).AsTask();
        var second = device.ResizeAsync(2 * Large).AsTask();
        device.Resizing += _ => "it stops";
        inner.Hold.SetResult();
        await held;
        await Assert.ThrowsAsync<BlockException>(() => first);
        Assert.Equal("it stops", (await Assert.ThrowsAsync<BlockException>(() => second)).Message);
        Assert.Equal((0, Large), (inner.Resizes, inner.Device.Length));
    }

    [Fact]
    public async Task Resize_that_waited_changes_the_device_that_is_there_then()
    {
        var inner = new Watch(Large) { Hold = new TaskCompletionSource() };
        var device = new ServedDevice(inner.Device);
        var held = device.WriteAsync(0, new byte[512]).AsTask();
        var resize = device.ResizeAsync(2 * Large).AsTask();
        var later = new TestDevice(Large);
        device.Replace(later);
        inner.Hold.SetResult();
        await held;
        await resize;
        Assert.Equal((Large, 2 * Large), (inner.Device.Length, later.Length));
    }

    [Fact]
    public async Task Read_only_device_cannot_be_resized()
    {
        var storage = new MemoryStorage();
        await storage.SetLengthAsync(Large);
        var device = CheckedDevice.Wrap(new ServedDevice(new RawDevice(storage, readOnly: true)));
        Assert.Equal(BlockError.ReadOnly, (await Assert.ThrowsAsync<BlockException>(() => device.ResizeAsync(Small).AsTask())).Error);
        await device.ReadAsync(Large - 512, new byte[512]);
    }

    [Fact]
    public async Task Closing_a_gate_waits_for_requests_inside_and_for_an_earlier_close()
    {
        var gate = new RequestGate();
        int ticket = gate.TryEnter();
        Assert.True(ticket >= 0);
        var first = gate.CloseAsync().AsTask();
        var second = gate.CloseAsync().AsTask();
        Assert.Equal(-1, gate.TryEnter());
        var entering = gate.EnterAsync().AsTask();
        Assert.False(first.IsCompleted || entering.IsCompleted);
        gate.Leave(ticket);
        await first;
        Assert.False(second.IsCompleted);
        gate.Open();

        // either the closing or the entering task may be first; the other waits
        if (await Task.WhenAny(entering, second) == second)
        {
            Assert.False(entering.IsCompleted);
            gate.Open();
            gate.Leave(await entering);
        }
        else
        {
            Assert.False(second.IsCompleted);
            gate.Leave(await entering);
            await second;
            gate.Open();
        }

        ticket = gate.TryEnter();
        Assert.True(ticket >= 0);
        gate.Leave(ticket);
    }

    [Fact]
    public async Task Gate_never_admits_requests_while_closed()
    {
        var gate = new RequestGate();
        int inside = 0, met = 0;
        bool ends = false;
        var workers = Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            while (!Volatile.Read(ref ends))
            {
                if (gate.TryEnter() is not (>= 0 and var ticket))
                {
                    await gate.Opened;
                    continue;
                }

                Interlocked.Increment(ref inside);
                Interlocked.Decrement(ref inside);
                gate.Leave(ticket);
            }
        })).ToArray();
        for (int i = 0; i < 20_000; i++)
        {
            await gate.CloseAsync();
            met += Volatile.Read(ref inside);
            gate.Open();
        }

        Volatile.Write(ref ends, true);
        await Task.WhenAll(workers);
        Assert.Equal(0, met);
    }

    [Fact]
    public async Task Open_gate_allocates_nothing()
    {
        var device = new ServedDevice(new TestDevice(Large));
        byte[] data = new byte[512];
        long least = long.MaxValue;
        for (int window = 0; window < 6 && least > 0; window++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 10_000; i++)
            {
                // a disk in memory completes at once, on this thread
                await device.ReadAsync(0, data);
                await device.WriteAsync(0, data);
            }

            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
        await device.DisposeAsync();
    }

    /// <summary>Counts the requests to a disk in memory that are inside while its size changes.</summary>
    private sealed class Watch
    {
        private readonly List<long> _flushes = [];
        private int _inside, _met;

        public Watch(long size) => Device = new TestDevice(size) { Around = RunAsync };

        public TestDevice Device { get; }

        /// <summary>Holds writes until it is completed.</summary>
        public TaskCompletionSource? Hold { get; init; }

        public int Resizes => Device.Count(DeviceCall.Resize);

        public int Met => Volatile.Read(ref _met);

        public int FlushesAtSize(long size)
        {
            lock (_flushes)
            {
                return _flushes.Count(f => f == size);
            }
        }

        private async ValueTask RunAsync(DeviceRequest request, Func<ValueTask> run)
        {
            if (request.Call == DeviceCall.Resize)
            {
                Interlocked.Add(ref _met, Volatile.Read(ref _inside));
                await Task.Yield();
                await run();
                Interlocked.Add(ref _met, Volatile.Read(ref _inside));
                return;
            }

            if (request.Call == DeviceCall.Flush)
            {
                lock (_flushes)
                {
                    _flushes.Add(Device.Length);
                }
            }

            if (request.Call == DeviceCall.Write && Hold is { } hold)
            {
                await hold.Task;
            }

            Interlocked.Increment(ref _inside);
            if (request.Call == DeviceCall.WriteZeroes)
            {
                await Task.Yield();
            }

            await run();
            Interlocked.Decrement(ref _inside);
        }
    }
}
