using System.Buffers.Binary;
using System.Net.Sockets;
using Paddock.Block;
using Paddock.Nvme.Wire;
using Paddock.Tools;

namespace Paddock.Nvme.Tests;

/// <summary>An image whose size changes while it is served, as the clients of each door see it.</summary>
public class ServeResizeTests
{
    private const int Zone = FaultServer.Zone, Zones = FaultServer.Zones;
    private const string Nqn = "nqn.2026-01.io.paddock:disk";

    private static readonly byte[] Block = new byte[4096];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_host_is_told_once_until_it_has_looked_and_finds_the_new_size_and_zones()
    {
        await using var server = await FaultServer.StartAsync();
        using var host = new RawHost(server.Port);
        host.Initialize();
        host.Connect(Nqn);
        host.Enable();
        Assert.Equal(NvmeStatus.Success, host.Run(new SubmissionEntry { Opcode = AdminOpcode.SetFeatures, Dword10 = 0x0B, Dword11 = 1 << 8 }).Status);
        host.Send(RawHost.Capsule(new SubmissionEntry { Opcode = AdminOpcode.AsyncEventRequest, Flags = 0x40, CommandId = 9 }));
        Assert.Equal("ok: disk has 9437184 bytes (9 MiB); it had 8388608", await server.AskAsync("resize size=+1M"));
        var told = host.Response();

        // a notice (2) of namespace attributes (0), in the changed namespace list (04h)
        Assert.Equal((9, 0x0004_0002UL), (told.CommandId, told.Result));
        Assert.Equal((Zones + 1) * Zone / 512, (long)BinaryPrimitives.ReadUInt64LittleEndian(Fetch(host, AdminOpcode.Identify, 1, 0)));
        host.Send(RawHost.Capsule(new SubmissionEntry { Opcode = AdminOpcode.AsyncEventRequest, Flags = 0x40, CommandId = 10 }));
        await server.AskAsync("resize size=+1M");
        Assert.Equal("0100000000000000", Convert.ToHexString(Fetch(host, AdminOpcode.GetLogPage, uint.MaxValue, 0x03FF_0004).AsSpan(0, 8)));
        Assert.Equal("0000000000000000", Convert.ToHexString(Fetch(host, AdminOpcode.GetLogPage, uint.MaxValue, 0x03FF_0004).AsSpan(0, 8)));
        await server.AskAsync("resize size=-1M shrink=yes");
        Assert.Equal(10, host.Response().CommandId);
    }

    [Fact]
    public async Task Our_host_follows_a_zoned_namespace_up_and_down()
    {
        await using var server = await FaultServer.StartAsync();
        await using var host = await ConnectAsync(server);
        await using var disk = (IZonedBlockDevice)await host.OpenAsync(1, ownsHost: false, Token);
        await ResizeAsync(server, host, "size=+1536k");
        Assert.Equal((Zones + 1) * Zone + (512 << 10), disk.Length);
        Assert.Equal(Zones + 2, disk.Zoned.ZoneCount);
        var zones = new ZoneDescriptor[Zones + 3];
        Assert.Equal(Zones + 2, await disk.ReportZonesAsync(0, zones, Token));
        Assert.Equal(512 << 10, zones[Zones + 1].Capacity);
        Assert.Equal((Zones + 1) * Zone, await disk.AppendAsync((Zones + 1) * Zone, Block, cancellationToken: Token));

        // what holds data stays, whatever is said
        Assert.Contains("zone", await server.RefusalAsync("resize size=8M shrink=yes"), StringComparison.Ordinal);
        Assert.Equal((Zones + 1) * Zone + (512 << 10), disk.Length);
        await disk.ManageZonesAsync(ZoneAction.Reset, (Zones + 1) * Zone, 512 << 10, Token);
        await ResizeAsync(server, host, "size=4M shrink=yes");
        Assert.Equal((4 * Zone, 4), ((int)disk.Length, disk.Zoned.ZoneCount));
        await Assert.ThrowsAnyAsync<BlockException>(() => disk.ReadAsync(4 * Zone, new byte[512], Token).AsTask());
        await server.CheckAsync();
    }

    [Fact]
    public async Task Both_parts_of_a_disk_with_conventional_zones_have_the_size_that_is_theirs()
    {
        await using var server = await FaultServer.StartAsync(conventional: 2);
        await using var host = await ConnectAsync(server);
        await using var plain = await host.OpenAsync(1, ownsHost: false, Token);
        await using var zoned = (IZonedBlockDevice)await host.OpenAsync(2, ownsHost: false, Token);
        var told = new List<uint>();
        host.Resized += told.Add;
        await ResizeAsync(server, host, "size=+2M");
        Assert.Equal((2 * Zone, Zones * Zone), (plain.Length, zoned.Length));
        var zones = new ZoneDescriptor[Zones + 1];
        Assert.Equal(Zones, await zoned.ReportZonesAsync(0, zones, Token));
        Assert.Equal([2U], told);
        Assert.Equal("namespace 2 would have no zones left: it begins at 2097152", await server.RefusalAsync("resize size=2M shrink=yes"));
        await zoned.WriteAsync((Zones - 1) * Zone, Block, cancellationToken: Token);
        await server.CheckAsync();
    }

