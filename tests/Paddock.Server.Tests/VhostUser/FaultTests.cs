using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.VhostUser;
using Paddock.VhostUser.Blk;

namespace Paddock.Server.Tests.VhostUser;

/// <summary>On-demand faults, as seen by a virtual machine.</summary>
public class FaultTests
{
    private const int Zone = Guest.Zone, ReadOnlyState = 13, OfflineState = 15;
    private const byte Ok = 0, IoError = 1, Unsupported = 2, Invalid = 3;

    private static readonly byte[] Block = new byte[4096];

    [Theory]
    [InlineData("ENOSPC", IoError)]
    [InlineData("EIO", IoError)]
    [InlineData("EOPNOTSUPP", Unsupported)]
    public async Task Second_write_fails_with_the_status_of_its_error(string error, byte status)
    {
        await using var server = await TestServer.StartAsync(vhostUser: true);
        using var guest = server.Connect();
        Assert.Equal("ok: rule 1 of disk", await server.AskAsync($"fail command=write nth=2 error={error}"));
        Assert.Equal(Ok, guest.Run(RequestType.Out, 0, Block));
        Assert.Equal(status, guest.Run(RequestType.Out, 4096, Block));
        Assert.Equal(Ok, guest.Run(RequestType.Out, 4096, Block));
        Assert.Contains("\"hits\": 1", await server.AskAsync("status"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("read", RequestType.In)]
    [InlineData("append", RequestType.ZoneAppend)]
    [InlineData("flush", RequestType.Flush)]
    [InlineData("reset", RequestType.ZoneReset)]
    [InlineData("open", RequestType.ZoneOpen)]
    [InlineData("close", RequestType.ZoneClose)]
    [InlineData("finish", RequestType.ZoneFinish)]
    [InlineData("report", RequestType.ZoneReport)]
    public async Task Every_kind_of_request_can_fail(string command, object kind)
    {
        var type = (RequestType)kind;
        int length = type is RequestType.In or RequestType.ZoneReport or RequestType.ZoneAppend ? Block.Length : 0;
        await using var server = await TestServer.StartAsync(vhostUser: true);
        using var guest = server.Connect();
        Assert.Equal(Ok, guest.Run(RequestType.Out, 0, Block));
        await server.AskAsync($"fail command={command}");
        Assert.Equal(IoError, guest.Run(type, 0, length: length));
        Assert.Equal(Ok, guest.Run(type, 0, length: length));
    }

    [Fact]
    public async Task A_plain_disk_fails_its_discards_and_zeroes()
    {
        await using var server = await TestServer.StartAsync(zoned: false, vhostUser: true);
        using var guest = server.Connect(packed: true);
        byte[] range = [0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0];
        foreach (var (command, type) in new[] { ("discard", RequestType.Discard), ("zeroes", RequestType.WriteZeroes) })
        {
            await server.AskAsync($"fail command={command}");
            Assert.Equal(IoError, guest.Run(type, 0, range));
            Assert.Equal(Ok, guest.Run(type, 0, range));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Held_request_blocks_no_other_and_resumes_on_release(bool packed)
    {
        await using var server = await TestServer.StartAsync(vhostUser: true);
        using var guest = server.Connect(packed: packed);
        await server.AskAsync("hang command=write zone=2");
        var hangs = guest.Ask(RequestType.Out, 2 * Zone, Block);
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(Ok, guest.Run(RequestType.Out, i * 4096, Block));
            guest.Read(0, 4096);
        }

        Assert.False(guest.IsAnswered(hangs));
        Assert.Equal("ok: 1 request resumed", await server.AskAsync("release"));
        Assert.Equal(Ok, guest.Wait(hangs));
    }

    [Fact]
    public async Task Delayed_request_completes()
    {
        await using var server = await TestServer.StartAsync(vhostUser: true);
        using var guest = server.Connect();
        await server.AskAsync("delay command=write ms=50");
        Assert.Equal(Ok, guest.Run(RequestType.Out, 0, Block));
        Assert.Contains("delay command=write ms=50", await server.AskAsync("list"), StringComparison.Ordinal);
        Assert.Contains("\"hits\": 1", await server.AskAsync("status"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Retired_zone_reports_its_state_and_rejects_requests()
    {
        await using var server = await TestServer.StartAsync(vhostUser: true);
        using var guest = server.Connect();
        Assert.Equal(Ok, guest.Run(RequestType.Out, Zone, Block));
        Assert.StartsWith("ok", await server.AskAsync("readonly zone=1"), StringComparison.Ordinal);
        Assert.StartsWith("ok", await server.AskAsync("offline zone=2"), StringComparison.Ordinal);
        var zones = guest.Report();
        Assert.Equal((ReadOnlyState, OfflineState), (zones[1].State, zones[2].State));
        Assert.Equal(Invalid, guest.Run(RequestType.Out, Zone + 4096, Block));
        Assert.Equal(Invalid, guest.Run(RequestType.ZoneAppend, 2 * Zone, Block));
        Assert.Equal(Invalid, guest.Run(RequestType.ZoneReset, 2 * Zone));
        Assert.Equal(Block, guest.Read(Zone, Block.Length));
        Assert.Equal(IoError, guest.Run(RequestType.In, 2 * Zone, length: 512));
        Assert.StartsWith("ok", await server.AskAsync("restore zone=1"), StringComparison.Ordinal);
        Assert.Equal(Ok, guest.Run(RequestType.Out, Zone + 4096, Block));
    }

    [Fact]
    public async Task Memory_of_requests_counts_for_the_server_and_is_released()
    {
        const int length = 1 << 20;
        await using var server = await TestServer.StartAsync(vhostUser: true, with: s => s with { MaxMemory = "16M" });
        using var guest = server.Connect(memory: 64 << 20);
        await server.AskAsync("hang command=read count=0");
        var held = Enumerable.Range(0, 8).Select(i => guest.Ask(RequestType.In, 0, length: length, pieces: 3)).ToArray();

        // the maximum number in flight; the rest wait in the ring
        double most = await Eventually.IsAsync(() => server.MetricAsync("paddock_buffer_bytes"), static bytes => bytes >= 7 * length);
        Assert.True(most <= await server.MetricAsync("paddock_buffer_limit_bytes") / 2, $"{most}");
        Assert.StartsWith("ok", await server.AskAsync("clear"), StringComparison.Ordinal);
        Assert.All(held, h => Assert.Equal(Ok, guest.Wait(h)));
        Assert.Equal(0, await server.MetricAsync("paddock_buffer_bytes"));
    }

    [Fact]
    public async Task Drop_closes_the_connection_and_the_next_front_end_is_served()
    {
        await using var server = await TestServer.StartAsync(vhostUser: true);
        using (var guest = server.Connect())
        {
            Assert.Equal(Ok, guest.Run(RequestType.Out, 0, Block));
            await server.AskAsync("drop");
            Assert.True(guest.FrontEnd.IsHungUp());
        }

        using var next = server.Connect();
        Assert.Equal(Ok, next.Run(RequestType.Out, 4096, Block));
    }
}
