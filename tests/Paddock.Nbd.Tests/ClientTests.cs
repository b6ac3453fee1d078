using System.Net.Sockets;
using Paddock.Block;
using Paddock.Nbd.Wire;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>The client as a block device, against our own server and against hostile ones.</summary>
public class ClientTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Requests_in_flight_have_the_same_effect_as_on_a_memory_disk(int form)
    {
        const int Size = 4 << 20, Seed = 77;
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {Seed}");
        var random = new Random(Seed);
        await using var bench = Bench.Of(Bench.Disk(Size).Device, new NbdServerOptions { Newest = (HeaderForm)form });
        await using var client = await NbdClient.ConnectAsync(bench.Target, TestContext.Current.CancellationToken);
        Assert.Equal(form, client.Info.Headers);
        byte[] model = new byte[Size];
        for (int round = 0; round < 30; round++)
        {
            var tasks = new List<Task>();

            // slots that do not overlap, so that the order does not matter
            foreach (int slot in Enumerable.Range(0, 64).Where(_ => random.Next(3) > 0))
            {
                int at = (slot * 65536) + random.Next(1000), length = random.Next(1, 60000);
                byte[] data = new byte[length];
                random.NextBytes(data);
                if (random.Next(4) == 0)
                {
                    Array.Clear(data);
                    tasks.Add(client.WriteZeroesAsync(at, length, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.Fua).AsTask());
                }
                else
                {
                    tasks.Add(client.WriteAsync(at, data, random.Next(4) == 0 ? WriteFlags.Fua : WriteFlags.None).AsTask());
                }

                data.CopyTo(model, at);
            }

            await Task.WhenAll(tasks);
            byte[] all = new byte[Size];
            await Task.WhenAll(Enumerable.Range(0, 64).Select(i => client.ReadAsync(i * 65536, all.AsMemory(i * 65536, 65536)).AsTask()));
            Assert.True(model.AsSpan().SequenceEqual(all));
        }

        await client.FlushAsync(TestContext.Current.CancellationToken);
        await client.DiscardAsync(0, Size, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Requests_above_the_server_limit_are_split()
    {
        const int Size = 80 << 20;
        await using var bench = Bench.Of(Bench.Disk(Size).Device);
        await using var client = await NbdClient.ConnectAsync(bench.Target, TestContext.Current.CancellationToken);
        byte[] data = new byte[Size], got = new byte[Size];
        new Random(1).NextBytes(data);
        await client.WriteAsync(0, data, WriteFlags.Fua, TestContext.Current.CancellationToken);
        await client.ReadAsync(0, got, TestContext.Current.CancellationToken);
        Assert.True(data.AsSpan().SequenceEqual(got));
    }

    [Fact]
    public async Task Block_status_and_errors_reach_the_caller()
    {
        var (disk, _) = Bench.Disk();
        await using var bench = Bench.Of(disk);
        await using var client = await NbdClient.ConnectAsync(bench.Target, TestContext.Current.CancellationToken);
        await client.WriteAsync(65536, new byte[65536], WriteFlags.None, TestContext.Current.CancellationToken);
        var hole = await client.GetStatusAsync(0, 1 << 20, TestContext.Current.CancellationToken);
        var data = await client.GetStatusAsync(65536, 4096, TestContext.Current.CancellationToken);
        Assert.Equal((65536L, BlockStatusFlags.Zero), (hole.Length, hole.Flags & (BlockStatusFlags.Zero | BlockStatusFlags.Data)));
        Assert.Equal((4096L, BlockStatusFlags.Data), (data.Length, data.Flags & (BlockStatusFlags.Zero | BlockStatusFlags.Data)));
        var refused = await Assert.ThrowsAsync<BlockException>(async () => await client.ReadAsync(1 << 20, new byte[512]));
        Assert.Equal(BlockError.InvalidArgument, refused.Error);
        Assert.Contains("outside the export", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Unknown_export_is_rejected_with_the_server_message()
    {
        await using var bench = Bench.Of(Bench.Disk().Device);
        var refused = await Assert.ThrowsAsync<BlockException>(
            async () => await NbdClient.ConnectAsync(bench.Target with { ExportName = "x" }));
        Assert.Equal("Requested export not available\nserver reported: export 'x' not present", refused.Message);
    }

    [Fact]
    public async Task Lost_connection_is_reopened_if_a_reconnect_delay_is_set()
    {
        var (disk, _) = Bench.Disk();
        var first = Bench.Of(disk);
        await using var patient = await NbdClient.ConnectAsync(
            first.Target with { ReconnectDelay = TimeSpan.FromSeconds(30) }, TestContext.Current.CancellationToken);
        await using var hasty = await NbdClient.ConnectAsync(first.Target, TestContext.Current.CancellationToken);
        await patient.WriteAsync(0, new byte[] { 1, 2, 3 }, WriteFlags.None, TestContext.Current.CancellationToken);
        string path = first.SocketPath;
        await first.DisposeAsync();

        await Assert.ThrowsAsync<BlockException>(async () => await hasty.ReadAsync(0, new byte[512]));
        byte[] got = new byte[3];
        var reading = patient.ReadAsync(0, got, TestContext.Current.CancellationToken).AsTask();
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        await using var server = new NbdServer(new NbdServerOptions(), new NbdExport { Name = "", Device = disk });
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        server.Listen(listener);
        await reading;
        Assert.Equal([1, 2, 3], got);
        await patient.DisposeAsync();
        await server.StopAsync();
        Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);
    }

    [Theory]
    [InlineData("0000000000000000000000000000000000000000")]
    [InlineData("6744669800000000" + "0000000000000033" + "00000000")]
    [InlineData("6E8A278C" + "0001" + "0001" + "0000000000000000" + "0000000000000000" + "0000000000000208" + "0000000000100000")]
    [InlineData("6E8A278C" + "0001" + "0001" + "0000000000000000" + "0000000000000000" + "00000000FFFFFFFF" + "0000000000000000")]
    [InlineData("6E8A278C" + "0001" + "0005" + "0000000000000000" + "0000000000000000" + "7FFFFFFFFFFFFFFF")]
    [InlineData("6E8A278C" + "0001" + "0000" + "0000000000000000" + "0000000000000000" + "0000000000000000")]
    [InlineData("6E8A278C" + "0001" + "8001" + "0000000000000000" + "0000000000000000" + "0000000000000002" + "0000")]
    public async Task Invalid_reply_fails_the_request_without_hanging(string reply)
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0));
        listener.Listen();
        int port = ((System.Net.IPEndPoint)listener.LocalEndPoint!).Port;
        var server = Task.Run(() => Misbehave(listener, Convert.FromHexString(reply)), TestContext.Current.CancellationToken);
        await using var client = await NbdClient.ConnectAsync(
            new NbdTarget { Host = "127.0.0.1", Port = port }, TestContext.Current.CancellationToken);
        await Assert.ThrowsAsync<BlockException>(async () => await client.ReadAsync(0, new byte[512]));
        await server;
    }

    [Theory]
    [InlineData("nbd://h:99/e%20x", "h", 99, null, "e x")]
    [InlineData("nbd://localhost", "localhost", 10809, null, "")]
    [InlineData("nbd://[::1]:5", "::1", 5, null, "")]
    [InlineData("nbd+unix:///?socket=/run/s", "localhost", 10809, "/run/s", "")]
    [InlineData("nbd+unix://?socket=/run/s", "localhost", 10809, "/run/s", "")]
    [InlineData("nbd+unix:///e?socket=/run/s", "localhost", 10809, "/run/s", "e")]
    [InlineData("nbd:h:77:exportname=a:b", "h", 77, null, "a:b")]
    [InlineData("nbd:unix:/run/s:exportname=a", "localhost", 10809, "/run/s", "a")]
    public void Export_uri_is_parsed(string name, string host, int port, string? path, string export)
    {
        var target = NbdTarget.Parse(name)!;
        Assert.Equal((host, port, path, export), (target.Host, target.Port, target.SocketPath, target.ExportName));
    }

    [Theory]
    [InlineData("nbd:h")]
    [InlineData("nbd:h:0")]
    [InlineData("nbd+unix:///e")]
    [InlineData("nbd://")]
    public void Incomplete_uri_is_rejected(string name) => Assert.Throws<FormatException>(() => NbdTarget.Parse(name));

    [Fact]
    public void File_name_is_not_an_export_uri() => Assert.Null(NbdTarget.Parse("/tmp/nbd/x.qcow2"));

    // negotiates extended headers correctly, then answers the first request with the given reply
    private static void Misbehave(Socket listener, byte[] reply)
    {
        using var socket = listener.Accept();
        socket.ReceiveTimeout = 30000;
        var export = new NbdExport { Name = "", Device = Bench.Disk().Device };
        var handshake = new Server.ServerHandshake(new Dictionary<string, NbdExport> { [""] = export }, new NbdServerOptions());
        handshake.Begin();
        byte[] input = new byte[65536];
        int count = 0;
        for (var step = Server.HandshakeStep.Continue; step != Server.HandshakeStep.Transmission;)
        {
            socket.Send(handshake.Output.Span);
            handshake.Sent();
            step = handshake.Step(input.AsSpan(0, count), out int used);
            input.AsSpan(used, count - used).CopyTo(input);
            count -= used;
            if (step == Server.HandshakeStep.MoreInput)
            {
                count += socket.Receive(input.AsSpan(count));
            }
        }

        socket.Send(handshake.Output.Span);
        socket.Receive(input);
        socket.Send(reply);
        socket.Shutdown(SocketShutdown.Both);
    }
}
