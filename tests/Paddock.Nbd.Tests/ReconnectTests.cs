using System.Net;
using System.Net.Sockets;
using Paddock.Block;
using Paddock.Testing;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>Requests in flight when their connection is cut.</summary>
public class ReconnectTests
{
    [Fact]
    public async Task Requests_in_flight_resume_after_a_reconnect()
    {
        var (disk, _) = Bench.Disk(2 << 20);
        await using var server = new NbdServer(new NbdServerOptions(), new NbdExport { Name = "", Device = disk });
        int port = Listen(server);
        await using var relay = new Relay(port);
        await using var client = await ConnectAsync(relay, TimeSpan.FromSeconds(60));
        var workers = Enumerable.Range(0, 8).Select(i => Task.Run(async () =>
        {
            var random = new Random(i);
            byte[] own = new byte[8192], got = new byte[8192];
            for (int round = 0; round < 200; round++)
            {
                random.NextBytes(own);
                await client.WriteAsync(i * own.Length, own);
                await client.ReadAsync(i * own.Length, got);
                Assert.True(own.AsSpan().SequenceEqual(got));
            }
        })).ToArray();
        var all = Task.WhenAll(workers);
        for (int cuts = 0; cuts < 8 && await Task.WhenAny(all, Task.Delay(60, TestContext.Current.CancellationToken)) != all; cuts++)
        {
            // reconnect after the server has completed the requests of the lost connection: none may take effect after a later one
            relay.Target = 0;
            relay.Cut();
            while (server.Connections > 0)
            {
                await Task.Delay(1, TestContext.Current.CancellationToken);
                relay.Cut();
            }

            relay.Target = port;
        }

        await all;
        await server.StopAsync();
    }

    [Fact]
    public async Task Waiting_requests_fail_together_at_the_reconnect_limit()
    {
        await using var server = new NbdServer(new NbdServerOptions(), new NbdExport { Name = "", Device = Bench.Disk().Device });
        await using var relay = new Relay(Listen(server));
        await using var client = await ConnectAsync(relay, TimeSpan.FromMilliseconds(300));
        relay.Target = 0;
        relay.Cut();
        foreach (var one in Enumerable.Range(0, 8).Select(_ => client.ReadAsync(0, new byte[4096]).AsTask()).ToArray())
        {
            await Assert.ThrowsAsync<BlockException>(() => one);
        }

        await server.StopAsync();
    }

    [Fact]
    public async Task Relay_ends_without_error_while_clients_connect()
    {
        // a connection accepted at that moment finds the relay's loop between two accepts
        for (int i = 0; i < 500; i++)
        {
            await using var relay = new Relay(0);
            using var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            await client.ConnectAsync(IPAddress.Loopback, relay.Port, TestContext.Current.CancellationToken);
        }
    }

    private static ValueTask<NbdClient> ConnectAsync(Relay relay, TimeSpan delay)
        => NbdClient.ConnectAsync(new NbdTarget { Host = "127.0.0.1", Port = relay.Port, ReconnectDelay = delay });

    private static int Listen(NbdServer server)
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        server.Listen(listener);
        return ((IPEndPoint)listener.LocalEndPoint!).Port;
    }
}
