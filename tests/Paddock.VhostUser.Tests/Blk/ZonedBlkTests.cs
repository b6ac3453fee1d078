using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Serving;
using Paddock.Testing;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>Guest requests to a zoned qcow2 image.</summary>
public class ZonedBlkTests
{
    private const int Zone = 1 << 20;
    private const ulong ZoneSectors = Zone / 512;
    private const byte Ok = 0, IoError = 1, Unsupported = 2, Invalid = 3, Unaligned = 4, OpenResource = 5, ActiveResource = 6;

    [Fact]
    public async Task Configuration_space_is_byte_exact()
    {
        await using var disk = await BlkRig.ZonedAsync(new ZonedCreateOptions
        {
            ZoneSize = Zone, ZoneCapacity = 3 * Zone / 4, MaxOpenZones = 3, MaxActiveZones = 5, MaxAppendBytes = 65536,
                ConventionalZones = 1,
        });
        var device = new VirtioBlkDevice(disk, new VirtioBlkOptions());
        const ulong rings = (1UL << 28) | (1UL << 29) | (1UL << 32) | (1UL << 34);
        Assert.Equal(rings | (1 << 2) | (1 << 6) | (1 << 9) | (1 << 10) | (1 << 17), device.Features);
        byte[] expected = new byte[96];
        Put(expected, 0, 16384);
        Put(expected, 12, 126);
        Put(expected, 20, 512);
        expected[26] = 1;
        expected[34] = 1;
        Put(expected, 72, 2048);
        Put(expected, 76, 3);
        Put(expected, 80, 5);
        Put(expected, 84, 128);
        Put(expected, 88, 512);
        expected[92] = 1;
        byte[] config = new byte[96];
        device.ReadConfig(0, config);
        Assert.Equal(Convert.ToHexString(expected), Convert.ToHexString(config));
    }

