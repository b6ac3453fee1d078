using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Wire;
using Paddock.Testing;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>Random write areas as a host sees them: Identify, reports, commands and every status (ZNS command set 1.2).</summary>
public class RandomAreaTests
{
    private const int Zone = 1 << 20, Unit = 4096, Area = 4 * Unit;
    private const uint Open = 3, OpenWithArea = 3 | (1 << 9), Extension = 0x10, Commit = 0x11, All = 1 << 8;

    [Theory]
    [InlineData(512, 32, 8)]
    [InlineData(4096, 4, 1)]
    public async Task Identify_has_the_fields_where_hosts_read_them(int blockSize, int size, int unit)
    {
        await using var bench = await StartAsync(zones: 3, blockSize: blockSize);
        byte[] page = await bench.Host.IdentifyAsync(0x05, 1, IdentifyNamespace.ZonedCommandSet, Token);
        Assert.Equal(3, BinaryPrimitives.ReadUInt16LittleEndian(page.AsSpan(2)));
        Assert.Equal(2u, BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(44)));
        Assert.Equal(unit, BinaryPrimitives.ReadUInt16LittleEndian(page.AsSpan(48)));
        Assert.Equal(size, BinaryPrimitives.ReadUInt16LittleEndian(page.AsSpan(50)));
        Assert.Equal((1, 0), (page[52], page[53]));
        Assert.Equal(new RandomAreaLimits(Area, Unit, 3), bench.Zoned.Zones!.Limits.RandomArea);
    }

    [Fact]
    public async Task Number_of_areas_without_a_limit_is_that_of_the_zones()
    {
        await using var bench = await StartAsync(zones: 0);
        byte[] page = await bench.Host.IdentifyAsync(0x05, 1, IdentifyNamespace.ZonedCommandSet, Token);
        Assert.Equal(7u, BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(44)));
    }

    [Fact]
    public async Task Nothing_is_advertised_or_accepted_without_areas()
    {
        await using var bench = await Bench.StartAsync();
        byte[] page = await bench.Host.IdentifyAsync(0x05, 1, IdentifyNamespace.ZonedCommandSet, Token);
        Assert.Equal(1, BinaryPrimitives.ReadUInt16LittleEndian(page.AsSpan(2)));
        Assert.Equal(new byte[9], page[44..53]);
        Assert.Equal(NvmeStatus.InvalidZoneOperation, await SendAsync(bench, OpenWithArea, 0));
        Assert.Equal(NvmeStatus.InvalidZoneOperation, await SendAsync(bench, Commit, Unit - 512));
        Assert.Equal(NvmeStatus.InvalidZoneOperation, await SendAsync(bench, Extension | (1 << 9), 0, new byte[64]));
        Assert.Equal(default, bench.Zoned.Zones!.Limits.RandomArea);
    }

    [Fact]
    public async Task Report_shows_the_attribute()
    {
        await using var bench = await StartAsync();
        Assert.Equal(NvmeStatus.Success, await SendAsync(bench, OpenWithArea, Zone));
        byte[] page = await ReportAsync(bench);
        Assert.Equal((0x10, 0, 0x30, 0x08), (page[65], page[66], page[129], page[130]));
        Assert.Equal(NvmeStatus.Success, await SendAsync(bench, Extension | (1 << 9), 0, new byte[64]));
        page = await ReportAsync(bench);
        Assert.Equal((0x40, 0x88), (page[65], page[66]));
        var zones = new ZoneDescriptor[3];
        await bench.Zoned.Zones!.ReportAsync(0, zones, Token);
        Assert.Equal([true, true, false], zones.Select(z => z.HasRandomArea));
    }

    [Fact]
    public async Task Allocation_has_a_status_for_every_reason()
    {
        await using var bench = await StartAsync(zones: 1, maxActive: 3);
        await bench.Zoned.WriteAsync(0, new byte[Unit], cancellationToken: Token);
        Assert.Equal(NvmeStatus.InvalidZoneOperation, await SendAsync(bench, OpenWithArea, 0));
        Assert.Equal(NvmeStatus.InvalidField, await SendAsync(bench, OpenWithArea | All, 0));
        Assert.Equal(NvmeStatus.InvalidField, await SendAsync(bench, OpenWithArea, Zone + 512));
        Assert.Equal(NvmeStatus.LbaOutOfRange, await SendAsync(bench, OpenWithArea, 8 * Zone));
        Assert.Equal(NvmeStatus.Success, await SendAsync(bench, OpenWithArea, Zone));
        Assert.Equal(NvmeStatus.Success, await SendAsync(bench, OpenWithArea, Zone));
        Assert.Equal(NvmeStatus.RandomAreaUnavailable, await SendAsync(bench, OpenWithArea, 2 * Zone));
        Assert.Equal(NvmeStatus.RandomAreaUnavailable, await SendAsync(bench, Extension | (1 << 9), 2 * Zone, new byte[64]));
        Assert.Equal(NvmeStatus.Success, await SendAsync(bench, Open, 2 * Zone));
        Assert.Equal(NvmeStatus.TooManyActiveZones, await SendAsync(bench, OpenWithArea, 3 * Zone));
        Assert.Equal((0x1B6, 0x1B7), ((int)NvmeStatus.InvalidZoneOperation, (int)NvmeStatus.RandomAreaUnavailable));
    }

    [Fact]
    public async Task Commit_names_the_last_block()
    {
        await using var bench = await StartAsync();
        await SendAsync(bench, OpenWithArea, Zone);
        Assert.Equal(NvmeStatus.InvalidField, await SendAsync(bench, Commit | All, Zone + Unit - 512));
        Assert.Equal(NvmeStatus.LbaOutOfRange, await SendAsync(bench, Commit, 8 * Zone));
        Assert.Equal(NvmeStatus.InvalidZoneOperation, await SendAsync(bench, Commit, Zone));
        Assert.Equal(NvmeStatus.InvalidZoneOperation, await SendAsync(bench, Commit, Zone + Unit));
        Assert.Equal(NvmeStatus.InvalidZoneOperation, await SendAsync(bench, Commit, Zone + Area));
        Assert.Equal(NvmeStatus.InvalidZoneOperation, await SendAsync(bench, Commit, Zone - 512));
        Assert.Equal(NvmeStatus.Success, await SendAsync(bench, Commit, Zone + Unit - 512));
        Assert.Equal(NvmeStatus.Success, await SendAsync(bench, Commit, Zone + Unit + Area - 512));
        Assert.Equal(Zone + Unit + Area, (await ZoneAsync(bench, 1)).WritePointer);
        Assert.Equal(NvmeStatus.InvalidZoneOperation, await SendAsync(bench, Commit, Zone + Unit - 512));
    }

    [Fact]
    public async Task Host_writes_reads_and_commits_in_an_area()
    {
        await using var bench = await StartAsync();
        var zones = bench.Zoned.Zones!;
        await zones.ManageAsync(ZoneAction.OpenWithRandomArea, 0, Zone, Token);
        byte[] data = new byte[Unit];
        data.AsSpan().Fill(7);
        await bench.Zoned.WriteAsync(2 * Unit, data, cancellationToken: Token);
        await bench.Zoned.WriteZeroesAsync(2 * Unit, 512, cancellationToken: Token);
        byte[] read = new byte[3 * Unit];
        await bench.Zoned.ReadAsync(0, read, Token);
        Assert.False(read.AsSpan(0, (2 * Unit) + 512).ContainsAnyExcept((byte)0));
        Assert.Equal(data[512..], read[((2 * Unit) + 512)..]);
        var status = await bench.Zoned.GetStatusAsync(0, Zone, Token);
        Assert.Equal((Area, true), (status.Length, status.Flags.HasFlag(BlockStatusFlags.Data)));
        await zones.CommitAsync(Unit, Token);
        await RefusedAsync(ZoneError.NotAtWritePointer, () => bench.Zoned.WriteAsync(0, data));
        await RefusedAsync(ZoneError.NotAtWritePointer, () => bench.Zoned.WriteAsync(Unit + (2 * Area), data));
        await RefusedAsync(ZoneError.InvalidZoneOperation, async () => await zones.AppendAsync(0, data));
        await RefusedAsync(ZoneError.InvalidZoneOperation, () => zones.CommitAsync(Unit));
        await RefusedAsync(ZoneError.InvalidZoneOperation, () => zones.CommitAsync(0));
        await RefusedAsync(ZoneError.InvalidZoneOperation, () => zones.CommitAsync(9 * Zone));
        await RefusedAsync(ZoneError.InvalidZoneOperation, () => zones.CommitAsync(Unit + 1));
        await bench.Zoned.WriteAsync(5 * Unit, data, cancellationToken: Token);
        Assert.Equal((2 * Unit, true), ((await ZoneAsync(bench, 0)).WritePointer, (await ZoneAsync(bench, 0)).HasRandomArea));
        await zones.ManageAsync(ZoneAction.Finish, 0, Zone, Token);
        Assert.Equal((ZoneCondition.Full, false), ((await ZoneAsync(bench, 0)).Condition, (await ZoneAsync(bench, 0)).HasRandomArea));
        await zones.ManageAsync(ZoneAction.Reset, 0, Zone, Token);
        await zones.AppendAsync(0, data, cancellationToken: Token);
    }

    [Fact]
    public async Task Zone_that_is_committed_to_its_capacity_is_full()
    {
        await using var bench = await StartAsync();
        await SendAsync(bench, OpenWithArea, 0);
        for (long end = Area; end < Zone; end += Area)
        {
            Assert.Equal(NvmeStatus.Success, await SendAsync(bench, Commit, end - 512));
        }

        await bench.Zoned.WriteAsync(Zone - 512, new byte[512], cancellationToken: Token);
        Assert.Equal(Zone - Area, (await ZoneAsync(bench, 0)).WritePointer);
        await RefusedAsync(ZoneError.BoundaryCrossed, () => bench.Zoned.WriteAsync(Zone - 512, new byte[1024]));
        Assert.Equal(NvmeStatus.Success, await SendAsync(bench, Commit, Zone - 512));
        Assert.Equal((ZoneCondition.Full, false), ((await ZoneAsync(bench, 0)).Condition, (await ZoneAsync(bench, 0)).HasRandomArea));
    }

    [Theory]
    [InlineData(Area, 512, 4096, "multiples of the logical block of 4096 bytes")]
    [InlineData(65536 * 512, 512, 512, "at most 65535 blocks")]
    public void Areas_that_do_not_fit_blocks_are_no_namespace(int size, int unit, int block, string message)
    {
        var disk = CheckedDevice.Wrap(new ZonedMemoryDisk(64 << 20, 2, new RandomAreaLimits(size, unit, 0)));
        var refused = Assert.Throws<ArgumentException>(() => new NvmeNamespace(1, disk, block, "disk"));
        Assert.Contains(message, refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, 32, 8)] // not advertised
    [InlineData(2, 32, 0)] // no unit
    [InlineData(2, 33, 8)] // no multiple
    public void Impossible_areas_of_a_controller_are_not_used(ushort ozcs, ushort size, ushort unit)
    {
        byte[] page = new byte[4096];
        BinaryPrimitives.WriteUInt16LittleEndian(page.AsSpan(2), ozcs);
        BinaryPrimitives.WriteUInt16LittleEndian(page.AsSpan(48), unit);
        BinaryPrimitives.WriteUInt16LittleEndian(page.AsSpan(50), size);
        Assert.Equal(default, RandomAreaFields.Read(page, 9));
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static Task<Bench> StartAsync(uint zones = 0, uint maxActive = 0, int blockSize = 512)
        => Bench.StartAsync(maxActive: maxActive, area: new RandomAreaLimits(Area, Unit, zones), blockSize: blockSize);

    private static async Task<NvmeStatus> SendAsync(Bench bench, uint dword13, long at, byte[]? data = null)
    {
        var entry = new SubmissionEntry
        {
            Opcode = Opcode.ZoneManagementSend, NamespaceId = 1, Dword10 = (uint)(at / 512), Dword13 = dword13,
        };
        return (await bench.Host.RunAsync(entry, data, default, Token)).Status;
    }

    private static async Task<byte[]> ReportAsync(Bench bench)
    {
        byte[] page = new byte[64 * 3];
        var entry = new SubmissionEntry
        {
            Opcode = Opcode.ZoneManagementReceive, NamespaceId = 1, Dword12 = (uint)(page.Length / 4) - 1,
        };
        Assert.Equal(NvmeStatus.Success, (await bench.Host.RunAsync(entry, default, page, Token)).Status);
        return page;
    }

    private static async Task<ZoneDescriptor> ZoneAsync(Bench bench, int zone)
    {
        var zones = new ZoneDescriptor[1];
        await bench.Zoned.Zones!.ReportAsync(zone * (long)Zone, zones, Token);
        return zones[0];
    }

    private static async Task RefusedAsync(ZoneError reason, Func<ValueTask> request)
        => Assert.Equal(reason, (await Assert.ThrowsAsync<ZoneException>(() => request().AsTask())).Reason);
}
