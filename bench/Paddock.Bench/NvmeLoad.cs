using System.Diagnostics;
using System.Globalization;
using Paddock.Block;
using Paddock.Nvme;

namespace Paddock.Bench;

/// <summary>
/// A load on an NVMe/TCP server: <c>nvme PORT NQN read|write|append BYTES DEPTH CONNECTIONS SECONDS</c>. Writes go to as many zones as there are
/// connections, each zone written in order; reads are of the disk's first quarter; one line: requests a second, MiB/s, p50, p99.9.
/// </summary>
internal static class NvmeLoad
{
    public static async Task<int> RunAsync(string[] args)
    {
        var (port, nqn, operation) = (Parse(args[0]), args[1], args[2]);
        var (size, depth, connections, seconds) = (Parse(args[3]), Parse(args[4]), Parse(args[5]), Parse(args[6]));
        var hosts = new List<NvmeTcpHost>();
        var workers = new List<Worker>();
        for (int i = 0; i < connections; i++)
        {
            var host = await NvmeTcpHost.ConnectAsync(new NvmeTcpHostOptions { Host = "127.0.0.1", Port = port, SubsystemNqn = nqn, QueueDepth = Math.Max(depth, 2) });
            hosts.Add(host);
            var disk = (IZonedBlockDevice)await host.OpenAsync(1, ownsHost: false);
            if (i == 0 && operation != "read")
            {
                await disk.ManageZonesAsync(ZoneAction.Reset, 0, disk.Length);
            }

            workers.Add(new Worker(disk, operation, size, depth, i, connections));
        }

        long start = Stopwatch.GetTimestamp();
        var end = start + (seconds * Stopwatch.Frequency);
        await Task.WhenAll(workers.Select(w => Task.Run(() => w.RunAsync(end))));
        double took = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var latencies = workers.SelectMany(w => w.Latencies).Order().ToArray();
        double rate = latencies.Length / took;
        double Quantile(double q)
            => latencies.Length == 0
                ? 0
                : latencies[(int)Math.Min(latencies.Length - 1, q * latencies.Length)] * 1e6 / Stopwatch.Frequency;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{operation} {size} depth {depth} x{connections}: {rate:F0} IOPS {rate * size / (1 << 20):F0} MiB/s"
                + $" p50 {Quantile(0.5):F0} us p99.9 {Quantile(0.999):F0} us"));
        foreach (var host in hosts)
        {
            await host.DisposeAsync();
        }

        return 0;
    }

    private static int Parse(string text) => int.Parse(text, CultureInfo.InvariantCulture);

    /// <summary>One connection's load: a number of requests that each start the next.</summary>
    private sealed class Worker(IZonedBlockDevice disk, string operation, int size, int depth, int index, int workers)
    {
        private readonly Lock _lock = new();
        private readonly Random _random = new(index + 1);
        private long _zone = index;
        private long _at;

        public List<long> Latencies { get; } = new(1 << 20);

        public Task RunAsync(long end) => Task.WhenAll(Enumerable.Range(0, depth).Select(_ => LoopAsync(end)));

        private async Task LoopAsync(long end)
        {
            byte[] buffer = GC.AllocateUninitializedArray<byte>(size, pinned: true);
            while (true)
            {
                long begun = Stopwatch.GetTimestamp();
                if (begun >= end)
                {
                    return;
                }

                if (operation == "read")
                {
                    await disk.ReadAsync(NextRead(), buffer);
                }
                else if (operation == "append")
                {
                    await disk.AppendAsync(NextWrite() / disk.Zoned.ZoneSize * disk.Zoned.ZoneSize, buffer);
                }
                else
                {
                    await WriteInOrderAsync(buffer);
                }

                long took = Stopwatch.GetTimestamp() - begun;
                lock (_lock)
                {
                    Latencies.Add(took);
                }
            }
        }

        // the request must leave in the order in which it took its place
        private ValueTask WriteInOrderAsync(byte[] buffer)
        {
            lock (_lock)
            {
                return disk.WriteAsync(NextWrite(), buffer);
            }
        }

        private long NextRead()
        {
            lock (_lock)
            {
                return _random.NextInt64(disk.Length / 4 / size) * size;
            }
        }

        private long NextWrite()
        {
            lock (_lock)
            {
                if (_at + size > disk.Zoned.ZoneCapacity)
                {
                    _at = 0;
                    _zone = (_zone + workers) % disk.Zoned.ZoneCount;
                    if (_zone < workers)
                    {
                        throw new InvalidOperationException("the disk is full: give it more zones");
                    }
                }

                long offset = (_zone * disk.Zoned.ZoneSize) + _at;
                _at += size;
                return offset;
            }
        }
    }
}
