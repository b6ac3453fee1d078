using System.Net;
using Paddock.Block;
using Paddock.Faults;
using Paddock.Nvme.Wire;
using Paddock.Qcow2;
using Paddock.Serving;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>The target and the user-space host, connected over loopback, on a zoned image in memory.</summary>
public class TargetTests
{
    private const int Zone = 1 << 20;

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public async Task Writes_of_any_size_read_back_with_and_without_digests(bool header, bool data)
    {
        await using var bench = await Bench.StartAsync(header, data);
        var disk = bench.Zoned;
        var random = new Random(4420);
        byte[] image = new byte[Zone];
        random.NextBytes(image);
        int at = 0;
        foreach (int size in new[] { 512, 4096, 16384, 131072, 262144, Zone - 512 - 4096 - 16384 - 131072 - 262144 })
        {
            await disk.WriteAsync(at, image.AsMemory(at, size));
            at += size;
        }

        byte[] back = new byte[Zone];
        await disk.ReadAsync(0, back);
        Assert.Equal(image, back);
        var zones = new ZoneDescriptor[2];
        Assert.Equal(2, await disk.Zones!.ReportAsync(0, zones));
        Assert.Equal(ZoneCondition.Full, zones[0].Condition);
        Assert.Equal(ZoneCondition.Empty, zones[1].Condition);
    }

    [Fact]
    public async Task Pipelined_writes_to_one_zone_are_applied_in_order()
    {
        await using var bench = await Bench.StartAsync();
        // small data is in the capsule, large data waits for an R2T: the order must hold for both
        var writes = new List<Task>();
        long position = Zone;
        for (int i = 0; position + 196608 <= 2 * Zone; i++)
        {
            int size = i % 3 == 0 ? 196608 : 4096;
            writes.Add(bench.Zoned.WriteAsync(position, new byte[size]).AsTask());
            position += size;
        }

        await Task.WhenAll(writes);
        var zone = new ZoneDescriptor[1];
        await bench.Zoned.Zones!.ReportAsync(Zone, zone);
        Assert.Equal(position, zone[0].WritePointer);
    }

    [Fact]
    public async Task Parallel_appends_all_succeed_and_never_overlap()
    {
        await using var bench = await Bench.StartAsync();
        var landed = await Task.WhenAll(Enumerable.Range(0, 256).Select(i => bench.Zoned.Zones!.AppendAsync(0, new byte[4096]).AsTask()));
        Assert.Equal(Enumerable.Range(0, 256).Select(i => i * 4096L), landed.Order());
    }

