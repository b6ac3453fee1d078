using Paddock.Block;
using Paddock.Faults;
using Paddock.Images.Filters;
using Paddock.Qcow2;

namespace Paddock.Images.Tests;

/// <summary>Devices between a tool and a disk.</summary>
public class FilterTests
{
    private const int Cluster = 4096, Size = 64 * Cluster;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Copy_on_read_leaves_an_overlay_that_needs_no_backing_image(int seed)
    {
        TestContext.Current.TestOutputHelper!.WriteLine($"seed {seed}");
        var random = new Random(seed);
        byte[] model = Bytes(random, Size);
        var below = await MemoryAsync(model);
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(
            storage, new Qcow2CreateOptions { Size = Size, ClusterSize = Cluster, BackingFile = "base", BackingFormat = "raw" }, Token);
        await using (var overlay = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { Gate = new Gate(below) }, Token))
        {
            var device = new CopyOnReadDevice(overlay, Cluster);
            for (int i = 0; i < 100; i++)
            {
                int offset = random.Next(Size), length = random.Next(1, Math.Min(3 * Cluster, Size - offset) + 1);
                byte[] data = Bytes(random, length), found = new byte[Cluster];
                switch (random.Next(3))
                {
                    case 0:
                        // a write and reads of the same clusters at once: the write wins wherever it is copied
                        int start = offset / Cluster * Cluster;
                        await Task.WhenAll(
                            device.ReadAsync(start, found, Token).AsTask(),
                            device.WriteAsync(offset, data, WriteFlags.None, Token).AsTask());
                        data.CopyTo(model, offset);
                        break;
                    case 1:
                        await device.WriteZeroesAsync(offset, length, ZeroFlags.None, Token);
                        model.AsSpan(offset, length).Clear();
                        break;
                    default:
                        await device.ReadAsync(offset, data, Token);
                        Assert.Equal(model[offset..(offset + length)], data);
                        break;
                }
            }

            byte[] all = new byte[Size];
            await device.ReadAsync(0, all, Token);
            Assert.Equal(model, all);
            await device.FlushAsync(Token);
        }

