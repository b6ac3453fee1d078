using System.Net.Sockets;
using Paddock.Block;
using Paddock.Images;
using Paddock.Nvme.Wire;
using Paddock.Server.Faults;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Server.Tests.Nvme;

/// <summary>On-demand faults in a running server, through each listener.</summary>
public class ServeFaultTests
{
    private const int Zone = TestServer.Zone;

    private static readonly byte[] Block = new byte[4096];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Second_read_fails_on_any_listener(bool nbd)
    {
        await using var server = await TestServer.StartAsync(cache: "1M");
        await using var disk = await server.OpenAsync(nbd);
        Assert.Equal("ok: rule 1 of disk", await server.AskAsync("fail command=read nth=2 error=ENOSPC"));
        await disk.ReadAsync(0, new byte[512]);
        Assert.Equal(
            BlockError.NoSpace, (await Assert.ThrowsAnyAsync<BlockException>(async () => await disk.ReadAsync(0, new byte[512]))).Error);
        await disk.ReadAsync(0, new byte[512]);
        Assert.Contains("\"hits\": 1", await server.AskAsync("status"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task One_rule_counts_the_requests_of_all_listeners()
    {
        await using var server = await TestServer.StartAsync(cache: "1M");
        await using var nvme = await server.NvmeAsync();
        await using var nbd = await server.NbdAsync();
        await server.AskAsync("fail command=write zone=1 nth=2");
        await nvme.WriteAsync(0, Block);
        await nvme.WriteAsync(Zone, Block);
        await Assert.ThrowsAnyAsync<BlockException>(async () => await nbd.WriteAsync(Zone + 4096, Block));
        await nbd.WriteAsync(Zone + 4096, Block);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Held_request_blocks_no_other_and_resumes_on_release(bool nbd)
    {
        await using var server = await TestServer.StartAsync(cache: "1M");
        await using var disk = await server.OpenAsync(nbd);
        await server.AskAsync("hang command=write zone=2");
        var hangs = disk.WriteAsync(2 * Zone, Block).AsTask();
        for (int i = 0; i < 100; i++)
        {
            await disk.WriteAsync(i * 512, new byte[512]);
            await disk.ReadAsync(0, Block);
        }

        Assert.False(hangs.IsCompleted);
        Assert.Equal("ok: 1 request resumed", await server.AskAsync("release"));
        await hangs;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Delayed_request_completes(bool nbd)
    {
        await using var server = await TestServer.StartAsync(cache: "1M");
        await using var disk = await server.OpenAsync(nbd);
        await server.AskAsync("delay command=write ms=50");
        await disk.WriteAsync(0, Block);
        Assert.Contains("delay command=write ms=50", await server.AskAsync("list"), StringComparison.Ordinal);
        Assert.Equal("ok: 1 rule removed", await server.AskAsync("clear id=1"));
    }

    [Fact]
    public async Task Server_with_a_held_request_stops()
    {
        var server = await TestServer.StartAsync(cache: "1M");
        await using var disk = await server.NbdAsync();
        await server.AskAsync("hang command=read");
        var hangs = disk.ReadAsync(0, Block).AsTask();
        await Eventually.IsAsync(
            () => server.AskAsync("status"), static status => status.Contains("\"waiting\": 1", StringComparison.Ordinal));
        await server.DisposeAsync();
        await hangs.ContinueWith(static _ => { }, TaskScheduler.Default);
    }

    [Theory]
    [InlineData("", "expected one of clear, delay")]
    [InlineData("fial", "did you mean 'fail'")]
    [InlineData("fail comand=read", "did you mean 'command'")]
    [InlineData("fail command=reed", "expected one of any, read")]
    [InlineData("fail nth=0", "from 1")]
    [InlineData("fail nth=99999999999999999999", "from 1")]
    [InlineData("fail nth", "requires a value")]
    [InlineData("fail nth=1 nth=2", "twice")]
    [InlineData("fail error=EWHAT", "expected one of EPERM")]
    [InlineData("fail status=800", "hexadecimal")]
    [InlineData("fail probability=2", "above 0 and at most 1")]
    [InlineData("fail zone=8", "zone 8 does not exist")]
    [InlineData("fail zone=1 offset=5", "cannot be combined with offset=")]
    [InlineData("fail image=other", "expected image=disk")]
    [InlineData("fail ns=7", "namespace 7 does not exist")]
    [InlineData("fail offset=1T", "beyond the end")]
    [InlineData("delay error=EIO", "unknown option 'error'")]
    [InlineData("drop now", "has no options")]
    [InlineData("powercut keep=101", "from 0 to 100")]
    [InlineData("powercut", "--volatile-cache")]
    [InlineData("offline zone=8", "this disk has zones 0 to 7")]
    [InlineData("offline", "the zone is missing")]
    public async Task Invalid_fault_command_is_rejected_with_the_valid_values(string line, string hint)
    {
        await using var server = await TestServer.StartAsync();
        Assert.Contains(hint, await server.RefusalAsync(line), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Hostile_clients_of_the_control_socket_harm_nobody()
    {
        await using var server = await TestServer.StartAsync(cache: "1M");
        Assert.True(OperatingSystem.IsWindows()
            || File.GetUnixFileMode(server.Control) == (UnixFileMode.UserRead | UnixFileMode.UserWrite));
        Assert.Contains("longer than 1024", await server.RefusalAsync(new string('x', 5000)), StringComparison.Ordinal);
        var random = new Random(1024);
        for (int i = 0; i < 300; i++)
        {
            using var client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            var bytes = new byte[random.Next(2000)];
            random.NextBytes(bytes);
            try
            {
                await client.ConnectAsync(new UnixDomainSocketEndPoint(server.Control));
                await client.SendAsync(bytes);
                if (i % 2 == 0)
                {
                    await client.SendAsync("\n"u8.ToArray());
                }
            }
            catch (SocketException)
            {
                // already answered and closed, or the listen queue is full
            }
        }

        // earlier clients are still being answered
        string answer = await Eventually.IsAsync(
            async () =>
            {
                try
                {
                    return await server.AskAsync("clear");
                }
                catch (ToolException busy)
                {
                    return busy.Message;
                }
            },
            static said => said.StartsWith("ok", StringComparison.Ordinal));
        Assert.Equal("ok: 0 rules removed", answer);
    }

    [Fact]
    public async Task Zones_and_offsets_of_a_namespace_count_from_its_own_start()
    {
        await using var server = await TestServer.StartAsync(cache: "1M", conventional: 2);
        await using var disk = await server.NvmeAsync(ns: 2);
        await server.AskAsync("fail command=append ns=2 zone=1");
        await disk.Zones!.AppendAsync(0, Block);
        await Assert.ThrowsAnyAsync<BlockException>(async () => await disk.Zones!.AppendAsync(Zone, Block));
        Assert.Contains($"offset={3 * Zone} length={Zone}", await server.AskAsync("status"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Script_applies_before_the_first_client_and_at_its_times()
    {
        await using var server = await TestServer.StartAsync(
            cache: "1M",
            script: "# a comment\nfail command=read nth=1   # the first\n\nat command 3 fail command=write count=0\nafter 60m drop\n");
        await using var disk = await server.NvmeAsync();
        await Assert.ThrowsAnyAsync<BlockException>(async () => await disk.ReadAsync(0, new byte[512]));
        for (int i = 0; i < 3; i++)
        {
            await disk.ReadAsync(0, new byte[512]);
        }

        await Eventually.IsAsync(() => server.AskAsync("status"), static status => status.Contains("\"id\": 2", StringComparison.Ordinal));
        await Assert.ThrowsAnyAsync<BlockException>(async () => await disk.WriteAsync(0, Block));
    }

    [Theory]
    [InlineData("fail\nfial", "script:2: unknown command 'fial'")]
    [InlineData("after 5 drop", "script:1: time '5'")]
    [InlineData("\nat 5 drop", "script:2: expected 'after TIME COMMAND'")]
    [InlineData("at command 0 drop", "script:1: number of commands '0'")]
    [InlineData("fail zone=99", "script:1: zone 99 does not exist")]
    public async Task Invalid_script_line_is_named_by_file_and_number(string script, string message)
    {
        var e = await Assert.ThrowsAsync<ToolException>(() => TestServer.StartAsync(cache: "1M", script: script));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_time_of_a_script_has_a_unit()
        => Assert.Equal(
            [0.5, 10, 120], new[] { "after 500ms drop", "after 10s drop", "after 2m drop" }.Select(
                l => FaultScript.Parse(l, "x:1")!.After!.Value.TotalSeconds));
}
