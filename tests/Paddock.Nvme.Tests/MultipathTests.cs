using System.Net;
using Paddock.Block;
using Paddock.Nvme.Ana;
using Paddock.Testing;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>A host with paths to two servers, of which one has the disk.</summary>
public class MultipathTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task Requests_use_the_server_that_has_the_disk()
    {
        await using var servers = await TwoServers.StartAsync();
        await TwoServers.HandOverAsync(servers.First, servers.Second);
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        await disk.WriteAsync(0, new byte[4096]);
        await disk.FlushAsync();
        Assert.Equal((0, 4096), (servers.First.Namespace.Statistics.BytesWritten, servers.Second.Namespace.Statistics.BytesWritten));
    }

    [Fact]
    public async Task Idle_host_follows_a_hand_over()
    {
        await using var servers = await TwoServers.StartAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        int before = host.Generation;
        await TwoServers.HandOverAsync(servers.First, servers.Second);
        await Eventually.TrueAsync(() => host.Generation > before);
        await disk.WriteAsync(0, new byte[4096]);
        Assert.Equal(4096, servers.Second.Namespace.Statistics.BytesWritten);
    }

    [Fact]
    public async Task Optimized_path_is_preferred()
    {
        await using var servers = await TwoServers.StartAsync();
        servers.First.Group.SetState(AnaState.NonOptimized);
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        await disk.WriteAsync(0, new byte[4096]);
        await MoveAsync(servers, host);
        await disk.WriteAsync(4096, new byte[4096]);
        await disk.FlushAsync();
        Assert.Equal((4096, 4096), (servers.First.Namespace.Statistics.BytesWritten, servers.Second.Namespace.Statistics.BytesWritten));
    }

    [Fact]
    public async Task Path_that_was_down_is_connected_in_the_background()
    {
        await using var servers = await TwoServers.StartAsync();
        servers.Second.Connect(isReachable: false);
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        servers.Second.Connect(isReachable: true);
        await Eventually.TrueAsync(() => servers.Second.Accepted > 0);
        servers.First.Connect(isReachable: false);
        servers.Second.Group.SetState(AnaState.Optimized);
        await disk.ReadAsync(0, new byte[4096]).AsTask().WaitAsync(Patience);
    }

    [Fact]
    public async Task Requests_wait_for_a_path_and_then_fail_with_the_state_of_each()
    {
        await using var servers = await TwoServers.StartAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions(TimeSpan.FromMilliseconds(300)));
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        servers.First.Group.SetState(AnaState.Inaccessible);
        servers.Second.Connect(isReachable: false);
        foreach (var request in new Func<Task>[]
        {
            () => disk.ReadAsync(0, new byte[4096]).AsTask(), () => disk.WriteAsync(0, new byte[4096]).AsTask(),
            () => disk.Zones!.AppendAsync(0, new byte[4096]).AsTask(), () => disk.FlushAsync().AsTask(),
        })
        {
            var e = await Assert.ThrowsAsync<BlockException>(request);
            Assert.Contains($"127.0.0.1:{servers.First.Port} is inaccessible", e.Message, StringComparison.Ordinal);
            Assert.Contains($"127.0.0.1:{servers.Second.Port} is not connected", e.Message, StringComparison.Ordinal);
        }

        servers.First.Group.SetState(AnaState.Optimized);
        await disk.WriteAsync(0, new byte[4096]);
        await disk.FlushAsync();
    }

    [Fact]
    public async Task Connecting_fails_if_no_address_answers()
    {
        await using var servers = await TwoServers.StartAsync();
        servers.First.Connect(isReachable: false);
        servers.Second.Connect(isReachable: false);
        await Assert.ThrowsAsync<BlockException>(() => NvmeTcpHost.ConnectAsync(servers.HostOptions()).AsTask());
    }

    [Fact]
    public async Task Single_path_waits_until_the_server_has_the_disk()
    {
        await using var servers = await TwoServers.StartAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions() with { OtherAddresses = [] });
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        servers.First.Group.SetState(AnaState.Inaccessible);
        Task[] all =
        [
            disk.ReadAsync(0, new byte[4096]).AsTask(), disk.WriteAsync(0, new byte[4096]).AsTask(),
            disk.Zones!.AppendAsync(1 << 20, new byte[4096]).AsTask(),
        ];
        Assert.DoesNotContain(all, t => t.IsCompleted);
        servers.First.Group.SetState(AnaState.Optimized);
        await Task.WhenAll(all).WaitAsync(Patience);
        await disk.FlushAsync();
    }

    [Fact]
    public async Task Command_that_is_refused_in_every_state_fails_in_the_end()
    {
        await using var servers = await TwoServers.StartAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions(TimeSpan.FromMilliseconds(300)));
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        await servers.First.DrainAsync();
        var e = await Assert.ThrowsAsync<BlockException>(() => disk.ReadAsync(0, new byte[4096]).AsTask().WaitAsync(Patience));
        Assert.Contains("refuses commands", e.Message, StringComparison.Ordinal);
        servers.First.Admit();
    }

    [Fact]
    public async Task Flush_after_a_crash_of_the_server_reports_that_writes_may_be_lost()
    {
        await using var servers = await TwoServers.StartAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        await disk.WriteAsync(0, new byte[4096]);
        servers.First.Connect(isReachable: false);
        servers.Second.Group.SetState(AnaState.Optimized);
        var e = await Assert.ThrowsAsync<BlockException>(() => disk.FlushAsync().AsTask());
        Assert.Contains("may be lost", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Flush_succeeds_at_another_address_of_the_same_server()
    {
        await using var servers = await TwoServers.StartAsync();
        await using var relay = new Relay(servers.First.Port);
        var options = servers.HostOptions() with
        {
            Port = relay.Port, OtherAddresses = [new DnsEndPoint("127.0.0.1", servers.First.Port)],
        };
        await using var host = await NvmeTcpHost.ConnectAsync(options);
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        await disk.WriteAsync(0, new byte[4096]);
        relay.Target = 0;
        relay.Cut();
        await disk.FlushAsync().AsTask().WaitAsync(Patience);
    }

    [Fact]
    public async Task Silent_server_is_left_when_another_takes_over()
    {
        await using var servers = await TwoServers.StartAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        await disk.WriteAsync(0, new byte[4096]);
        servers.First.Freeze(true);
        Task[] all =
        [
            disk.ReadAsync(0, new byte[4096]).AsTask(), disk.WriteAsync(4096, new byte[4096]).AsTask(),
            disk.WriteAsync(8192, new byte[4096]).AsTask(),
        ];
        var append = disk.Zones!.AppendAsync(1 << 20, new byte[4096]).AsTask();
        servers.Second.Group.SetState(AnaState.Optimized);
        await Task.WhenAll(all).WaitAsync(Patience);
        Assert.Contains("not known", (await Assert.ThrowsAsync<BlockException>(() => append)).Message, StringComparison.Ordinal);
        Assert.Equal(8192, servers.Second.Namespace.Statistics.BytesWritten);
        Assert.Contains(
            "may be lost", (await Assert.ThrowsAsync<BlockException>(() => disk.FlushAsync().AsTask())).Message, StringComparison.Ordinal);

        // what it was sent reaches the first server late: it has lost the disk by then
        servers.First.Group.LoseAccess();
        servers.First.Freeze(false);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Flush_after_a_lost_lock_reports_that_writes_may_be_lost(bool returns)
    {
        await using var servers = await TwoServers.StartAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        await disk.WriteAsync(0, new byte[4096]);
        servers.First.Group.LoseAccess();
        (returns ? servers.First : servers.Second).Group.SetState(AnaState.Optimized);
        await Eventually.TrueAsync(() => host.Incarnation > 0);
        var e = await Assert.ThrowsAsync<BlockException>(() => disk.FlushAsync().AsTask());
        Assert.Contains("may be lost", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Append_of_a_server_that_lost_the_disk_is_not_sent_again()
    {
        await using var servers = await TwoServers.StartAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        servers.First.Faults.Add(new() { Operations = Faults.DeviceOperations.Append, Error = BlockError.NotOwner });
        servers.Second.Group.SetState(AnaState.Optimized);
        var e = await Assert.ThrowsAsync<BlockException>(() => disk.Zones!.AppendAsync(0, new byte[4096]).AsTask());
        Assert.Contains("not known", e.Message, StringComparison.Ordinal);
        Assert.Equal(0, servers.Second.Namespace.Statistics.BytesWritten);
    }

    [Fact]
    public async Task Durable_write_of_a_server_that_lost_the_disk_is_decided_by_the_pointer()
    {
        await using var servers = await TwoServers.StartAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        servers.First.Faults.Add(new() { Operations = Faults.DeviceOperations.Flush, Error = BlockError.NotOwner });
        servers.Second.Group.SetState(AnaState.Optimized);
        await disk.WriteAsync(0, new byte[4096], WriteFlags.Fua);
        Assert.Equal(0, servers.Second.Namespace.Statistics.BytesWritten);
        Assert.Equal(1, servers.Second.Namespace.Statistics[Serving.ServedOperation.Flush]);
    }

    [Fact]
    public async Task Write_behind_the_pointer_is_rejected_by_the_next_server_too()
    {
        await using var servers = await TwoServers.StartAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        await disk.WriteAsync(0, new byte[8192]);
        int before = host.Generation;
        await TwoServers.HandOverAsync(servers.First, servers.Second);
        await Eventually.TrueAsync(() => host.Generation > before);
        var e = await Assert.ThrowsAsync<ZoneException>(() => disk.WriteAsync(0, new byte[4096]).AsTask());
        Assert.Equal(ZoneError.NotAtWritePointer, e.Reason);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1 << 20)]
    public async Task Flush_succeeds_if_the_server_crashed_without_acknowledged_writes(long zoneSize)
    {
        await using var servers = await TwoServers.StartAsync(zoneSize: zoneSize);
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        servers.First.Freeze(true);
        var write = disk.WriteAsync(0, new byte[4096]).AsTask();
        servers.Second.Group.SetState(AnaState.Optimized);
        await write.WaitAsync(Patience);
        await disk.FlushAsync().AsTask().WaitAsync(Patience);
        servers.First.Group.LoseAccess();
        servers.First.Freeze(false);
    }

    [Fact]
    public async Task Server_that_cannot_flush_has_not_handed_over()
    {
        await using var servers = await TwoServers.StartAsync();
        servers.First.Group.SetState(AnaState.NonOptimized);
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        await disk.WriteAsync(0, new byte[4096]);

        // it has lost the disk, and does not report it yet
        servers.First.Faults.Add(new() { Operations = Faults.DeviceOperations.Flush, Error = BlockError.NotOwner });
        await MoveAsync(servers, host);
        var e = await Assert.ThrowsAsync<BlockException>(() => disk.FlushAsync().AsTask());
        Assert.Contains("may be lost", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Events_are_followed_after_a_namespace_was_removed()
    {
        await using var servers = await TwoServers.StartAsync();
        await using var other = MemoryDisk.Of(1 << 20);
        foreach (var side in new[] { servers.First, servers.Second })
        {
            side.Subsystem.Add(new NvmeNamespace(2, other, 512, "other") { AnaGroup = side.Group });
        }

        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        await using var removed = await host.OpenAsync(2, ownsHost: false);
        servers.First.Subsystem.Remove(servers.First.Subsystem.Namespaces[1]);
        await Eventually.TrueAsync(() => servers.First.Subsystem.ControllersOf(servers.First.Namespace).All(c => !c.Events.OwesNamespaces));
        int before = host.Generation;
        await TwoServers.HandOverAsync(servers.First, servers.Second);
        await Eventually.TrueAsync(() => host.Generation > before);
    }

    [Fact]
    public async Task Silent_server_that_receives_no_more_is_left()
    {
        const int piece = 1 << 20;
        await using var servers = await TwoServers.StartAsync(64 * piece, 64 * piece);
        await using var host = await NvmeTcpHost.ConnectAsync(servers.HostOptions());
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        servers.First.Freeze(true);
        var all = Enumerable.Range(0, 48).Select(i => disk.WriteAsync(i * piece, new byte[piece]).AsTask()).ToArray();
        servers.Second.Group.SetState(AnaState.Optimized);
        await Task.WhenAll(all).WaitAsync(Patience);
        await disk.FlushAsync().AsTask().WaitAsync(Patience);
        servers.First.Group.LoseAccess();
    }

    // the host continues at the second server
    private static async Task MoveAsync(TwoServers servers, NvmeTcpHost host)
    {
        int before = host.Generation;
        servers.Second.Group.SetState(AnaState.Optimized);
        await Eventually.TrueAsync(() => host.Generation > before);
    }
}
