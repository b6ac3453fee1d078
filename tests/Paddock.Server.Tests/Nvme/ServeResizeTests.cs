using System.Buffers.Binary;
using System.Net.Sockets;
using Paddock.Block;
using Paddock.Images;
using Paddock.Nvme;
using Paddock.Nvme.Wire;
using Paddock.Server.Control;
using Paddock.Server.Disks;
using Paddock.Server.Listeners;
using Paddock.Server.Live;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Server.Tests.Nvme;

/// <summary>Resizing an image while it is served, as seen by the clients of each listener.</summary>
public class ServeResizeTests
{
    private const int Zone = TestServer.Zone, Zones = TestServer.Zones;
    private const string Nqn = "nqn.2026-01.io.paddock:disk";

    private static readonly byte[] Block = new byte[4096];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Host_is_notified_once_and_finds_the_new_size_and_zones()
    {
        await using var server = await TestServer.StartAsync(cache: "1M");
        using var host = new RawHost(server.NvmeAddress.Port);
        host.Initialize();
        host.Connect(Nqn);
        host.Enable();
        Assert.Equal(NvmeStatus.Success,
            host.Run(new SubmissionEntry { Opcode = AdminOpcode.SetFeatures, Dword10 = 0x0B, Dword11 = 1 << 8 }).Status);
        host.Send(RawHost.Capsule(new SubmissionEntry { Opcode = AdminOpcode.AsyncEventRequest, Flags = 0x40, CommandId = 9 }));
        Assert.Equal("ok: disk has 9437184 bytes (9 MiB); previously 8388608", await server.AskAsync("resize size=+1M"));
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
        await using var server = await TestServer.StartAsync(cache: "1M");
        await using var host = await ConnectAsync(server);
        await using var disk = await host.OpenAsync(1, ownsHost: false, Token);
        await ResizeAsync(server, host, "size=+1536k");
        Assert.Equal((Zones + 1) * Zone + (512 << 10), disk.Length);
        Assert.Equal(Zones + 2, disk.Zones!.Limits.ZoneCount);
        var zones = new ZoneDescriptor[Zones + 3];
        Assert.Equal(Zones + 2, await disk.Zones!.ReportAsync(0, zones, Token));
        Assert.Equal(512 << 10, zones[Zones + 1].Capacity);
        Assert.Equal((Zones + 1) * Zone, await disk.Zones!.AppendAsync((Zones + 1) * Zone, Block, cancellationToken: Token));

        // zones with data are kept, whatever the options
        Assert.Contains("zone", await server.RefusalAsync("resize size=8M shrink=yes"), StringComparison.Ordinal);
        Assert.Equal((Zones + 1) * Zone + (512 << 10), disk.Length);
        await disk.Zones!.ManageAsync(ZoneAction.Reset, (Zones + 1) * Zone, 512 << 10, Token);
        await ResizeAsync(server, host, "size=4M shrink=yes");
        Assert.Equal((4 * Zone, 4), ((int)disk.Length, disk.Zones!.Limits.ZoneCount));
        await Assert.ThrowsAnyAsync<BlockException>(() => disk.ReadAsync(4 * Zone, new byte[512], Token).AsTask());
        await server.CheckAsync();
    }

    [Fact]
    public async Task Both_namespaces_of_a_disk_with_conventional_zones_follow_its_size()
    {
        await using var server = await TestServer.StartAsync(cache: "1M", conventional: 2);
        await using var host = await ConnectAsync(server);
        await using var plain = await host.OpenAsync(1, ownsHost: false, Token);
        await using var zoned = await host.OpenAsync(2, ownsHost: false, Token);
        var told = new List<uint>();
        host.Resized += told.Add;
        await ResizeAsync(server, host, "size=+2M");
        Assert.Equal((2 * Zone, Zones * Zone), (plain.Length, zoned.Length));
        var zones = new ZoneDescriptor[Zones + 1];
        Assert.Equal(Zones, await zoned.Zones!.ReportAsync(0, zones, Token));
        Assert.Equal([2U], told);
        Assert.Equal("NVMe namespace 2 would have no zones left: the size must be above 2097152 bytes",
            await server.RefusalAsync("resize size=2M shrink=yes"));
        await zoned.WriteAsync((Zones - 1) * Zone, Block, cancellationToken: Token);
        await server.CheckAsync();
    }

