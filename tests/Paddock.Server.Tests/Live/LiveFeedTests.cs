using Paddock.Block;
using Paddock.Images;
using Paddock.Server.Live;

namespace Paddock.Server.Tests.Live;

/// <summary>The live feed of a server, through its control socket.</summary>
public class LiveFeedTests
{
    private const int Interval = WatchLine.MinInterval;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Snapshot_has_every_zone_and_the_limits()
    {
        await using var server = await TestServer.StartAsync(conventional: 2);
        await using var follower = new Follower(server);
        var frame = await follower.NextAsync();
        Assert.Equal(LiveFrame.Snapshot, frame.Type);
        Assert.Equal(LatencyClasses.Bounds, frame.LatencyBoundsUs);
        var disk = Assert.Single(frame.Disks);
        Assert.Equal("disk", disk.Name);
        Assert.Equal([0, 2, 0, 0, 0, 0, 0, 2, 6, 1, 0, 0, 0, 0], disk.Zones);
        var zoned = disk.State!.Zoned!;
        Assert.Equal((TestServer.Zone, TestServer.Zones, 2), ((int)zoned.ZoneSize, zoned.ZoneCount, zoned.ConventionalZones));
        Assert.Equal((2, 6), (zoned.Conditions["conventional"], zoned.Conditions["empty"]));
        Assert.Contains(frame.Events, e => e.Event == "listening");
    }

    [Fact]
    public async Task Append_is_in_a_delta_with_its_zone_counters_and_amplification()
    {
        await using var server = await TestServer.StartAsync();
        await using var follower = new Follower(server);
        await follower.NextAsync();
        await using var disk = await server.NvmeAsync();
        await disk.Zones!.AppendAsync(3 * TestServer.Zone, new byte[8192], cancellationToken: Token);
        await disk.FlushAsync(Token);
        var frame = await follower.UntilAsync(f => f.Disks[0].Zones is [3, 1, (int)ZoneCondition.ImplicitlyOpen, 8192, 1, 0, 0]);
        Assert.Equal(LiveFrame.Delta, frame.Type);
        frame = await follower.UntilAsync(f => Kind(f, "flush").Operations > 0);
        var state = frame.Disks[0].State!;
        Assert.Equal((1, 8192), (Kind(frame, "append").Operations, Kind(frame, "append").Bytes));
        Assert.Equal((1, 1), (state.Zoned!.Open, state.Zoned.Active));
        Assert.Equal(8192, state.ClientWrittenBytes);
        Assert.True(state.WriteAmplification >= 1);
    }

    [Fact]
    public async Task Reset_read_and_error_are_in_a_delta()
    {
        await using var server = await TestServer.StartAsync();
        await using var disk = await server.NvmeAsync();
        await disk.WriteAsync(0, new byte[4096], cancellationToken: Token);
        await using var follower = new Follower(server);
        await follower.NextAsync();
        await disk.ReadAsync(0, new byte[512], Token);
        await Assert.ThrowsAsync<ZoneException>(async () => await disk.WriteAsync(512, new byte[512], cancellationToken: Token));
        await disk.Zones!.ManageAsync(ZoneAction.Reset, 0, TestServer.Zone, Token);
        var frame = await follower.UntilAsync(f => f.Disks[0].Zones is [0, 1, (int)ZoneCondition.Empty, 0, 0, 1, 1]);
        Assert.Equal(1, Kind(frame, "write").Errors);
    }

    [Fact]
    public async Task Offline_zone_is_in_a_delta_and_an_event()
    {
        await using var server = await TestServer.StartAsync();
        await using var follower = new Follower(server);
        await follower.NextAsync();
        await server.AskAsync("offline zone=5");
        var frame = await follower.UntilAsync(f => f.Disks[0].Zones.Count > 0);
        Assert.Equal([5, 1, (int)ZoneCondition.Offline], frame.Disks[0].Zones.Take(3));
        var lost = Assert.Single(follower.Events, e => e.Event == "zone offline");
        Assert.Equal(("disk", "5"), (lost.Facts["image"], lost.Facts["zones"]));
    }

