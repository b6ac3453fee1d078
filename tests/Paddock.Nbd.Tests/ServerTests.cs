using Paddock.Block;
using Paddock.Nbd.Wire;
using Paddock.Qcow2;
using Paddock.Testing;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>Several clients, hostile clients, and the shutdown of the server.</summary>
public class ServerTests
{
    [Fact]
    public async Task Export_is_chosen_by_name()
    {
        await using var bench = new Bench(
            null, new NbdExport { Name = "a", Device = Bench.Disk(512).Device },
            new NbdExport { Name = "b", Device = Bench.Disk(1024).Device });
        using var client = bench.Connect();
        client.Handshake(HeaderForm.Simple, "b");
        client.Ask(NbdCommand.Read, 1, 512, 512);
        Assert.Equal(NbdError.None, client.Simple().Error);
    }

    [Fact]
    public async Task Protocol_violation_closes_only_its_own_connection()
    {
        await using var bench = Bench.Of(Bench.Disk().Device);
        using var good = bench.Connect();
        good.Handshake();
        var attacks = new List<byte[]>
        {
            new byte[64],
            RawClient.Compact(NbdCommand.Write, 1, 0, uint.MaxValue),
            RawClient.Compact(NbdCommand.Write, 1, 0, NbdLimits.MaxPayload + 1),
        };
        foreach (byte[] attack in attacks)
        {
            using var bad = bench.Connect();
            bad.Handshake();
            bad.Send(attack);
            Assert.True(bad.IsHungUp());
            good.Ask(NbdCommand.Read, 1, 0, 512);
            good.Simple();
            good.Take(512);
        }

        Assert.Equal(attacks.Count, bench.Server.Refused);
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    public async Task Server_survives_random_bytes(int seed)
    {
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        var random = new Random(seed);
        await using var bench = Bench.Of(Bench.Disk().Device, new NbdServerOptions { HandshakeLimit = TimeSpan.FromSeconds(5) });
        for (int round = 0; round < 150; round++)
        {
            using var bad = bench.Connect();
            var form = (HeaderForm)random.Next(3);
            bad.Handshake(form, "", form == HeaderForm.Simple ? [] : ["base:allocation"]);
            try
            {
                for (int i = random.Next(1, 20); i > 0; i--)
                {
                    byte[] request = form == HeaderForm.Extended ? new byte[ExtendedRequest.Size] : new byte[CompactRequest.Size];
                    var what = new NbdRequest(
                        (CommandFlags)random.Next(64), (NbdCommand)random.Next(9), (ulong)i, (ulong)random.Next(1 << 21),
                        (ulong)random.Next(1 << random.Next(1, 27)));
                    if (form == HeaderForm.Extended)
                    {
                        ExtendedRequest.Write(request, what);
                    }
                    else
                    {
                        CompactRequest.Write(request, what);
                    }

                    if (random.Next(5) == 0)
                    {
                        request[random.Next(request.Length)] ^= (byte)(1 << random.Next(8));
                    }

                    bad.Send(request);
                    if (what.Command == NbdCommand.Write)
                    {
                        bad.Send(new byte[Math.Min((int)what.Length, 100_000)]);
                    }
                }
            }
            catch (System.Net.Sockets.SocketException)
            {
                // the server closed the connection
            }
        }

        using var good = bench.Connect();
        good.Handshake();
        good.Ask(NbdCommand.Read, 1, 0, 512);
        Assert.Equal(NbdError.None, good.Simple().Error);
    }

    [Fact]
    public async Task Client_that_reads_no_replies_blocks_no_other()
    {
        await using var bench = Bench.Of(Filled(), new NbdServerOptions { DrainLimit = TimeSpan.FromMilliseconds(200) });
        using var slow = bench.Connect();
        slow.Handshake();
        slow.Socket.SendTimeout = 500;
        try
        {
            for (uint i = 0; i < 5000; i++)
            {
                slow.Ask(NbdCommand.Read, i, 0, i % 2 == 0 ? 1u << 20 : 4096);
            }
        }
        catch (System.Net.Sockets.SocketException)
        {
            // expected: the server stops reading its requests
        }

        using var other = bench.Connect();
        other.Handshake();
        for (uint i = 0; i < 100; i++)
        {
            other.Ask(NbdCommand.Read, i, 0, 1 << 20);
            other.Simple();
            other.Take(1 << 20);
        }
    }

    [Fact]
    public async Task Client_silent_during_the_handshake_is_disconnected()
    {
        await using var bench = Bench.Of(Bench.Disk().Device, new NbdServerOptions { HandshakeLimit = TimeSpan.FromMilliseconds(50) });
        using var silent = bench.Connect();
        Assert.True(silent.IsHungUp());
    }

    [Fact]
    public async Task Client_above_the_connection_limit_waits_for_a_slot()
    {
        await using var bench = Bench.Of(Bench.Disk().Device, new NbdServerOptions { MaxConnections = 1 });
        var first = bench.Connect();
        first.Handshake();
        using var second = bench.Connect();
        second.Socket.ReceiveTimeout = 100;
        Assert.ThrowsAny<Exception>(() => second.Take(1));
        first.Ask(NbdCommand.Disconnect, 0, 0, 0);
        Assert.True(first.IsHungUp());
        first.Dispose();
        second.Socket.ReceiveTimeout = 30000;
        second.Handshake();
    }

    [Fact]
    public async Task Stop_completes_requests_in_flight_and_flushes()
    {
        TaskCompletionSource reading = new(), hold = new();
        var device = new TestDevice(1 << 20)
        {
            Records = true,
            Around = async (request, run) =>
            {
                if (request.Call == DeviceCall.Read)
                {
                    reading.SetResult();
                    await hold.Task;
                }

                await run();
            },
        };
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake();
        client.Ask(NbdCommand.Read, 1, 0, 512);
        await reading.Task.WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);

        var stopping = bench.Server.StopAsync();
        Assert.False(stopping.IsCompleted);
        hold.SetResult();
        await stopping;
        Assert.Equal(NbdError.None, client.Simple().Error);
        client.Take(512);
        Assert.True(client.IsHungUp());
        Assert.Equal("flush", device.Asked()[^1]);
    }