    [Fact]
    public async Task Device_without_limits_reports_its_longest_append()
    {
        await using var small = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = Zone });
        Assert.Equal(Zone / 512, AppendSectors(small, 512));
        await using var large = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = 64 << 20 }, 256 << 20);
        Assert.Equal((16 << 20) / 512, AppendSectors(large, 4096));

        static int AppendSectors(IBlockDevice disk, int block)
        {
            byte[] config = new byte[4];
            new VirtioBlkDevice(disk, new VirtioBlkOptions { BlockSize = block }).ReadConfig(84, config);
            return BinaryPrimitives.ReadInt32LittleEndian(config);
        }
    }

    [Fact]
    public async Task Zone_report_is_byte_exact_and_as_long_as_its_buffer()
    {
        await using var disk = await BlkRig.ZonedAsync(
            new ZonedCreateOptions { ZoneSize = Zone, ZoneCapacity = Zone / 2, ConventionalZones = 1 });
        var rig = new BlkRig(disk);
        Assert.Equal(Ok, rig.Run(RequestType.Out, ZoneSectors, new byte[4096]).Status);
        Assert.Equal(Ok, rig.Run(RequestType.ZoneFinish, 2 * ZoneSectors).Status);
        byte[] expected = new byte[64 + (3 * 64) + 40];
        Zones(expected, 3, (2048, 0, 0, 1, 0), (1024, 2048, 2056, 2, 2), (1024, 4096, 6144, 2, 14));
        var answer = rig.Run(RequestType.ZoneReport, 0, default, expected.Length, [1, 70, 13]);
        Assert.Equal((Ok, (uint)expected.Length + 1), (answer.Status, answer.Written));
        Assert.Equal(Convert.ToHexString(expected), Convert.ToHexString(answer.Data));

        // from inside a zone, and to the end of the disk
        expected = new byte[64 * 10];
        Zones(expected, 2, (1024, 6 * 2048, 6 * 2048, 2, 1), (1024, 7 * 2048, 7 * 2048, 2, 1));
        Assert.Equal(
            Convert.ToHexString(expected), Convert.ToHexString(rig.Run(RequestType.ZoneReport, (6 * 2048) + 9, default, 640).Data));
        Assert.Equal(Invalid, rig.Run(RequestType.ZoneReport, 8 * 2048, default, 640).Status);
        Assert.Equal(Invalid, rig.Run(RequestType.ZoneReport, ulong.MaxValue, default, 640).Status);
        Assert.Equal(Invalid, rig.Run(RequestType.ZoneReport, 0, default, 127).Status);
        Assert.Equal(0, rig.Device.Buffers.Lent);
    }

    [Theory]
    [InlineData(16)]
    [InlineData(9)]
    public async Task Append_returns_its_sector_first_and_its_status_last(int writable)
    {
        await using var disk = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = Zone });
        var rig = new BlkRig(disk);
        byte[] data = new byte[4096];
        new Random(9).NextBytes(data);
        for (ulong i = 0; i < 5; i++)
        {
            var answer = rig.Wait(rig.Submit(15, ZoneSectors, data, writable, i % 2 == 0 ? null : [7, 3, 1]));
            Assert.Equal(Ok, answer.Status);
            Assert.Equal(ZoneSectors + (8 * i), BinaryPrimitives.ReadUInt64LittleEndian(answer.Data));
            Assert.All(answer.Data[8..], b => Assert.Equal(0xEE, b));
            Assert.Equal(writable == 9 ? 9u : 8u, answer.Written);
            Assert.Equal(data, rig.Run(RequestType.In, ZoneSectors + (8 * i), default, 4096).Data);
        }

        Assert.Equal((5, 5 * 4096), (rig.Device.Statistics[ServedOperation.Append], rig.Device.Statistics.BytesWritten));
    }

    [Fact]
    public async Task Invalid_appends_are_rejected()
    {
        await using var disk = await BlkRig.ZonedAsync(
            new ZonedCreateOptions { ZoneSize = Zone, MaxAppendBytes = 8192, ConventionalZones = 1 });
        var rig = new BlkRig(disk);
        Assert.Equal(Invalid, rig.Wait(rig.Submit(15, ZoneSectors, new byte[512], 8)).Status);
        Assert.Equal(Invalid, rig.Run(RequestType.ZoneAppend, ZoneSectors, new byte[8704], 8).Status);
        Assert.Equal(Unaligned, rig.Run(RequestType.ZoneAppend, ZoneSectors, new byte[700], 8).Status);
        Assert.Equal(Unaligned, rig.Run(RequestType.ZoneAppend, ZoneSectors, [], 8).Status);
        Assert.Equal(Invalid, rig.Run(RequestType.ZoneAppend, 0, new byte[512], 8).Status);
        Assert.Equal(Invalid, rig.Run(RequestType.ZoneAppend, ZoneSectors + 1, new byte[512], 8).Status);
        Assert.Equal(Invalid, rig.Run(RequestType.ZoneAppend, 1UL << 60, new byte[512], 8).Status);
        Assert.Equal(Ok, rig.Run(RequestType.ZoneFinish, ZoneSectors).Status);
        Assert.Equal(Invalid, rig.Run(RequestType.ZoneAppend, ZoneSectors, new byte[512], 8).Status);
        Assert.Equal(Ok, rig.Run(RequestType.ZoneAppend, 2 * ZoneSectors, new byte[8192], 8).Status);
    }

    [Fact]
    public async Task Each_zone_error_has_its_status()
    {
        await using var disk = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = Zone, MaxOpenZones = 1, MaxActiveZones = 2 });
        var rig = new BlkRig(disk);
        byte[] block = new byte[4096];
        Assert.Equal(Ok, rig.Run(RequestType.Out, 0, block).Status);
        Assert.Equal(Unaligned, rig.Run(RequestType.Out, 16, block).Status);
        Assert.Equal(Unaligned, rig.Run(RequestType.Out, 0, block).Status);
        Assert.Equal(Invalid, rig.Run(RequestType.Out, 8, new byte[Zone]).Status);
        Assert.Equal(Ok, rig.Run(RequestType.ZoneOpen, ZoneSectors).Status);
        Assert.Equal(OpenResource, rig.Run(RequestType.ZoneOpen, 0).Status);
        Assert.Equal(ActiveResource, rig.Run(RequestType.Out, 2 * ZoneSectors, block).Status);
        Assert.Equal(Ok, rig.Run(RequestType.ZoneClose, ZoneSectors).Status);
        Assert.Equal(Ok, rig.Run(RequestType.ZoneFinish, 0).Status);
        Assert.Equal(Invalid, rig.Run(RequestType.Out, 8, block).Status);
        Assert.Equal(Invalid, rig.Run(RequestType.ZoneReset, 3).Status);
        Assert.Equal(Invalid, rig.Run(RequestType.ZoneReset, 8 * ZoneSectors).Status);
        Assert.Equal(Invalid, rig.Run(RequestType.ZoneOpen, ulong.MaxValue).Status);
        Assert.Equal(Ok, rig.Run(RequestType.ZoneReset, 0).Status);
        Assert.Equal(Ok, rig.Run(RequestType.Out, 0, block).Status);
        Assert.Equal(Unsupported, rig.Run(RequestType.Discard, 0, new byte[16]).Status);
        Assert.Equal(Unsupported, rig.Run(RequestType.WriteZeroes, 0, new byte[16]).Status);
        Assert.Equal(IoError, rig.Run(RequestType.Out, 8 * ZoneSectors, block).Status);
    }

    [Fact]
    public async Task Reset_all_skips_conventional_and_read_only_zones()
    {
        await using var disk = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = Zone, ConventionalZones = 1 });
        var rig = new BlkRig(disk);
        byte[] block = new byte[4096];
        block[0] = 1;
        for (ulong zone = 0; zone < 4; zone++)
        {
            Assert.Equal(Ok, rig.Run(RequestType.Out, zone * ZoneSectors, block).Status);
        }

        Assert.Equal(Ok, rig.Run(RequestType.ZoneResetAll, 0).Status);
        int[] conditions = await ConditionsAsync(disk);
        Assert.Equal([0, 1, 1, 1], conditions);
        Assert.Equal(block, rig.Run(RequestType.In, 0, default, 4096).Data);

        // zone 1 has become read-only
        var worn = new TestDevice(disk)
        {
            ZoneReported = zone => zone.Start == Zone ? zone with { Condition = ZoneCondition.ReadOnly } : zone,
            Around = (request, run) => request.Call == DeviceCall.Manage && request.Offset <= Zone && Zone < request.Offset + request.Length
                ? throw new ZoneException(ZoneError.ReadOnly, 1, "the zone is read only") : run(),
        };
        rig = new BlkRig(worn);
        Assert.Equal(Ok, rig.Run(RequestType.Out, 2 * ZoneSectors, block).Status);
        Assert.Equal(Ok, rig.Run(RequestType.ZoneResetAll, 0).Status);
        conditions = await ConditionsAsync(disk);
        Assert.Equal([0, 1, 1, 1], conditions);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Zone_writes_reach_the_disk_in_ring_order(bool packed)
    {
        await using var disk = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = Zone });
        var rig = new BlkRig(disk, RingFeatures.Indirect | (packed ? RingFeatures.Packed : 0), memory: 40 << 20);
        ulong[] pointers = new ulong[8];
        var random = new Random(10);
        for (int round = 0; round < 6; round++)
        {
            var tickets = new List<BlkRig.Ticket>();
            int mark = rig.Arena.Mark;
            for (int i = 0; i < 60; i++)
            {
                // every third is long enough to run on another thread
                int zone = random.Next(8), size = i % 3 == 0 ? (256 << 10) + 512 : 4096;
                if (pointers[zone] + (ulong)(size / 512) > ZoneSectors)
                {
                    size = 512;
                }

                if (pointers[zone] < ZoneSectors)
                {
                    tickets.Add(rig.Submit(
                        1, ((ulong)zone * ZoneSectors) + pointers[zone], new byte[size], 1, i % 2 == 0 ? null : [11, 700]));
                    pointers[zone] += (ulong)size / 512;
                }
            }

            Assert.All(tickets, t => Assert.Equal(Ok, rig.Wait(t).Status));
            rig.Arena.Mark = mark;
        }
    }

    [Fact]
    public async Task Replayed_write_succeeds_if_it_took_effect_before_the_crash()
    {
        await using var disk = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = Zone });
        var rig = new BlkRig(disk);
        var region = rig.Arena.Inflight(64, false);
        byte[] data = new byte[4096], other = new byte[4096];
        data[5] = 5;
        rig.Open(rig.Device.Features, region);
        var first = rig.Submit(1, 0, data, 1);
        var second = rig.Submit(1, 8, other, 1);

        // both are taken and never completed; the disk has the data of the first, and other data at the sector of the second
        Assert.True(rig.Ring.TryTake(out _));
        Assert.True(rig.Ring.TryTake(out _));
        await disk.WriteAsync(0, data, cancellationToken: TestContext.Current.CancellationToken);
        await disk.WriteAsync(4096, data, cancellationToken: TestContext.Current.CancellationToken);
        rig.Open(rig.Device.Features, region);
        Assert.Equal(Ok, rig.Wait(first).Status);
        Assert.Equal(Unaligned, rig.Wait(second).Status);
        Assert.Equal(Unaligned, rig.Run(RequestType.Out, 0, data).Status);
        Assert.Equal(0, rig.Device.Buffers.Lent);
    }

    private static async Task<int[]> ConditionsAsync(IBlockDevice disk)
    {
        var zones = new ZoneDescriptor[4];
        await disk.Zones!.ReportAsync(0, zones, TestContext.Current.CancellationToken);
        return [.. zones.Select(z => (int)z.Condition)];
    }

    private static void Zones(byte[] to, int count, params (long Capacity, long Start, long Pointer, byte Type, byte State)[] zones)
    {
        to[0] = (byte)count;
        for (int i = 0; i < zones.Length; i++)
        {
            var at = to.AsSpan(64 + (64 * i));
            BinaryPrimitives.WriteInt64LittleEndian(at, zones[i].Capacity);
            BinaryPrimitives.WriteInt64LittleEndian(at[8..], zones[i].Start);
            BinaryPrimitives.WriteInt64LittleEndian(at[16..], zones[i].Pointer);
            at[24] = zones[i].Type;
            at[25] = zones[i].State;
        }
    }

    private static void Put(byte[] to, int offset, int value) => BinaryPrimitives.WriteInt32LittleEndian(to.AsSpan(offset), value);
}