    [Fact]
    public async Task Resize_adds_and_removes_zones()
    {
        await using var server = await TestServer.StartAsync();
        await using var follower = new Follower(server);
        await follower.NextAsync();
        await server.AskAsync($"resize size={(TestServer.Zones + 3) * TestServer.Zone}");
        var frame = await follower.UntilAsync(f => f.Disks[0].Zones.Count > 0);
        Assert.Equal([TestServer.Zones, 3, (int)ZoneCondition.Empty], frame.Disks[0].Zones.Take(3));
        await server.AskAsync($"resize size={2 * TestServer.Zone} shrink=yes");
        frame = await follower.UntilAsync(f => f.Disks[0].State!.Zoned!.ZoneCount == 2);
        Assert.Equal(2, frame.Disks[0].State!.Zoned!.Conditions.Values.Sum());
    }

    [Fact]
    public async Task Disk_without_power_keeps_its_watchers()
    {
        await using var server = await TestServer.StartAsync(cache: "1M");
        await using var follower = new Follower(server);
        await follower.NextAsync();
        await server.AskAsync("powercut");
        await using var disk = await server.NvmeAsync();
        await disk.Zones!.AppendAsync(0, new byte[4096], cancellationToken: Token);
        await follower.UntilAsync(f => f.Disks[0].Zones is [0, 1, _, 4096, ..]);
    }

    [Fact]
    public async Task Plain_disk_has_counters_and_no_zones()
    {
        await using var server = await TestServer.StartAsync(zoned: false);
        await using var follower = new Follower(server);
        await follower.NextAsync();
        await using var disk = await server.NbdAsync();
        await disk.WriteAsync(0, new byte[4096], cancellationToken: Token);
        var frame = await follower.UntilAsync(f => Kind(f, "write").Bytes >= 4096);
        Assert.Null(frame.Disks[0].State!.Zoned);
        Assert.Empty(frame.Disks[0].Zones);
    }

    [Theory]
    [InlineData("watch interval=99", "interval=99: expected a number from 100 to 10000")]
    [InlineData("watch interval=10001", "interval=10001: expected a number from 100 to 10000")]
    [InlineData("watch image=other", "unknown image 'other'; expected disk")]
    [InlineData("watch intervall=100", "unknown option 'intervall'")]
    public async Task Invalid_command_is_rejected(string line, string why)
    {
        await using var server = await TestServer.StartAsync();
        Assert.Contains(why, await server.RefusalAsync(line), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ninth_watcher_is_rejected_and_commands_still_run()
    {
        await using var server = await TestServer.StartAsync();
        var followers = Enumerable.Range(0, 8).Select(_ => new Follower(server)).ToArray();
        foreach (var follower in followers)
        {
            await follower.NextAsync();
        }

        await using var late = new Follower(server);
        var error = await Assert.ThrowsAsync<ToolException>(late.NextAsync);
        Assert.Contains("8 clients are watching already", error.Message, StringComparison.Ordinal);
        Assert.StartsWith("ok", await server.AskAsync("status"), StringComparison.Ordinal);
        foreach (var follower in followers)
        {
            await follower.DisposeAsync();
        }
    }

    [Fact]
    public async Task Stopping_server_ends_the_feed()
    {
        await using var server = await TestServer.StartAsync();
        await using var follower = new Follower(server);
        await follower.NextAsync();
        await server.StopAsync();
        await follower.EndAsync();
    }

    private static LiveKind Kind(LiveFrame frame, string kind) => frame.Disks[0].State!.Requests.Single(k => k.Kind == kind);

    /// <summary>A client that follows the feed of a server.</summary>
    private sealed class Follower : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        private readonly IAsyncEnumerator<LiveFrame> _frames;

        public Follower(TestServer server)
        {
            _stop.CancelAfter(TimeSpan.FromMinutes(1));
            _frames = LiveClient.WatchAsync(server.Control, new WatchLine(Interval, null), _stop.Token)
                .GetAsyncEnumerator(_stop.Token);
        }

        public List<LiveEvent> Events { get; } = [];

        public async Task<LiveFrame> NextAsync()
        {
            Assert.True(await _frames.MoveNextAsync(), "the feed ended");
            Events.AddRange(_frames.Current.Events);
            return _frames.Current;
        }

        public async Task<LiveFrame> UntilAsync(Func<LiveFrame, bool> isRight)
        {
            while (true)
            {
                if (await NextAsync() is var frame && isRight(frame))
                {
                    return frame;
                }
            }
        }

        public async Task EndAsync()
        {
            while (await _frames.MoveNextAsync())
            {
            }
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _frames.DisposeAsync();
            _stop.Dispose();
        }
    }
}
