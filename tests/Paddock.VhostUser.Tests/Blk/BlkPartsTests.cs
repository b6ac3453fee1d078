using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Rings;
using Paddock.VhostUser.Tests.Rings;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>Unit tests of the parts of a request: parsing, checks, data, ranges, zones.</summary>
public class BlkPartsTests
{
    private const int Zone = 1 << 20;

    [Fact]
    public void Chain_without_room_for_a_header_or_a_status_is_rejected()
    {
        var rig = new BlkRig(BlkRig.Plain());
        var job = new BlkJob(rig.Queue, rig.Device);
        Assert.False(job.Begin(Chain(rig, RequestType.In, 0, readable: 0, writable: 0)));
        Assert.Equal(RequestStatus.IoError, job.Status);
    }

    [Theory]
    [InlineData((uint)RequestType.In, 0UL, 512, true)]
    [InlineData((uint)RequestType.In, 0UL, 511, false)]
    [InlineData((uint)RequestType.In, 2047UL, 512, true)]
    [InlineData((uint)RequestType.In, 2048UL, 512, false)]
    [InlineData((uint)RequestType.Out, 2047UL, 1024, false)]
    [InlineData((uint)RequestType.Out, ulong.MaxValue, 512, false)]
    public void Transfer_must_be_whole_sectors_inside_the_disk(uint type, ulong sector, int length, bool isValid)
    {
        var rig = new BlkRig(BlkRig.Plain());
        var job = new BlkJob(rig.Queue, rig.Device);
        bool reads = (RequestType)type == RequestType.In;
        Assert.Equal(isValid, job.Begin(Chain(rig, (RequestType)type, sector, reads ? 0 : length, reads ? length : 0)));
        Assert.Equal(isValid ? RequestStatus.Ok : RequestStatus.IoError, job.Status);
    }

    [Fact]
    public void Write_to_a_read_only_disk_is_rejected()
    {
        var rig = new BlkRig(BlkRig.Plain(readOnly: true));
        var job = new BlkJob(rig.Queue, rig.Device);
        Assert.False(job.Begin(Chain(rig, RequestType.Out, 0, readable: 512, writable: 0)));
    }

    [Fact]
    public void Zone_requests_are_unsupported_on_a_disk_without_zones()
    {
        var rig = new BlkRig(BlkRig.Plain());
        var job = new BlkJob(rig.Queue, rig.Device);
        Assert.False(job.Begin(Chain(rig, RequestType.ZoneReset, 0, readable: 0, writable: 0)));
        Assert.Equal(RequestStatus.Unsupported, job.Status);
    }

    [Fact]
    public void Single_segment_is_transferred_without_a_buffer()
    {
        var rig = new BlkRig(BlkRig.Plain());
        var job = new BlkJob(rig.Queue, rig.Device);
        Assert.True(job.Begin(Chain(rig, RequestType.Out, 0, readable: 4096, writable: 0)));
        Assert.Equal((DataWay.Direct, 0), (job.Way, job.BufferSize));
        Assert.True(job.Begin(Chain(rig, RequestType.Out, 0, readable: 4096, writable: 0, pieces: 2)));
        Assert.Equal((DataWay.Buffer, 4096), (job.Way, job.BufferSize));
    }

    [Fact]
    public async Task Written_segments_read_back_into_guest_memory()
    {
        var rig = new BlkRig(BlkRig.Plain());
        var job = new BlkJob(rig.Queue, rig.Device);
        var transfer = new BlkTransfer(job);
        Assert.True(job.Begin(Chain(rig, RequestType.Out, 8, readable: 1024, writable: 0, pieces: 2, fill: 7)));
        job.Slab = rig.Device.Buffers.TryRent(job.BufferSize);
        await transfer.Write();
        Assert.True(job.Begin(Chain(rig, RequestType.In, 8, readable: 0, writable: 1024)));
        await transfer.Read();
        transfer.CompleteRead();
        Assert.Equal(1024, job.DataWritten);
        Assert.True(job.TryGetRun(out var run));
        Assert.Equal(-1, run.Span.IndexOfAnyExcept((byte)7));
    }