    [Fact]
    public async Task Sequential_zones_behind_conventional_ones_alone_would_have_no_namespace()
    {
        await using var server = await TestServer.StartAsync(cache: "1M", conventional: Zones);
        Assert.Contains("a new NVMe namespace", await server.RefusalAsync("resize size=+1M"), StringComparison.Ordinal);
        Assert.Contains("conventional", await server.RefusalAsync("resize size=-1M shrink=yes"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("size=-1M", "--shrink")]
    [InlineData("size=1000 shrink=yes", "multiple of 512")]
    [InlineData("size=0", "must be positive")]
    [InlineData("size=-9M shrink=yes", "must be positive")]
    [InlineData("size=+8E", "must be positive")]
    [InlineData("size=4E", "resize of 4611686018427387904 bytes")]
    [InlineData("size=x", "expects a non-negative number")]
    [InlineData("", "the new size is missing")]
    [InlineData("size=+1M image=other", "unknown image 'other'; expected one of disk")]
    [InlineData("size=+1M preallocation=much", "preallocation=much: expected off")]
    [InlineData("size=+1M shrinks=yes", "did you mean 'shrink'?")]
    [InlineData("size=+1M shrink=1", "expected yes or no")]
    public async Task Impossible_size_is_rejected_and_changes_nothing(string line, string why)
    {
        await using var server = await TestServer.StartAsync(cache: "1M");
        Assert.Contains(why, await server.RefusalAsync("resize " + line), StringComparison.Ordinal);
        await using var disk = await server.NvmeAsync();
        Assert.Equal(Zones * Zone, disk.Length);
    }

    [Fact]
    public async Task Size_must_be_a_multiple_of_the_NVMe_block_size()
    {
        await using var server = await TestServer.StartAsync(cache: "1M", with: s => s with { BlockSize = 4096 });
        Assert.Contains("the NVMe block size, 4096", await server.RefusalAsync("resize size=+512"), StringComparison.Ordinal);
        await server.AskAsync("resize size=+4k");
        await using var disk = await server.NvmeAsync();
        Assert.Equal((Zones * Zone) + 4096, disk.Length);
    }

    [Fact]
    public async Task Command_line_may_contain_any_white_space()
    {
        await using var server = await TestServer.StartAsync(cache: "1M");
        Assert.StartsWith("ok: disk has 9437184 bytes", await server.AskAsync("resize\tsize=+1M"), StringComparison.Ordinal);
        Assert.Contains("unknown command 'resizes'", await server.RefusalAsync("resizes size=+1M"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ambiguous_image_name_is_rejected_and_path_selects_it()
    {
        string other = Directory.CreateTempSubdirectory("paddock-resize-").FullName;
        string twin = Path.Combine(other, "disk.qcow2");
        await ImageFile.CreateAsync(twin, 1 << 20);
        await using (
            var server = await TestServer.StartAsync(with: s => s with { Nbd = null, Images = [s.Images[0], new() { Path = twin }] }))
        {
            string why = await server.RefusalAsync("resize size=+1M image=disk");
            Assert.Contains("image name 'disk' is ambiguous", why, StringComparison.Ordinal);
            Assert.Contains(twin, why, StringComparison.Ordinal);
            Assert.Equal("ok: disk has 2097152 bytes (2 MiB); previously 1048576",
                await server.AskAsync("resize size=+1M image=" + Uri.EscapeDataString(twin)));
            await using var first = await server.NvmeAsync();
            Assert.Equal(Zones * Zone, first.Length);
        }

        Directory.Delete(other, recursive: true);
    }

    [Fact]
    public async Task Failed_growth_keeps_the_old_size_and_can_be_repeated()
    {
        // the first L2 table allocated is one of those reserved for the new part, before the header is updated to the new size
        await using var server = await FailingAsync("l2_alloc_write", errno: 28);
        await using var host = await ConnectAsync(server);
        await using var disk = await host.OpenAsync(1, ownsHost: false, Token);
        string why = await server.RefusalAsync("resize size=+1M preallocation=metadata");
        Assert.Contains("injected error 28 at event l2_alloc_write", why, StringComparison.Ordinal);
        Assert.DoesNotContain("9437184", why, StringComparison.Ordinal);
        Assert.Equal(Zones * Zone, disk.Length);
        var seen = Seen(host);
        Assert.Equal(
            "ok: disk has 9437184 bytes (9 MiB); previously 8388608", await server.AskAsync("resize size=+1M preallocation=metadata"));
        await seen;
        Assert.Equal((Zones + 1) * Zone, disk.Length);
        await disk.Zones!.AppendAsync(Zones * Zone, Block, cancellationToken: Token);
        await server.CheckAsync();
    }

    [Fact]
    public async Task Failed_shrink_reports_the_data_that_may_be_lost()
    {
        await using var server = await FailingAsync("flush_to_disk", errno: 5);
        string why = await server.RefusalAsync("resize size=1M shrink=yes");
        Assert.EndsWith("; 'disk' still has 8388608 bytes, but data beyond 1048576 may be lost", why, StringComparison.Ordinal);
        Assert.Equal("ok: disk has 1048576 bytes (1 MiB); previously 8388608", await server.AskAsync("resize size=1M shrink=yes"));
        await server.CheckAsync();
    }

    [Fact]
    public async Task Running_resize_completes_before_a_stop_closes_the_image()
    {
        string image = Path.Combine(Directory.CreateTempSubdirectory("paddock-resize-").FullName, "disk.qcow2");
        await ImageFile.CreateAsync(image, 1 << 20);
        var opener = new ImageOpener("t", TextWriter.Null);
        var disk = await ServedDisk.OpenAsync(opener, new() { Path = image }, "disk", null);
        using var running = new SemaphoreSlim(0);
        using var hold = new ManualResetEventSlim();
        disk.Served.Resizing += _ =>
        {
            running.Release();
            hold.Wait();
            return null;
        };
        var change = Task.Run(() => disk.Served.ResizeAsync(2 << 20).AsTask(), Token);
        await running.WaitAsync(Token);
        var close = disk.CloseAsync();
        Assert.False(close.IsCompleted);
        hold.Set();
        await change;
        Assert.Null(await close);
        var late = await Assert.ThrowsAsync<BlockException>(() => disk.Served.ResizeAsync(3 << 20).AsTask());
        Assert.Equal("the server is stopping", late.Message);
        await using (var file = ImageOpener.OpenFile(image, readOnly: true))
        await using (var closed = await Qcow2.Qcow2Image.OpenAsync(file, new Qcow2.Qcow2OpenOptions { ReadOnly = true }))
        {
            Assert.Equal(2 << 20, closed.Length);
        }

        Directory.Delete(Path.GetDirectoryName(image)!, recursive: true);
    }

    [Fact]
    public async Task Closing_control_socket_finishes_its_command_and_accepts_no_other()
    {
        string path = Path.Combine(Directory.CreateTempSubdirectory("paddock-control-").FullName, "c");
        var running = new TaskCompletionSource<string>();
        var hold = new TaskCompletionSource<string>();
        var control = new ControlSocket(
            ListeningSocket.Owned(path, "--control"),
            line =>
            {
                running.TrySetResult(line);
                return hold.Task;
            },
            new LiveStream(new LiveFeed([], [], new RecentEvents(TimeProvider.System), TimeProvider.System)),
            new ServeLog(TextWriter.Null, TimeProvider.System, json: true));

        // clients are accepted in order of arrival: half of a line has been received when the socket closes
        using var late = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 30_000 };
        await late.ConnectAsync(new UnixDomainSocketEndPoint(path), Token);
        late.Send("tw"u8);
        var asked = ControlSocket.AskAsync(path, "one", Token);
        Assert.Equal("one", await running.Task);
        var closing = control.CloseAsync(TimeSpan.FromMinutes(5));
        Assert.False(closing.IsCompleted);
        late.Send("o\n"u8);
        using var reader = new StreamReader(new NetworkStream(late));
        Assert.Equal("error: the server is stopping", await reader.ReadLineAsync(Token));
        hold.SetResult("ok: done");
        Assert.Equal("ok: done", await asked);
        await closing;
        Assert.Equal("one", await running.Task);
        Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);
    }

    [Fact]
    public async Task Resize_to_the_same_size_succeeds_and_of_a_read_only_image_fails()
    {
        await using (var server = await TestServer.StartAsync(cache: "1M"))
        {
            Assert.Equal("ok: disk has 8388608 bytes (8 MiB), unchanged", await server.AskAsync("resize size=8M"));
        }

        await using var closed = await TestServer.StartAsync(with: s => s with { Images = [s.Images[0] with { ReadOnly = true }] });
        Assert.Equal("'disk' is served read-only", await closed.RefusalAsync("resize size=+1M"));
    }

    [Fact]
    public async Task Acknowledged_size_survives_a_power_cut()
    {
        await using var server = await TestServer.StartAsync(cache: "1M");
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
    public async Task Power_cut_during_a_resize_leaves_the_old_or_the_new_size(int seed)
    {
        await using var server = await TestServer.StartAsync(cache: "1M");
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
                        // the power is cut
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
    public async Task Requests_on_every_listener_run_during_resizes()
    {
        await using var server = await TestServer.StartAsync(cache: "16M");
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
                        0 when disk.Zones is { } zones => new ValueTask(zones.AppendAsync(zone, Block).AsTask()),
                        1 when disk.Zones is { } zones => zones.ManageAsync(ZoneAction.Reset, zone, Zone),
                        2 => disk.WriteAsync(zone, Block),
                        _ => disk.ReadAsync(zone, new byte[4096]),
                    });
                }
                catch (BlockException)
                {
                    // out of range, full, not at the write pointer
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
                // a zone in the removed part holds data
            }
        }

        Volatile.Write(ref ends, true);
        await Task.WhenAll(workers);
        await using (var disk = await server.NvmeAsync())
        {
            await disk.Zones!.ManageAsync(ZoneAction.Reset, 0, disk.Length, Token);
        }

        await server.AskAsync("resize size=1M shrink=yes");
        await server.CheckAsync();
    }

    [Fact]
    public async Task Resize_by_an_NBD_client_is_seen_by_NVMe_hosts()
    {
        await using var server = await TestServer.StartAsync(cache: "1M", with: s => s with { NbdResize = true });
        await using var host = await ConnectAsync(server);
        await using var disk = await host.OpenAsync(1, ownsHost: false, Token);
        await using var nbd = await server.NbdAsync();
        var seen = Seen(host);
        await nbd.ResizeAsync(10 * Zone, cancellationToken: Token);
        await seen;
        Assert.Equal(10 * Zone, disk.Length);
        var refused = await Assert.ThrowsAnyAsync<BlockException>(
            () => nbd.ResizeAsync((10 * Zone) + 1, cancellationToken: Token).AsTask());
        Assert.Equal(BlockError.InvalidArgument, refused.Error);
    }

    [Fact]
    public async Task Configuration_space_of_a_virtual_machine_has_the_current_capacity()
    {
        await using var server = await TestServer.StartAsync(
            cache: "1M", with: s => s with { VhostUser = Path.Combine(Path.GetDirectoryName(s.Control)!, "v") });
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 30_000 };
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(server.Folder, "v")), Token);

        // SET_PROTOCOL_FEATURES with CONFIG (9)
        socket.Send(Convert.FromHexString("10000000" + "01000000" + "08000000" + "0002000000000000"));
        Assert.Equal(Zones * Zone / 512, Capacity());
        await server.AskAsync("resize size=+1M");
        Assert.Equal((Zones + 1) * Zone / 512, Capacity());

        long Capacity()
        {
            // GET_CONFIG of 8 bytes at 0: offset, size, flags, payload
            socket.Send(Convert.FromHexString(
                "18000000" + "01000000" + "14000000" + "00000000" + "08000000" + "00000000" + "0000000000000000"));
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

    /// <summary>Starts a server whose image file fails once, at an event of the engine.</summary>
    /// <param name="atEvent">Event that fails once.</param>
    /// <param name="errno">Error number.</param>
    /// <param name="after">Number of events of that name to pass first.</param>
    private static Task<TestServer> FailingAsync(string atEvent, int errno, int after = 0) => TestServer.StartAsync(with: s =>
    {
        string rules = Path.Combine(Path.GetDirectoryName(s.Control)!, "rules");
        var passing = Enumerable.Range(1, after).Select(
            state => $"[set-state]\nevent = \"{atEvent}\"\nstate = \"{state}\"\nnew_state = \"{state + 1}\"\n");
        File.WriteAllText(rules, string.Concat(passing)
            + $"[inject-error]\nevent = \"{atEvent}\"\nstate = \"{after + 1}\"\nerrno = \"{errno}\"\nonce = \"on\"\n");
        return s with { Images = [s.Images[0] with { Path = $"blkdebug:{rules}:{s.Images[0].Path}" }] };
    });

    private static byte[] Fetch(RawHost host, byte opcode, uint id, uint dword10)
    {
        host.Send(RawHost.Capsule(new SubmissionEntry
        {
            Opcode = opcode, Flags = 0x40, CommandId = 5, NamespaceId = id, DataLength = 4096, DataKind = SubmissionEntry.InTransport,
                Dword10 = dword10,
        }));
        Assert.Equal(PduType.ControllerData, PduHeader.Read(host.Receive(24)).Type);
        byte[] page = host.Receive(4096);
        Assert.Equal(NvmeStatus.Success, host.Response().Status);
        return page;
    }

    private static ValueTask<NvmeTcpHost> ConnectAsync(TestServer server)
        => NvmeTcpHost.ConnectAsync(
            new NvmeTcpHostOptions { Host = "127.0.0.1", Port = server.NvmeAddress.Port, SubsystemNqn = Nqn }, Token);

    private static Task Seen(NvmeTcpHost host)
    {
        var seen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        host.Resized += _ => seen.TrySetResult();
        return seen.Task.WaitAsync(TimeSpan.FromSeconds(60), Token);
    }

    private static async Task ResizeAsync(TestServer server, NvmeTcpHost host, string line)
    {
        var seen = Seen(host);
        await server.AskAsync("resize " + line);
        await seen;
    }
}
