using System.Net;
using Paddock.Block;
using Paddock.Faults;
using Paddock.Posix;
using Paddock.Testing;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>Behaviour of a host whose connection is lost.</summary>
public class ReconnectTests
{
    [Fact]
    public async Task Reads_continue_across_lost_connections()
    {
        await using var bench = await Bench.StartAsync();
        await using var relay = new Relay(bench.Server.Address.Port);
        byte[] data = new byte[1 << 20];
        new Random(1).NextBytes(data);
        await bench.Zoned.WriteAsync(0, data);
        await using var host = await ConnectAsync(bench, relay);
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        var readers = Enumerable.Range(0, 8).Select(seed => Task.Run(async () =>
        {
            var random = new Random(seed);
            byte[] buffer = new byte[4096];
            for (int i = 0; i < 200; i++)
            {
                int at = random.Next(data.Length / 4096) * 4096;
                await disk.ReadAsync(at, buffer);
                Assert.True(data.AsSpan(at, buffer.Length).SequenceEqual(buffer));
            }
        })).ToArray();
        await CutUntilAsync(relay, Task.WhenAll(readers));
    }

    [Theory]
    [InlineData(4096)]
    [InlineData(65536)]
    public async Task Zone_writes_in_flight_land_once_and_in_order_across_lost_connections(int size)
    {
        await using var bench = await Bench.StartAsync();
        await using var relay = new Relay(bench.Server.Address.Port);
        await using var host = await ConnectAsync(bench, relay);
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        byte[] data = new byte[4 << 20];
        new Random(2).NextBytes(data);
        var writing = Task.Run(async () =>
        {
            var flying = new Queue<Task>();
            for (int at = 0; at < data.Length; at += size)
            {
                flying.Enqueue(disk.WriteAsync(at, data.AsMemory(at, size)).AsTask());
                if (flying.Count == 16)
                {
                    await flying.Dequeue();
                }
            }

            await Task.WhenAll(flying);
        });
        await CutUntilAsync(relay, writing);
        byte[] back = new byte[data.Length];
        await bench.Zoned.ReadAsync(0, back);
        Assert.Equal(data, back);
        await disk.FlushAsync();
    }

    [Fact]
    public async Task Append_is_never_sent_twice()
    {
        await using var bench = await Bench.StartAsync();
        await using var relay = new Relay(bench.Server.Address.Port);
        await using var host = await ConnectAsync(bench, relay);
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        var offsets = new List<long>();
        int unknown = 0;
        var appending = Task.Run(async () =>
        {
            for (int round = 0; round < 16; round++)
            {
                var all = Enumerable.Range(0, 8).Select(_ => disk.Zones!.AppendAsync(0, new byte[4096]).AsTask()).ToArray();
                foreach (var one in all)
                {
                    try
                    {
                        offsets.Add(await one);
                    }
                    catch (BlockException e)
                    {
                        Assert.Contains("not known", e.Message, StringComparison.Ordinal);
                        unknown++;
                    }
                }
            }
        });
        await CutUntilAsync(relay, appending);
        var zone = new ZoneDescriptor[1];
        await bench.Zoned.Zones!.ReportAsync(0, zone);
        long landed = zone[0].WritePointer / 4096;
        Assert.Equal(offsets.Count, offsets.Distinct().Count());
        Assert.InRange(landed, offsets.Count, offsets.Count + unknown);
    }

    [Fact]
    public async Task Flush_after_a_server_lost_its_cache_fails_until_the_namespace_is_reopened()
    {
        await using var bench = await Bench.StartAsync();
        await using var relay = new Relay(bench.Server.Address.Port);
        await using var host = await ConnectAsync(bench, relay);
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        await disk.WriteAsync(0, new byte[4096]);
        relay.Cut();
        await disk.FlushAsync();
        await disk.WriteAsync(4096, new byte[4096]);

        // to the host, this is the same image served by another process
        var target = new NvmeTarget(new NvmeTargetOptions());
        var subsystem = new NvmeSubsystem(bench.Subsystem.Nqn, "TEST");
        subsystem.Add(new NvmeNamespace(1, bench.Namespace.Device, 512, "disk"));
        target.Add(subsystem);
        await using var second = new NvmeTcpServer(target, ServerSockets.Tcp(new IPEndPoint(IPAddress.Loopback, 0)));
        relay.Target = second.Address.Port;
        relay.Cut();
        var told = await Assert.ThrowsAsync<BlockException>(() => disk.FlushAsync().AsTask());
        Assert.Contains("may be lost", told.Message, StringComparison.Ordinal);
        foreach (var later in Later(disk))
        {
            Assert.Contains("reopen", (await Assert.ThrowsAsync<BlockException>(() => later().AsTask())).Message, StringComparison.Ordinal);
        }

        await disk.ReadAsync(0, new byte[4096]);
        await using var again = await host.OpenAsync(1, ownsHost: false);
        await again.WriteAsync(8192, new byte[4096]);
        await again.FlushAsync();
    }