    [Fact]
    public async Task Sequential_zones_behind_conventional_ones_alone_would_have_no_namespace()
    {
        await using var server = await FaultServer.StartAsync(conventional: Zones);
        Assert.Contains("no namespace", await server.RefusalAsync("resize size=+1M"), StringComparison.Ordinal);
        Assert.Contains("conventional", await server.RefusalAsync("resize size=-1M shrink=yes"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("size=-1M", "--shrink")]
    [InlineData("size=1000 shrink=yes", "whole sectors of 512")]
    [InlineData("size=0", "must be positive")]
    [InlineData("size=-9M shrink=yes", "must be positive")]
    [InlineData("size=+8E", "must be positive")]
    [InlineData("size=4E", "resize of 4611686018427387904 bytes")]
    [InlineData("size=x", "expects a non-negative number")]
    [InlineData("", "say the new size")]
    [InlineData("size=+1M image=other", "there is no image 'other': there are disk")]
    [InlineData("size=+1M preallocation=much", "Invalid preallocation mode 'much'")]
    [InlineData("size=+1M shrinks=yes", "did you mean 'shrink'?")]
    [InlineData("size=+1M shrink=1", "say yes or no")]
    public async Task What_cannot_be_is_refused_and_changes_nothing(string line, string why)
    {
        await using var server = await FaultServer.StartAsync();
        Assert.Contains(why, await server.RefusalAsync("resize " + line), StringComparison.Ordinal);
        await using var disk = await server.NvmeAsync();
        Assert.Equal(Zones * Zone, disk.Length);
    }

    [Fact]
    public async Task The_same_size_is_fine_and_a_read_only_image_keeps_its_own()
    {
        await using (var server = await FaultServer.StartAsync())
        {
            Assert.Equal("ok: disk has 8388608 bytes (8 MiB), as before", await server.AskAsync("resize size=8M"));
        }

        await using var closed = await FaultServer.StartAsync(cache: null, with: s => s with { Images = [s.Images[0] with { ReadOnly = true }] });
        Assert.Equal("'disk' is served read-only", await closed.RefusalAsync("resize size=+1M"));
    }

    [Fact]
    public async Task A_new_size_is_durable_when_it_is_answered_whatever_becomes_of_the_power()
    {
        await using var server = await FaultServer.StartAsync();
        await server.AskAsync("resize size=+1M");
        await server.AskAsync("powercut");
        await using (var disk = await server.NvmeAsync())
        {
            Assert.Equal((Zones + 1) * Zone, disk.Length);
            await disk.WriteAsync(Zones * Zone, Block, cancellationToken: Token);
        }

        await server.AskAsync("powercut keep=50 seed=3");
        await server.AskAsync("resize size=8M shrink=yes");
        await server.CheckAsync();
        await using var file = ImageOpener.OpenFile(server.Image, readOnly: true);
        await using var image = await Qcow2.Qcow2Image.OpenAsync(file, new Qcow2.Qcow2OpenOptions { ReadOnly = true });
        Assert.Equal(Zones * Zone, image.Length);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_power_cut_in_the_middle_of_changes_leaves_one_of_their_sizes(int seed)
    {
        await using var server = await FaultServer.StartAsync();
        bool ends = false;
        var changes = Task.Run(async () =>
        {
            while (!Volatile.Read(ref ends))
            {
                foreach (string line in new[] { "resize size=12M", "resize size=8M shrink=yes" })
                {
                    try
                    {
                        await server.AskAsync(line);
                    }
                    catch (ToolException)
                    {
                        // there is no power
                    }
                }
            }
        });
        for (int i = 0; i < 5; i++)
        {
            await server.AskAsync($"powercut keep=50 seed={(seed * 10) + i}");
            await using var disk = await server.NvmeAsync();
            await disk.ReadAsync(0, new byte[512], Token);
        }

        Volatile.Write(ref ends, true);
        await changes;
        await server.AskAsync("resize size=9M shrink=yes");
        await using (var disk = await server.NvmeAsync())
        {
            Assert.Equal(9 * Zone, disk.Length);
        }

        await server.CheckAsync();
    }

    [Fact]
    public async Task Requests_of_every_door_fly_while_the_size_goes_up_and_down()
    {
        await using var server = await FaultServer.StartAsync(cache: "16M");
        bool ends = false;
        int done = 0;
        var workers = new[] { false, true, false, true }.Select((nbd, i) => Task.Run(async () =>
        {
            var random = new Random(i);
            await using var disk = await server.OpenAsync(nbd);
            while (!Volatile.Read(ref ends))
            {
                try
                {
                    long zone = random.Next(Zones) * (long)Zone;
                    await (random.Next(4) switch
                    {
                        0 when disk is IZonedBlockDevice zoned => new ValueTask(zoned.AppendAsync(zone, Block).AsTask()),
                        1 when disk is IZonedBlockDevice zoned => zoned.ManageZonesAsync(ZoneAction.Reset, zone, Zone),
                        2 => disk.WriteAsync(zone, Block),
                        _ => disk.ReadAsync(zone, new byte[4096]),
                    });
                }
                catch (BlockException)
                {
                    // outside, full, not at the pointer
                }

                Interlocked.Increment(ref done);
            }
        })).ToArray();
        for (int i = 0; i < 60 || Volatile.Read(ref done) < 500; i++)
        {
            await server.AskAsync("resize size=12M");
            try
            {
                await server.AskAsync("resize size=5M shrink=yes");
            }
            catch (ToolException)
            {
                // a zone there holds data
            }
        }

        Volatile.Write(ref ends, true);
        await Task.WhenAll(workers);
        await using (var disk = await server.NvmeAsync())
        {
            await disk.ManageZonesAsync(ZoneAction.Reset, 0, disk.Length, Token);
        }

        await server.AskAsync("resize size=1M shrink=yes");
        await server.CheckAsync();
    }

    [Fact]
    public async Task An_nbd_client_that_may_resizes_it_for_the_hosts_of_nvme()
    {
        await using var server = await FaultServer.StartAsync(with: s => s with { NbdResize = true });
        await using var host = await ConnectAsync(server);
        await using var disk = await host.OpenAsync(1, ownsHost: false, Token);
        await using var nbd = await server.NbdAsync();
        var seen = Seen(host);
        await nbd.ResizeAsync(10 * Zone, cancellationToken: Token);
        await seen;
        Assert.Equal(10 * Zone, disk.Length);
        var refused = await Assert.ThrowsAnyAsync<BlockException>(() => nbd.ResizeAsync((10 * Zone) + 1, cancellationToken: Token).AsTask());
        Assert.Equal(BlockError.InvalidArgument, refused.Error);
    }

    [Fact]
    public async Task The_configuration_space_of_a_virtual_machine_has_the_capacity_of_now()
    {
        await using var server = await FaultServer.StartAsync(with: s => s with { VhostUser = Path.Combine(Path.GetDirectoryName(s.Control)!, "v") });
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 30_000 };
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(Path.GetDirectoryName(server.Control)!, "v")), Token);

        // SET_PROTOCOL_FEATURES with CONFIG (9)
        socket.Send(Convert.FromHexString("10000000" + "01000000" + "08000000" + "0002000000000000"));
        Assert.Equal(Zones * Zone / 512, Capacity());
        await server.AskAsync("resize size=+1M");
        Assert.Equal((Zones + 1) * Zone / 512, Capacity());

        long Capacity()
        {
            // GET_CONFIG of 8 bytes at 0: offset, size, flags, payload
            socket.Send(Convert.FromHexString("18000000" + "01000000" + "14000000" + "00000000" + "08000000" + "00000000" + "0000000000000000"));
            byte[] reply = new byte[32];
            for (int at = 0; at < reply.Length;)
            {
                int came = socket.Receive(reply.AsSpan(at));
                Assert.NotEqual(0, came);
                at += came;
            }

            return BinaryPrimitives.ReadInt64LittleEndian(reply.AsSpan(24));
        }
    }

