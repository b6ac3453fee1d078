using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Nvme.Ana;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>Hand-overs, lost connections and crashes in random order under load, by seed.</summary>
public class MultipathLoadTests
{
    private const int Record = 4096, Events = 40;
    private const long ZoneSize = 4 << 20;

    [Fact]
    public async Task Hand_overs_and_lost_connections_lose_no_byte_and_append_nothing_twice()
    {
        var random = new Random(TestSeed.Next());
        await using var servers = await TwoServers.StartAsync(8 * ZoneSize, ZoneSize);
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        using var stop = new CancellationTokenSource();
        var load = new Load(disk, random.Next(), stop.Token);
        var (active, waiting) = (servers.First, servers.Second);
        long appends = 0;
        for (int i = 0; i < Events; i++)
        {
            switch (random.Next(4))
            {
                case 0:
                    // a planned hand-over, with the connections or without
                    active.Connect(isReachable: true);
                    break;
                case 1:
                    waiting.Connect(isReachable: true);
                    continue;
                case 2:
                    active.Group.SetState(random.Next(2) == 0 ? AnaState.NonOptimized : AnaState.Optimized);
                    continue;
                default:
                    break;
            }

            await TwoServers.HandOverAsync(active, waiting);
            (active, waiting) = (waiting, active);

            // some requests on each server
            await load.PassAsync(appends += random.Next(1, 30));
        }

        await stop.CancelAsync();
        await load.EndAsync();
        Assert.Equal(0, host.Incarnation);
        await disk.FlushAsync();
        await load.VerifyAsync(servers.Disk);
    }

    /// <summary>
    /// Writes two zones in order with many requests in flight, appends to two more, reads what it has written, and flushes.
    /// </summary>
    private sealed class Load
    {
        private const int InFlight = 8, Zones = 4;

        private readonly IBlockDevice _disk;
        private readonly CancellationToken _stop;
        private readonly Dictionary<long, long> _appended = [];
        private readonly Task[] _running;
        private readonly long[] _written = new long[Zones];
        private readonly Lock _lock = new();
        private long _next, _unknown, _done;

        public Load(IBlockDevice disk, int seed, CancellationToken stop)
        {
            _disk = disk;
            _stop = stop;
            _running =
            [
                Start(() => WriteAsync(0)), Start(() => WriteAsync(1)), Start(() => AppendAsync(2)),
                Start(() => AppendAsync(3)), Start(() => ReadAsync(new Random(seed))), Start(FlushAsync),
            ];
        }

        private static Task Start(Func<Task> work) => Task.Run(work, CancellationToken.None);

        /// <summary>Completes when this many requests have ended.</summary>
        public async Task PassAsync(long count)
        {
            while (Volatile.Read(ref _done) < count && !Array.Exists(_running, static t => t.IsFaulted))
            {
                await Task.Delay(1);
            }
        }

        public Task EndAsync() => Task.WhenAll(_running).WaitAsync(TimeSpan.FromMinutes(2));

        public async Task VerifyAsync(IBlockDevice disk)
        {
            var zone = new ZoneDescriptor[Zones];
            await disk.Zones!.ReportAsync(0, zone);
            byte[] data = new byte[Record];
            for (int z = 0; z < 2; z++)
            {
                Assert.Equal(_written[z], zone[z].WritePointer);
                for (long at = zone[z].Start; at < zone[z].WritePointer; at += Record)
                {
                    await disk.ReadAsync(at, data);
                    Assert.Equal(at, BinaryPrimitives.ReadInt64LittleEndian(data));
                }
            }

            var seen = new HashSet<long>();
            for (int z = 2; z < Zones; z++)
            {
                for (long at = zone[z].Start; at < zone[z].WritePointer; at += Record)
                {
                    await disk.ReadAsync(at, data);
                    Assert.True(seen.Add(BinaryPrimitives.ReadInt64LittleEndian(data)), $"appended twice: {at}");
                }
            }

            Assert.All(_appended, a => Assert.Contains(a.Key, seen));
            Assert.InRange(seen.Count, _appended.Count, _appended.Count + _unknown);
            foreach (var (number, at) in _appended)
            {
                await disk.ReadAsync(at, data);
                Assert.Equal(number, BinaryPrimitives.ReadInt64LittleEndian(data));
            }
        }

        private static byte[] RecordOf(long number)
        {
            byte[] data = new byte[Record];
            BinaryPrimitives.WriteInt64LittleEndian(data, number);
            return data;
        }

        private async Task WriteAsync(int zone)
        {
            var flying = new Queue<Task>();
            long at = zone * ZoneSize;
            _written[zone] = at;
            while (at < (zone + 1) * ZoneSize && !_stop.IsCancellationRequested)
            {
                flying.Enqueue(_disk.WriteAsync(at, RecordOf(at)).AsTask());
                at += Record;
                if (flying.Count == InFlight)
                {
                    await flying.Dequeue();
                    Volatile.Write(ref _written[zone], _written[zone] + Record);
                    Interlocked.Increment(ref _done);
                }
            }

            await Task.WhenAll(flying);
            _written[zone] += flying.Count * Record;
        }

        private async Task AppendAsync(int zone)
        {
            for (long at = 0; at < ZoneSize && !_stop.IsCancellationRequested; at += InFlight * Record)
            {
                await Task.WhenAll(Enumerable.Range(0, InFlight).Select(_ => AppendOneAsync(zone * ZoneSize)));
            }
        }

        private async Task AppendOneAsync(long zone)
        {
            long number = Interlocked.Increment(ref _next);
            try
            {
                long at = await _disk.Zones!.AppendAsync(zone, RecordOf(number));
                lock (_lock)
                {
                    _appended.Add(number, at);
                }
            }
            catch (BlockException e) when (e.Message.Contains("not known", StringComparison.Ordinal))
            {
                Interlocked.Increment(ref _unknown);
            }

            Interlocked.Increment(ref _done);
        }

        private async Task ReadAsync(Random random)
        {
            byte[] data = new byte[Record];
            while (!_stop.IsCancellationRequested)
            {
                int zone = random.Next(2);
                long records = (Volatile.Read(ref _written[zone]) - (zone * ZoneSize)) / Record;
                long at = (zone * ZoneSize) + (records > 0 ? random.NextInt64(records) * Record : 0);
                await _disk.ReadAsync(at, data);
                Assert.Equal(records > 0 ? at : BinaryPrimitives.ReadInt64LittleEndian(data), BinaryPrimitives.ReadInt64LittleEndian(data));
                Interlocked.Increment(ref _done);
            }
        }

        private async Task FlushAsync()
        {
            while (!_stop.IsCancellationRequested)
            {
                await _disk.FlushAsync();
                await Task.Yield();
            }
        }
    }
}