    [Fact]
    public async Task Range_outside_the_disk_rejects_all_ranges()
    {
        var disk = BlkRig.Plain();
        await disk.WriteAsync(0, Enumerable.Repeat((byte)7, 4096).ToArray(), cancellationToken: TestContext.Current.CancellationToken);
        var rig = new BlkRig(disk);
        var job = new BlkJob(rig.Queue, rig.Device);
        var ranges = new byte[2 * BlkRange.Size];
        BinaryPrimitives.WriteUInt32LittleEndian(ranges.AsSpan(8), 8);
        BinaryPrimitives.WriteUInt64LittleEndian(ranges.AsSpan(BlkRange.Size), 1 << 20);
        BinaryPrimitives.WriteUInt32LittleEndian(ranges.AsSpan(BlkRange.Size + 8), 8);
        Assert.True(job.Begin(Chain(rig, RequestType.WriteZeroes, 0, ranges)));
        job.Slab = rig.Device.Buffers.TryRent(job.BufferSize);
        await new BlkRanges(job).RunAsync();
        Assert.Equal(RequestStatus.IoError, job.Status);
        var read = new byte[4096];
        await disk.ReadAsync(0, read, TestContext.Current.CancellationToken);
        Assert.Equal(-1, read.AsSpan().IndexOfAnyExcept((byte)7));
    }

    [Fact]
    public async Task Reset_of_all_zones_skips_read_only_and_offline_zones()
    {
        await using var disk = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = Zone });
        var token = TestContext.Current.CancellationToken;
        for (int zone = 0; zone < 3; zone++)
        {
            await disk.WriteAsync(zone * Zone, new byte[4096], cancellationToken: token);
        }

        await disk.Zones!.Attributes!.SetConditionAsync(1, ZoneCondition.ReadOnly, token);
        var rig = new BlkRig(disk);
        var job = new BlkJob(rig.Queue, rig.Device);
        Assert.True(job.Begin(Chain(rig, RequestType.ZoneResetAll, 0, readable: 0, writable: 0)));
        await new BlkZones(job).ResetAll();
        var zones = new ZoneDescriptor[3];
        await disk.Zones.ReportAsync(0, zones, token);
        Assert.Equal([ZoneCondition.Empty, ZoneCondition.ReadOnly, ZoneCondition.Empty], zones.Select(z => z.Condition));
    }

    private static DescriptorChain Chain(BlkRig rig, RequestType type, ulong sector, byte[] data)
    {
        var chain = new DescriptorChain();
        AddHeader(rig, chain, type, sector);
        Add(rig, chain, data, writable: false);
        Add(rig, chain, new byte[BlkJob.StatusSize], writable: true);
        return chain;
    }

    private static DescriptorChain Chain(
        BlkRig rig, RequestType type, ulong sector, int readable, int writable, int pieces = 1, byte fill = 0)
    {
        var chain = new DescriptorChain();
        AddHeader(rig, chain, type, sector);
        for (int i = 0; i < pieces && readable > 0; i++)
        {
            Add(rig, chain, Enumerable.Repeat(fill, readable / pieces).ToArray(), writable: false);
        }

        bool isOneWithoutStatus = type == RequestType.In && writable == 0;
        if (!isOneWithoutStatus)
        {
            // a gap keeps the segments apart
            rig.Arena.Allocate(64);
            Add(rig, chain, new byte[writable + BlkJob.StatusSize], writable: true);
        }

        return chain;
    }

    private static void AddHeader(BlkRig rig, DescriptorChain chain, RequestType type, ulong sector)
    {
        var header = new byte[RequestHeader.Size];
        BinaryPrimitives.WriteUInt32LittleEndian(header, (uint)type);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(8), sector);
        Add(rig, chain, header, writable: false);
    }

    private static void Add(BlkRig rig, DescriptorChain chain, byte[] data, bool writable)
        => chain.Add(rig.Arena.Memory, new Descriptor(rig.Arena.Put(data), (uint)data.Length, 0, 0), writable);
}