    private static byte[] Fetch(RawHost host, byte opcode, uint id, uint dword10)
    {
        host.Send(RawHost.Capsule(new SubmissionEntry
        {
            Opcode = opcode, Flags = 0x40, CommandId = 5, NamespaceId = id, DataLength = 4096, DataKind = SubmissionEntry.InTransport, Dword10 = dword10,
        }));
        Assert.Equal(PduType.ControllerData, PduHeader.Read(host.Receive(24)).Type);
        byte[] page = host.Receive(4096);
        Assert.Equal(NvmeStatus.Success, host.Response().Status);
        return page;
    }

    private static ValueTask<NvmeTcpHost> ConnectAsync(FaultServer server)
        => NvmeTcpHost.ConnectAsync(new NvmeTcpHostOptions { Host = "127.0.0.1", Port = server.Port, SubsystemNqn = Nqn }, Token);

    private static Task Seen(NvmeTcpHost host)
    {
        var seen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        host.Resized += _ => seen.TrySetResult();
        return seen.Task.WaitAsync(TimeSpan.FromSeconds(60), Token);
    }

    private static async Task ResizeAsync(FaultServer server, NvmeTcpHost host, string line)
    {
        var seen = Seen(host);
        await server.AskAsync("resize " + line);
        await seen;
    }
}
