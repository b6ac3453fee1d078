using System.Net;
using System.Net.Sockets;
using Paddock.Block;
using Paddock.Testing;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>Acknowledged writes that may be lost are never reported durable.</summary>
public class ClientFlushTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Failed_flush_fails_all_later_ones_until_reopen()
    {
        var device = Devices.Blocks(1 << 20);
        await using var bench = Bench.Of(device);
        await using (var client = await NbdClient.ConnectAsync(bench.Target, Token))
        {
            await client.WriteAsync(0, new byte[512], WriteFlags.None, Token);
            device.Failures[DeviceCall.Flush] = new BlockException(BlockError.Io, "the disk is broken");
            Assert.Contains("broken", (await FailsAsync(client.FlushAsync(Token))).Message, StringComparison.Ordinal);
            device.Failures.Clear();
            foreach (var later in new Func<ValueTask>[]
            {
                () => client.FlushAsync(Token), () => client.FlushAsync(Token), () => client.WriteAsync(0, new byte[512]),
                () => client.WriteZeroesAsync(0, 512), () => client.DiscardAsync(0, 512),
            })
            {
                var failure = await Assert.ThrowsAsync<BlockException>(() => later().AsTask());
                Assert.Contains("reopen", failure.Message, StringComparison.Ordinal);
            }

            await client.ReadAsync(0, new byte[512], Token);
        }

        await using var again = await NbdClient.ConnectAsync(bench.Target, Token);
        await again.WriteAsync(0, new byte[512], WriteFlags.None, Token);
        await again.FlushAsync(Token);
    }

    [Fact]
    public async Task Flush_cancelled_by_a_stopping_server_can_be_retried()
    {
        var device = Devices.Blocks(1 << 20);
        device.Failures[DeviceCall.Flush] = new BlockException(BlockError.Cancelled, "stopping");
        await using var bench = Bench.Of(device);
        await using var client = await NbdClient.ConnectAsync(bench.Target, Token);
        await client.WriteAsync(0, new byte[512], WriteFlags.None, Token);
        await FailsAsync(client.FlushAsync(Token));
        device.Failures.Clear();
        await client.FlushAsync(Token);
        Assert.Equal(2, device.Count(DeviceCall.Flush));
    }

    [Fact]
    public async Task Flush_fails_after_a_reconnect_with_unflushed_writes()
    {
        await using var server = new NbdServer(new NbdServerOptions(), new NbdExport { Name = "", Device = Devices.Blocks(1 << 20) });
        await using var relay = new Relay(Listen(server));
        await using var client = await ConnectAsync(relay);
        await client.WriteAsync(0, new byte[512], WriteFlags.None, Token);
        relay.Cut();
        Assert.Contains("the connection was lost", (await FailsAsync(client.FlushAsync(Token))).Message, StringComparison.Ordinal);
        Assert.Contains("may be lost", (await FailsAsync(client.FlushAsync(Token))).Message, StringComparison.Ordinal);

        await FailsAsync(client.WriteAsync(0, new byte[512]));
        await client.ReadAsync(0, new byte[512], Token);
        await client.DisposeAsync();
        await server.StopAsync();
    }

    [Fact]
    public async Task Flush_succeeds_after_a_reconnect_without_unflushed_writes()
    {
        await using var server = new NbdServer(new NbdServerOptions(), new NbdExport { Name = "", Device = Devices.Blocks(1 << 20) });
        await using var relay = new Relay(Listen(server));
        await using var client = await ConnectAsync(relay);
        await client.WriteAsync(0, new byte[512], WriteFlags.None, Token);
        await client.FlushAsync(Token);
        await client.WriteAsync(0, new byte[512], WriteFlags.Fua, Token);
        relay.Cut();
        await client.FlushAsync(Token);
        await client.WriteAsync(0, new byte[512], WriteFlags.None, Token);
        await client.FlushAsync(Token);
        await client.DisposeAsync();
        await server.StopAsync();
    }

    private static async Task<BlockException> FailsAsync(ValueTask request)
        => await Assert.ThrowsAsync<BlockException>(() => request.AsTask());

    private static ValueTask<NbdClient> ConnectAsync(Relay relay)
        => NbdClient.ConnectAsync(new NbdTarget { Host = "127.0.0.1", Port = relay.Port, ReconnectDelay = TimeSpan.FromSeconds(60) });

    private static int Listen(NbdServer server)
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        server.Listen(listener);
        return ((IPEndPoint)listener.LocalEndPoint!).Port;
    }
}