        await using var alone = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { NoBacking = true, ReadOnly = true }, Token);
        byte[] kept = new byte[Size];
        await alone.ReadAsync(0, kept, Token);
        Assert.Equal(model, kept);
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, cancellationToken: Token);
        Assert.Equal((0, 0, 0), (report.Corruptions, report.Leaks, report.CheckErrors));
    }

    [Fact]
    public async Task Copy_on_read_raises_its_event_once_for_each_copy()
    {
        var below = await MemoryAsync(Bytes(new Random(5), Size));
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(
            storage, new Qcow2CreateOptions { Size = Size, ClusterSize = Cluster, BackingFile = "base", BackingFormat = "raw" }, Token);
        await using var overlay = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { Gate = new Gate(below) }, Token);
        var once = new SetStateRule { Event = FaultEvents.CopyOnRead, State = 1, NewState = 2 };
        var twice = new SetStateRule { Event = FaultEvents.CopyOnRead, State = 2, NewState = 3 };
        await using var events = new FaultStorage(new MemoryStorage(), [once, twice]);
        var device = new CopyOnReadDevice(overlay, Cluster, events);
        await device.ReadAsync(100, new byte[100], Token);
        await device.ReadAsync(0, new byte[Cluster], Token);
        Assert.Equal(2, events.State);
    }

    [Fact]
    public async Task Quorum_outvotes_a_disk_and_rewrites_it()
    {
        byte[] good = Bytes(new Random(1), 4096), bad = Bytes(new Random(2), 4096);
        IBlockDevice[] disks = [await MemoryAsync(good), await MemoryAsync(bad), await MemoryAsync(good)];
        await using var quorum = new QuorumDevice(disks, new QuorumRules(2, Rewrites: true));
        Assert.Equal(good, await ReadAsync(quorum, 4096));
        Assert.Equal(good, await ReadAsync(disks[1], 4096));
    }

    [Fact]
    public async Task Quorum_reports_no_zeroes_where_the_majority_has_data()
    {
        var disks = new List<IBlockDevice>();
        foreach (bool hasData in new[] { true, true, false })
        {
            var storage = new MemoryStorage();
            await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = Size, ClusterSize = Cluster }, Token);
            disks.Add(await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions(), Token));
            if (hasData)
            {
                await disks[^1].WriteAsync(Cluster, new byte[] { 1 }, cancellationToken: Token);
            }
        }

        await using var quorum = new QuorumDevice(disks, new QuorumRules(2));
        var status = await quorum.GetStatusAsync(0, Size, Token);
        Assert.Equal((Cluster, BlockStatusFlags.Zero), (status.Length, status.Flags & BlockStatusFlags.Zero));
        status = await quorum.GetStatusAsync(Cluster, Size - Cluster, Token);
        Assert.Equal(BlockStatusFlags.None, status.Flags & BlockStatusFlags.Zero);
    }

    [Fact]
    public async Task Quorum_without_a_majority_fails_to_read()
    {
        IBlockDevice[] disks = [await MemoryAsync(Bytes(new Random(1), 512)), await MemoryAsync(Bytes(new Random(2), 512))];
        await using var quorum = new QuorumDevice(disks, new QuorumRules(2));
        var failure = await Assert.ThrowsAsync<BlockException>(() => ReadAsync(quorum, 512));
        Assert.Equal((BlockError.Io, 5), (failure.Error, failure.Errno));
        await using var verified = new QuorumDevice(disks, new QuorumRules(2, Verifies: true));
        await Assert.ThrowsAsync<MismatchException>(() => ReadAsync(verified, 512));
    }

    [Fact]
    public async Task Quorum_tolerates_failures_up_to_its_threshold()
    {
        byte[] good = Bytes(new Random(1), 512);
        IBlockDevice[] disks = [Failing(), await MemoryAsync(good), await MemoryAsync(good)];
        await using var two = new QuorumDevice(disks, new QuorumRules(2));
        Assert.Equal(good, await ReadAsync(two, 512));
        await two.WriteAsync(0, good, WriteFlags.None, Token);
        await using var three = new QuorumDevice(disks, new QuorumRules(3));
        await Assert.ThrowsAsync<BlockException>(() => ReadAsync(three, 512));
        await Assert.ThrowsAsync<BlockException>(() => three.WriteAsync(0, good, WriteFlags.None, Token).AsTask());
        await using var first = new QuorumDevice(disks, new QuorumRules(1, QuorumRead.First));
        Assert.Equal(good, await ReadAsync(first, 512));
    }

    [Fact]
    public async Task Throttled_request_waits_until_the_clock_says_that_there_is_room()
    {
        var clock = new HandClock();
        var limits = new Dictionary<ThrottleKind, ThrottleLimit> { [ThrottleKind.Requests] = new(10, 0, 1) };
        var device = new ThrottleDevice(await MemoryAsync(new byte[4096]), new ThrottleGroup(limits, 0, clock));
        await device.ReadAsync(0, new byte[512], Token);
        await device.ReadAsync(0, new byte[512], Token);
        var third = device.ReadAsync(0, new byte[512], Token).AsTask();
        Assert.False(third.IsCompleted);
        clock.Advance(TimeSpan.FromMilliseconds(100));
        await third;
    }

    [Fact]
    public async Task Reads_and_writes_have_limits_of_their_own()
    {
        var clock = new HandClock();
        var limits = new Dictionary<ThrottleKind, ThrottleLimit> { [ThrottleKind.WriteBytes] = new(5120, 0, 1) };
        var device = new ThrottleDevice(await MemoryAsync(new byte[4096]), new ThrottleGroup(limits, 0, clock));
        await device.WriteAsync(0, new byte[1024], WriteFlags.None, Token);
        var second = device.WriteAsync(0, new byte[512], WriteFlags.None, Token).AsTask();
        Assert.False(second.IsCompleted);
        await device.ReadAsync(0, new byte[4096], Token);
        clock.Advance(TimeSpan.FromSeconds(1));
        await second;
    }

    [Fact]
    public async Task Preallocated_surplus_is_hidden_and_cut_off_on_close()
    {
        var storage = new Kept(new MemoryStorage());
        var device = new PreallocateDevice(new RawDevice(storage), 4096, 65536);
        await device.ResizeAsync(1024, Preallocation.Off, Token);
        Assert.Equal(1024, device.Length);
        Assert.True(storage.Length >= 65536);
        await device.ResizeAsync(2048, Preallocation.Off, Token);
        await device.DisposeAsync();
        Assert.Equal(2048, storage.Length);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Limited_requests_change_what_unlimited_ones_change(int seed)
    {
        TestContext.Current.TestOutputHelper!.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (int run = 0; run < 20; run++)
        {
            int align = 1 << random.Next(10), unit = align * random.Next(1, 20);
            var limits = new FaultLimits
            {
                Align = align,
                MaxTransfer = align * random.Next(4),
                OptWriteZero = unit,
                MaxWriteZero = unit * random.Next(3),
                OptDiscard = unit,
                MaxDiscard = unit * random.Next(3),
            };
            byte[] model = Bytes(random, Size);
            var memory = new MemoryStorage();
            await memory.WriteAsync(0, model, Token);
            await using var storage = new FaultStorage(memory, [], limits);
            for (int i = 0; i < 50; i++)
            {
                int offset = random.Next(Size), length = random.Next(1, Size - offset + 1);
                if (random.Next(2) == 0)
                {
                    byte[] data = Bytes(random, length);
                    await storage.WriteAsync(offset, data, Token);
                    data.CopyTo(model, offset);
                }
                else
                {
                    await storage.WriteZeroesAsync(offset, length, ZeroFlags.None, Token);
                    model.AsSpan(offset, length).Clear();
                }
            }

            byte[] all = new byte[Size];
            await storage.ReadAsync(0, all, Token);
            Assert.True(model.AsSpan().SequenceEqual(all), limits.ToString());
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Split_discard_covers_every_whole_block_once(int seed)
    {
        TestContext.Current.TestOutputHelper!.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (int run = 0; run < 1000; run++)
        {
            int align = 1 << random.Next(4), unit = align * random.Next(1, 8);
            var limits = new FaultLimits { Align = align, OptDiscard = unit, MaxDiscard = unit * random.Next(3) };
            long offset = random.Next(200), length = random.Next(200), end = offset + length;
            long covered = (offset + align - 1) / align * align;
            foreach (var part in limits.SplitDiscard(offset, length))
            {
                Assert.Equal((covered, 0L), (part.Offset, part.Length % align));
                covered += part.Length;
            }

            Assert.Equal(Math.Max((offset + align - 1) / align * align, end / align * align), covered);
        }
    }

    [Fact]
    public async Task Write_of_zeroes_becomes_a_zero_range_only_where_it_is_detected()
    {
        var storage = new MemoryStorage();
        await storage.WriteAsync(0, Bytes(new Random(1), 8192), Token);
        var device = new Nodes.SpacePolicyDevice(new RawDevice(storage), new Nodes.SpacePolicy(Unmap: false, Nodes.ZeroDetection.On));
        await device.WriteAsync(0, new byte[4096], WriteFlags.None, Token);
        await device.DiscardAsync(4096, 4096, Token);
        byte[] all = await ReadAsync(device, 8192);
        Assert.Equal(-1, all.AsSpan(0, 4096).IndexOfAnyExcept((byte)0));
        Assert.NotEqual(-1, all.AsSpan(4096).IndexOfAnyExcept((byte)0));
    }

    private static async Task<IBlockDevice> MemoryAsync(byte[] contents)
    {
        var storage = new MemoryStorage();
        await storage.WriteAsync(0, contents, Token);
        return new RawDevice(storage);
    }

    private static RawDevice Failing()
    {
        var storage = new MemoryStorage();
        storage.SetLengthAsync(512).AsTask().Wait(Token);
        return new RawDevice(new FaultStorage(storage, [new InjectErrorRule { Event = FaultEvents.None }]));
    }

    private static async Task<byte[]> ReadAsync(IBlockDevice device, int length)
    {
        byte[] found = new byte[length];
        await device.ReadAsync(0, found, Token);
        return found;
    }

    private static byte[] Bytes(Random random, int length)
    {
        byte[] bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }

    private sealed class Gate(IBlockDevice below) : IImageGate
    {
        public ValueTask<IBlockDevice?> OpenBackingAsync(
            string name, string? format, IStorage overlay, CancellationToken cancellationToken) => new(below);
    }

    private sealed class Kept(IStorage storage) : DelegatingStorage(storage, owns: false);

    /// <summary>A clock that stands still until it is advanced.</summary>
    private sealed class HandClock : TimeProvider
    {
        private readonly List<(long Due, TimerCallback Callback, object? State)> _timers = [];
        private long _now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _now;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            _timers.Add((_now + dueTime.Ticks, callback, state));
            return new Timer();
        }

        public void Advance(TimeSpan time)
        {
            _now += time.Ticks;
            foreach (var timer in _timers.Where(t => t.Due <= _now).ToArray())
            {
                _timers.Remove(timer);
                timer.Callback(timer.State);
            }
        }

        private sealed class Timer : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period) => true;

            public void Dispose()
            {
            }

            public ValueTask DisposeAsync() => default;
        }
    }
}