    [Fact]
    public async Task Restart_of_the_server_is_noticed_even_if_the_first_attempt_to_reconnect_fails()
    {
        await using var bench = await Bench.StartAsync();
        await using var relay = new Relay(bench.Server.Address.Port);
        await using var host = await ConnectAsync(bench, relay);
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        await disk.WriteAsync(0, new byte[4096]);

        // a server that lacks the namespace until one attempt has failed
        var target = new NvmeTarget(new NvmeTargetOptions());
        var subsystem = new NvmeSubsystem(bench.Subsystem.Nqn, "TEST");
        target.Add(subsystem);
        await using var second = new NvmeTcpServer(target, ServerSockets.Tcp(new IPEndPoint(IPAddress.Loopback, 0)));
        int ended = 0;
        second.Ended += (_, _) =>
        {
            if (Interlocked.Increment(ref ended) == 1)
            {
                subsystem.Add(new NvmeNamespace(1, bench.Namespace.Device, 512, "disk"));
            }
        };
        relay.Target = second.Address.Port;
        relay.Cut();
        var e = await Assert.ThrowsAsync<BlockException>(() => disk.FlushAsync().AsTask());
        Assert.Contains("may be lost", e.Message, StringComparison.Ordinal);
        Assert.True(ended > 0);
    }

    [Fact]
    public async Task Every_flush_after_a_failed_one_fails()
    {
        await using var bench = await Bench.StartAsync();
        await bench.Zoned.WriteAsync(0, new byte[4096]);
        bench.Faults.Add(new DeviceFault { Operations = DeviceOperations.Flush });
        await Assert.ThrowsAsync<BlockException>(() => bench.Zoned.FlushAsync().AsTask());
        foreach (var later in Later(bench.Zoned))
        {
            Assert.Contains("reopen", (await Assert.ThrowsAsync<BlockException>(() => later().AsTask())).Message, StringComparison.Ordinal);
        }
    }

    private static Func<ValueTask>[] Later(IBlockDevice disk) =>
    [
        () => disk.FlushAsync(), () => disk.FlushAsync(), () => disk.WriteAsync(8192, new byte[4096]), ()
            => disk.WriteZeroesAsync(8192, 4096),
        () => disk.DiscardAsync(0, 4096), async () => await disk.Zones!.AppendAsync(1 << 20, new byte[4096]),
        () => disk.Zones!.ManageAsync(ZoneAction.Reset, 0, 1 << 20),
    ];

    [Fact]
    public async Task All_waiting_requests_fail_together_when_the_server_does_not_return()
    {
        await using var bench = await Bench.StartAsync();
        await using var relay = new Relay(bench.Server.Address.Port);
        await using var host = await ConnectAsync(bench, relay, TimeSpan.FromMilliseconds(300));
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        relay.Target = 0;
        relay.Cut();
        var all = Enumerable.Range(0, 8).Select(i => i % 2 == 0
            ? disk.ReadAsync(0, new byte[4096]).AsTask() : disk.WriteAsync(i / 2 * 4096, new byte[4096]).AsTask()).ToArray();
        foreach (var one in all)
        {
            await Assert.ThrowsAsync<BlockException>(() => one);
        }

        relay.Target = bench.Server.Address.Port;
        await disk.ReadAsync(0, new byte[4096]);
    }

    private static ValueTask<NvmeTcpHost> ConnectAsync(Bench bench, Relay relay, TimeSpan? limit = null)
        => NvmeTcpHost.ConnectAsync(bench.HostOptions() with { Port = relay.Port, ReconnectTime = limit ?? TimeSpan.FromSeconds(60) });

    private static async Task CutUntilAsync(Relay relay, Task load)
    {
        // enough faults to hit commands in flight, and no more: each costs a connection
        for (int cuts = 0; cuts < 8 && await Task.WhenAny(load, Task.Delay(60)) != load; cuts++)
        {
            relay.Cut();
        }

        await load;
    }
}