    [Fact]
    public async Task Zoned_disk_accepts_sequential_writes_and_explains_other_errors()
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = 8 << 20, Zoned = new ZonedCreateOptions { ZoneSize = 1 << 20, MaxOpenZones = 2, MaxActiveZones = 2 },
        });
        await using var device = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake(HeaderForm.Structured);
        NbdError Write(uint offset, out string message)
        {
            client.Send([.. RawClient.Compact(NbdCommand.Write, 1, offset, 4096), .. Enumerable.Repeat((byte)9, 4096)]);
            byte[] head = client.Take(SimpleReply.Size);
            message = "";
            if (head[0] == 0x67)
            {
                return NbdError.None;
            }

            var chunk = StructuredReply.Parse([.. head, .. client.Take(StructuredReply.Size - SimpleReply.Size)]);
            var error = ErrorPayload.Parse(client.Take((int)chunk.Length));
            message = error.Message;
            return error.Error;
        }

        Assert.Equal(NbdError.None, Write(0, out _));
        Assert.Equal(NbdError.None, Write(4096, out _));
        Assert.Equal(NbdError.Invalid, Write(65536, out string why));
        Assert.Contains("write pointer", why, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(NbdError.None, Write(1 << 20, out _));
        Assert.Equal(NbdError.NoSpace, Write(2 << 20, out why));
        Assert.NotEmpty(why);
        client.Ask(NbdCommand.Read, 2, 4096, 4096);
        Assert.All(client.Chunk().Payload.Skip(ReadPayload.DataHead), b => Assert.Equal(9, b));
    }

    [Fact]
    public async Task Stop_flushes_every_export_and_reports_the_first_failure()
    {
        var devices = Enumerable.Range(0, 3).Select(_ => Devices.Blocks(512)).ToArray();
        devices[0].Failures[DeviceCall.Flush] = new BlockException(BlockError.Io, "first");
        devices[1].Failures[DeviceCall.Flush] = new BlockException(BlockError.NoSpace, "second");
        var server = new NbdServer(new NbdServerOptions(), devices.Select((d, i) => new NbdExport { Name = $"{i}", Device = d }));
        var failure = await Assert.ThrowsAsync<BlockException>(() => server.StopAsync());
        Assert.Equal(("first", 1, 1, 1),
            (failure.Message, devices[0].Count(DeviceCall.Flush), devices[1].Count(DeviceCall.Flush), devices[2].Count(DeviceCall.Flush)));
        await server.DisposeAsync();
    }

    private static IBlockDevice Filled()
    {
        var device = Bench.Disk().Device;
        device.WriteAsync(0, new byte[1 << 20]).AsTask().Wait();
        return device;
    }
}
