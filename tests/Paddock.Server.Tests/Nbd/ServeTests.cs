using Paddock.Nbd;
using Paddock.Posix;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Server.Tests.Nbd;

/// <summary>NBD exports of `paddock serve`, with third-party clients.</summary>
public sealed class ServeTests(TlsCertificates made) : IClassFixture<TlsCertificates>, IDisposable
{
    private const int Zone = 1 << 20, Size = 8 << 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("nbdserve-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Several_exports_have_names_descriptions_and_modes_of_their_own()
    {
        await using var server = await StartAsync(
            new ServeSettings(), new ServedImage { Path = await PlainAsync("a"), Description = "the first" },
            new ServedImage { Path = await PlainAsync("b"), Export = "other", ReadOnly = true, Format = "qcow2" });
        string list = await Peer.MustAsync("nbdinfo", "--list", $"nbd+unix:///?socket={At("n")}");
        Assert.Contains("export=\"a\"", list, StringComparison.Ordinal);
        Assert.Contains("description: the first", list, StringComparison.Ordinal);
        Assert.Contains("export=\"other\"", list, StringComparison.Ordinal);
        Assert.Contains("is_read_only: true", await Peer.MustAsync("nbdinfo", Uri("other")), StringComparison.Ordinal);
        Assert.NotEqual(0, (await Peer.RunAsync("nbdinfo", Uri("none"))).Code);
    }

    [Fact]
    public async Task Nbdcopy_copies_both_ways_over_four_connections()
    {
        await using var server = await StartAsync(new ServeSettings(), new ServedImage { Path = await PlainAsync("a") });
        byte[] data = new byte[Size];
        new Random(3).NextBytes(data.AsSpan(0, Size / 2));
        await File.WriteAllBytesAsync(At("in"), data, Token);
        await Peer.MustAsync("nbdcopy", "--connections=4", "--flush", At("in"), Uri("a"));
        await Peer.MustAsync("nbdcopy", "--connections=4", Uri("a"), At("out"));
        byte[] back = await File.ReadAllBytesAsync(At("out"), Token);
        Assert.True(data.AsSpan().SequenceEqual(back));
    }

    [Fact]
    public async Task Nbdsh_writes_a_zone_in_order_and_hears_why_elsewhere_is_refused()
    {
        await using var server = await StartAsync(new ServeSettings(), new ServedImage { Path = await ZonedAsync() });
        // it uses the system's Python, whatever precedes it in the path
        string said = await Peer.MustAsync(
            "env", "PATH=/usr/bin:/bin", "nbdsh", "-u", Uri("z"),
            "-c", "h.pwrite(b'x' * 4096, 0); h.pwrite(b'y' * 4096, 4096); h.flush()",
            "-c", "assert h.pread(8192, 0) == b'x' * 4096 + b'y' * 4096",
            "-c", "assert h.get_structured_replies_negotiated()",
            "-c", "ok = False\ntry:\n    h.pwrite(b'z' * 4096, 65536)\nexcept nbd.Error as e:\n    ok = e.errnum == 22\nassert ok",
            "-c", "h.pwrite(b'z' * 4096, 8192); print('written', h.get_size())");
        Assert.Contains($"written {Size}", said, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("required", "required", false, true, false)]
    [InlineData("allowed", "required", true, true, false)]
    [InlineData("required", "none", false, true, true)]
    public async Task Tls_is_as_the_settings_say(string mode, string clients, bool plain, bool good, bool anybody)
    {
        var settings = new ServeSettings { Nbd = "127.0.0.1:0", NbdTlsCreds = made.Folder("server"), NbdTls = mode,
            NbdTlsClients = clients };
        await using var server = await StartAsync(settings, new ServedImage { Path = await PlainAsync("a") });
        string port = server.Server.NbdAddress!.Split(':')[1];
        Assert.Equal(plain, (await Peer.RunAsync("nbdinfo", "--size", $"nbd://127.0.0.1:{port}/a")).Code == 0);
        foreach (var (folder, passes) in new[] { ("client", good), ("nobody", anybody) })
        {
            var run = await Peer.RunAsync("nbdinfo", "--size", $"nbds://localhost:{port}/a?tls-certificates={made.Folder(folder)}");
            Assert.True(passes == (run.Code == 0), $"{folder}: {run.Out}{run.Error}");
        }
    }

    [Fact]
    public async Task Idle_client_is_disconnected_after_the_timeout()
    {
        var time = new TestClock();
        await using var server = new NbdServer(
            new NbdServerOptions { IdleLimit = TimeSpan.FromMilliseconds(1), Time = time },
            new NbdExport { Name = "", Device = Bench.Disk(1 << 20).Device });
        server.Listen(ServerSockets.Unix(At("n")).Listener);
        await using var client = await NbdClient.ConnectAsync(new NbdTarget { SocketPath = At("n") }, Token);
        await client.ReadAsync(0, new byte[512], Token);
        await Eventually.IsAsync(
            () =>
            {
                time.Fire();
                return Task.FromResult(server.Connections);
            },
            static connections => connections == 0);
        await Assert.ThrowsAnyAsync<Exception>(() => client.ReadAsync(0, new byte[512], Token).AsTask());
    }

    private string At(string name) => Path.Combine(_folder, name);

    private string Uri(string export) => $"nbd+unix:///{export}?socket={At("n")}";

    private async Task<string> PlainAsync(string name)
    {
        await ImageFile.CreateAsync(At(name + ".qcow2"), Size);
        return At(name + ".qcow2");
    }

    private async Task<string> ZonedAsync()
    {
        var zoned = new Qcow2.ZonedCreateOptions { ZoneSize = Zone };
        await ImageFile.CreateAsync(At("z.qcow2"), Size, zoned);
        return At("z.qcow2");
    }

    private Task<TestServer> StartAsync(ServeSettings settings, params ServedImage[] images)
        => TestServer.StartInAsync(_folder, settings with { Images = images, Nbd = settings.Nbd ?? "unix:" + At("n") });

    /// <summary>Clock whose timers are fired by the test.</summary>
    private sealed class TestClock : TimeProvider
    {
        private readonly List<(TimerCallback Call, object? State, Handle Handle)> _timers = [];

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var handle = new Handle();
            lock (_timers)
            {
                // a handshake timeout has no period
                if (period != Timeout.InfiniteTimeSpan)
                {
                    _timers.Add((callback, state, handle));
                }
            }

            return handle;
        }

        public void Fire()
        {
            lock (_timers)
            {
                foreach (var (call, state, _) in _timers.Where(t => !t.Handle.IsOver))
                {
                    call(state);
                }
            }
        }

        private sealed class Handle : ITimer
        {
            public bool IsOver { get; private set; }

            public bool Change(TimeSpan dueTime, TimeSpan period) => true;

            public void Dispose() => IsOver = true;

            public ValueTask DisposeAsync()
            {
                IsOver = true;
                return ValueTask.CompletedTask;
            }
        }
    }
}