    [Fact]
    public async Task Command_identifier_is_free_once_its_reply_has_arrived()
    {
        // connections that append to one zone wait for each other, so replies are sent by threads other than the receiving one
        await using var bench = await Bench.StartAsync();
        var hosts = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => NvmeTcpHost.ConnectAsync(bench.HostOptions()).AsTask()));
        try
        {
            int next = 0;
            await Task.WhenAll(Enumerable.Range(0, 256).Select(i => Task.Run(async () =>
            {
                await using var disk = await hosts[i % hosts.Length].OpenAsync(1, ownsHost: false);
                for (int n = Interlocked.Increment(ref next); n <= 8 * 2048; n = Interlocked.Increment(ref next))
                {
                    await disk.Zones!.AppendAsync((n - 1) / 2048 * (long)Zone, new byte[512]);
                }
            })));
        }
        finally
        {
            foreach (var host in hosts)
            {
                await host.DisposeAsync();
            }
        }
    }

    [Fact]
    public async Task Each_zone_error_has_its_own_status()
    {
        await using var bench = await Bench.StartAsync(maxOpen: 1, maxActive: 2);
        var disk = bench.Zoned;
        await disk.WriteAsync(0, new byte[4096]);
        await Refused(ZoneError.NotAtWritePointer, () => disk.WriteAsync(8192, new byte[4096]));
        await Refused(ZoneError.BoundaryCrossed, () => disk.WriteAsync(4096, new byte[Zone]));
        await disk.Zones!.ManageAsync(ZoneAction.Open, Zone, Zone);
        await Refused(ZoneError.TooManyOpen, () => disk.Zones!.ManageAsync(ZoneAction.Open, 0, Zone));
        await Refused(ZoneError.TooManyActive, () => disk.WriteAsync(2 * Zone, new byte[4096]));
        await disk.Zones!.ManageAsync(ZoneAction.Finish, 0, Zone);
        await Refused(ZoneError.Full, () => disk.WriteAsync(4096, new byte[4096]));
        await Refused(ZoneError.InvalidTransition, () => disk.Zones!.ManageAsync(ZoneAction.Close, 3 * Zone, Zone));
        await disk.Zones!.ManageAsync(ZoneAction.Reset, 0, disk.Length);
        var zones = new ZoneDescriptor[8];
        Assert.Equal(8, await disk.Zones!.ReportAsync(0, zones));
        Assert.All(zones, z => Assert.Equal(ZoneCondition.Empty, z.Condition));
    }

    [Fact]
    public async Task Fault_rule_applies_to_the_nth_command_only()
    {
        await using var bench = await Bench.StartAsync();
        bench.Faults.Add(new DeviceFault { Operations = DeviceOperations.Write, Nth = 3, Answer = NvmeStatus.CapacityExceeded });
        await bench.Zoned.WriteAsync(0, new byte[4096]);
        await bench.Zoned.WriteAsync(4096, new byte[4096]);
        var e = await Assert.ThrowsAsync<BlockException>(() => bench.Zoned.WriteAsync(8192, new byte[4096]).AsTask());
        Assert.Equal(BlockError.NoSpace, e.Error);
        await bench.Zoned.WriteAsync(8192, new byte[4096]);
        Assert.True(bench.Faults.Rules[0].Spent);
    }

    [Fact]
    public async Task Failed_commands_count_as_errors_and_not_as_bytes()
    {
        await using var bench = await Bench.StartAsync();
        var counted = bench.Namespace.Statistics;
        await bench.Zoned.WriteAsync(0, new byte[4096]);
        await Refused(ZoneError.NotAtWritePointer, () => bench.Zoned.WriteAsync(8192, new byte[4096]));
        bench.Faults.Add(new DeviceFault { Operations = DeviceOperations.Write });
        await Assert.ThrowsAsync<BlockException>(() => bench.Zoned.WriteAsync(4096, new byte[4096]).AsTask());

        // the data was written but FUA failed: the command failed
        bench.Faults.Add(new DeviceFault { Operations = DeviceOperations.Flush, Count = 2 });
        await Assert.ThrowsAsync<BlockException>(() => bench.Zoned.WriteAsync(4096, new byte[4096], WriteFlags.Fua).AsTask());
        await Assert.ThrowsAsync<BlockException>(async () => await bench.Zoned.Zones!.AppendAsync(Zone, new byte[4096], WriteFlags.Fua));
        Assert.Equal((1L, 4096L, 4L), (counted[ServedOperation.Write], counted.BytesWritten, counted.Errors));
        Assert.Equal(4096, bench.Namespace.ZoneTraffic[0].BytesWritten);
    }

    [Fact]
    public async Task Host_that_is_not_allowed_is_rejected()
    {
        await using var bench = await Bench.StartAsync();
        bench.Subsystem.AllowedHosts = new HashSet<string> { "nqn.2014-08.org.example:friend" };
        var e = await Assert.ThrowsAnyAsync<BlockException>(() => NvmeTcpHost.ConnectAsync(bench.HostOptions()).AsTask());
        Assert.Contains("does not admit host", e.Message, StringComparison.Ordinal);
        await using var friend = await NvmeTcpHost.ConnectAsync(bench.HostOptions() with { HostNqn = "nqn.2014-08.org.example:friend" });
        Assert.Equal([1u], await friend.ListAsync());
    }

    [Fact]
    public async Task Changed_zone_is_in_the_log_until_the_log_is_read()
    {
        await using var bench = await Bench.StartAsync();
        bench.Subsystem.ZoneChanged(bench.Namespace, 3);
        byte[] page = await bench.Host.ReadLogAsync(0xBF, 1, 4096);
        Assert.Equal(1, page[0]);
        Assert.Equal(3L * Zone / 512, BitConverter.ToInt64(page, 8));
        Assert.Equal(0, (await bench.Host.ReadLogAsync(0xBF, 1, 4096))[0]);
    }

    [Fact]
    public async Task Extension_is_set_only_on_an_empty_zone_appears_in_reports_and_is_cleared_by_a_reset()
    {
        await using var bench = await Bench.StartAsync(maxActive: 1);
        byte[] extension = new byte[64];
        extension.AsSpan().Fill(0xE7);
        Assert.Equal(NvmeStatus.Success, await SendAsync(bench, 0x10, Zone, extension));
        Assert.Equal(NvmeStatus.InvalidZoneStateTransition, await SendAsync(bench, 0x10, Zone, extension));
        Assert.Equal(NvmeStatus.TooManyActiveZones, await SendAsync(bench, 0x10, 0, extension));
        Assert.Equal(NvmeStatus.SglLengthInvalid, await SendAsync(bench, 0x10, 0, extension[..32]));
        Assert.Equal(NvmeStatus.InvalidField, await SendAsync(bench, 0x110, 0, extension));

        byte[] extended = await ReportAsync(bench, 1, 64 + (2 * 128));
        Assert.Equal((0x10, 0, 0x40, 0x80), (extended[65], extended[66], extended[193], extended[194]));
        Assert.Equal(new byte[64], extended[128..192]);
        Assert.Equal(extension, extended[256..320]);
        byte[] plain = await ReportAsync(bench, 0, 64 + (2 * 64));
        Assert.Equal((0, 0x80), (plain[66], plain[130]));

        await bench.Zoned.Zones!.ManageAsync(ZoneAction.Reset, Zone, Zone);
        extended = await ReportAsync(bench, 1, 64 + (2 * 128));
        Assert.Equal((0x10, 0), (extended[193], extended[194]));
        Assert.Equal(new byte[64], extended[256..320]);
    }

    [Fact]
    public async Task Offline_action_applies_only_to_read_only_zones_and_select_all_to_all_of_them()
    {
        await using var bench = await Bench.StartAsync();
        var attributes = bench.Namespace.Zones!.Attributes!;
        Assert.Equal(NvmeStatus.InvalidZoneStateTransition, await SendAsync(bench, 5, 0, []));
        await attributes.SetConditionAsync(0, ZoneCondition.ReadOnly);
        await attributes.SetConditionAsync(2, ZoneCondition.ReadOnly);
        await attributes.SetConditionAsync(3, ZoneCondition.ReadOnly);
        await Refused(ZoneError.ReadOnly, () => bench.Zoned.WriteAsync(0, new byte[512]));
        Assert.Equal(NvmeStatus.Success, await SendAsync(bench, 5, 0, []));
        Assert.Equal(NvmeStatus.Success, await SendAsync(bench, 5, 0, []));
        Assert.Equal(NvmeStatus.Success, await SendAsync(bench, 0x105, 0, []));
        var zones = new ZoneDescriptor[4];
        await bench.Zoned.Zones!.ReportAsync(0, zones);
        Assert.Equal(
            [ZoneCondition.Offline, ZoneCondition.Empty, ZoneCondition.Offline, ZoneCondition.Offline], zones.Select(z => z.Condition));
        await Refused(ZoneError.Offline, () => bench.Zoned.ReadAsync(0, new byte[512]));
        await Refused(ZoneError.Offline, () => bench.Zoned.WriteAsync(0, new byte[512]));
        await bench.Zoned.WriteAsync(Zone, new byte[512]);
        Assert.Equal(NvmeStatus.Success, await SendAsync(bench, 0x104, 0, []));
        await bench.Zoned.Zones!.ReportAsync(0, zones);
        Assert.Equal(
            [ZoneCondition.Offline, ZoneCondition.Empty, ZoneCondition.Offline, ZoneCondition.Offline], zones.Select(z => z.Condition));
    }

    private static async Task<NvmeStatus> SendAsync(Bench bench, uint dword13, long start, byte[] data)
    {
        var entry = new SubmissionEntry { Opcode = Opcode.ZoneManagementSend, NamespaceId = 1, Dword10 = (uint)(start / 512),
            Dword13 = dword13 };
        return (await bench.Host.RunAsync(entry, data, default, TestContext.Current.CancellationToken)).Status;
    }

    private static async Task<byte[]> ReportAsync(Bench bench, uint dword13, int bytes)
    {
        byte[] page = new byte[bytes];
        var entry = new SubmissionEntry
        {
            Opcode = Opcode.ZoneManagementReceive, NamespaceId = 1, Dword12 = (uint)(bytes / 4) - 1, Dword13 = dword13,
        };
        var completion = await bench.Host.RunAsync(entry, default, page, TestContext.Current.CancellationToken);
        Assert.Equal(NvmeStatus.Success, completion.Status);
        return page;
    }

    private static async Task Refused(ZoneError reason, Func<ValueTask> request)
        => Assert.Equal(reason, (await Assert.ThrowsAsync<ZoneException>(() => request().AsTask())).Reason);
}
