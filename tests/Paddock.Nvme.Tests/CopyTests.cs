using Paddock.Block;
using Paddock.Faults;
using Paddock.Nvme.Wire;
using Paddock.Qcow2;
using Paddock.Testing;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>Copy, Write Uncorrectable and Get LBA Status, over the wire: what they do, their limits, their errors.</summary>
public class CopyTests
{
    private const int Block = 512, Zone = 1 << 20;
    private const byte HostBehavior = 0x16;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Ranges_are_copied_in_their_order_to_the_write_pointer(int format)
    {
        await using var bench = await Bench.StartAsync();
        await bench.Zoned.WriteAsync(0, Bytes(1, 64 << 10));
        await EnableAsync(bench, 0xC);
        var (status, result) = await CopyAsync(bench, format, Zone, new(1, 16, 32), new(1, 0, 8), new(1, 200, 4));
        Assert.Equal((NvmeStatus.Success, 0UL), (status, result));
        var source = Bytes(1, 64 << 10);
        byte[] wanted = [.. source[(16 * Block)..(48 * Block)], .. source[..(8 * Block)], .. new byte[4 * Block]];
        Assert.Equal(wanted, await ReadAsync(bench.Zoned, Zone, wanted.Length));
        var zone = new ZoneDescriptor[1];
        await bench.Zoned.Zones!.ReportAsync(Zone, zone);
        Assert.Equal(Zone + wanted.Length, zone[0].WritePointer);
        Assert.Equal(ZoneCondition.ImplicitlyOpen, zone[0].Condition);
    }

    [Fact]
    public async Task Formats_with_a_namespace_are_rejected_until_the_host_enables_them()
    {
        await using var bench = await Bench.StartAsync();
        Assert.Equal(NvmeStatus.InvalidField, (await CopyAsync(bench, 2, Zone, new CopyRange(1, 0, 1))).Status);
        await EnableAsync(bench, 1 << 2);
        Assert.Equal(NvmeStatus.Success, (await CopyAsync(bench, 2, Zone, new CopyRange(1, 0, 1))).Status);
        Assert.Equal(NvmeStatus.InvalidField, (await CopyAsync(bench, 3, Zone, new CopyRange(1, 0, 1))).Status);
        Assert.Equal(NvmeStatus.InvalidField, (await CopyAsync(bench, 4, Zone, new CopyRange(1, 0, 1))).Status);
    }

    [Fact]
    public async Task Invalid_commands_are_rejected_and_write_nothing()
    {
        await using var bench = await Bench.StartAsync();
        await EnableAsync(bench, 0xC);
        Assert.Equal(NvmeStatus.LbaOutOfRange, (await CopyAsync(bench, 0, 0, new CopyRange(0, (8UL << 20) / Block, 1))).Status);
        Assert.Equal(NvmeStatus.LbaOutOfRange, (await CopyAsync(bench, 0, 0, new CopyRange(0, ((8UL << 20) / Block) - 1, 2))).Status);
        Assert.Equal(NvmeStatus.CommandSizeLimitExceeded, (await CopyAsync(bench, 0, 0, new CopyRange(0, 0, 65536))).Status);
        Assert.Equal(NvmeStatus.InvalidNamespace, (await CopyAsync(bench, 2, 0, new CopyRange(0xFFFFFFFF, 0, 1))).Status);
        Assert.Equal(NvmeStatus.InvalidNamespace, (await CopyAsync(bench, 2, 0, new CopyRange(0, 0, 1))).Status);
        Assert.Equal(NvmeStatus.OverlappingRange, (await CopyAsync(bench, 2, 0, new CopyRange(1, 4, 8), new CopyRange(1, 100, 8))).Status);
        Assert.Equal(NvmeStatus.ZoneInvalidWrite, (await CopyAsync(bench, 0, 4096, new CopyRange(0, 0, 1))).Status);
        Assert.Equal(
            NvmeStatus.ZoneBoundaryError, (await CopyAsync(bench, 0, 0, new CopyRange(0, 2048, 2000), new CopyRange(0, 2048, 49))).Status);
        var entry = Entry(0, 0, 2) with { Dword12 = 1 };
        Assert.Equal(NvmeStatus.SglLengthInvalid, (await bench.Host.RunAsync(entry, new byte[32], default, default)).Status);
        var zones = new ZoneDescriptor[8];
        await bench.Zoned.Zones!.ReportAsync(0, zones);
        Assert.All(zones, z => Assert.Equal(ZoneCondition.Empty, z.Condition));
    }

    [Fact]
    public async Task Failure_reports_the_first_range_that_was_not_copied()
    {
        await using var bench = await Bench.StartAsync();
        await bench.Zoned.WriteAsync(0, Bytes(1, 64 << 10));
        await MarkAsync(bench, 64 << 10, 1);
        var (status, result) = await CopyAsync(
            bench, 0, Zone, new CopyRange(0, 0, 4), new CopyRange(0, 50, 4), new CopyRange(0, 126, 4), new CopyRange(0, 0, 4));
        Assert.Equal((NvmeStatus.UnrecoveredReadError, 2UL), (status, result));
        Assert.Equal(1, bench.Namespace.Statistics.Errors);
    }

    [Fact]
    public async Task Copy_is_counted_in_bytes()
    {
        await using var bench = await Bench.StartAsync();
        await bench.Zoned.WriteAsync(0, Bytes(1, 8192));
        long before = bench.Namespace.Statistics.BytesWritten;
        Assert.Equal(NvmeStatus.Success, (await CopyAsync(bench, 0, Zone, new CopyRange(0, 0, 16))).Status);
        Assert.Equal(8192, bench.Namespace.Statistics.BytesWritten - before);
    }

    [Fact]
    public async Task Identify_has_the_limits_and_the_formats()
    {
        await using var bench = await Bench.StartAsync();
        byte[] ns = await bench.Host.IdentifyAsync(0, 1, 0, default), controller = await bench.Host.IdentifyAsync(1, 0, 0, default);
        Assert.Equal(65535, BitConverter.ToUInt16(ns, 74));
        Assert.Equal((4L << 30) / Block, BitConverter.ToUInt32(ns, 76));
        Assert.Equal(255, ns[80]);
        Assert.Equal(0x702, BitConverter.ToUInt16(controller, 520) & 0x702);
        Assert.Equal(0xF, BitConverter.ToUInt16(controller, 534));
        Assert.NotEqual(0, BitConverter.ToUInt16(controller, 256) & (1 << 9));
    }

    [Fact]
    public async Task Namespaces_of_one_image_share_and_others_are_copied()
    {
        var storage = new MemoryStorage("disk");
        await Qcow2Image.CreateAsync(storage, new() { Size = 8 << 20, ClusterSize = 4096 });
        var image = new ServedDevice(await Qcow2Image.OpenAsync(storage, new()));
        await using var bench = await Bench.StartAsync();
        bench.Subsystem.Add(new NvmeNamespace(2, CheckedDevice.Wrap(image), Block, "plain"));
        bench.Subsystem.Add(new NvmeNamespace(3, CheckedDevice.Wrap(image), Block, "the same"));
        bench.Subsystem.Add(new NvmeNamespace(4, CheckedDevice.Wrap(MemoryDisk.Of(8 << 20)), 4096, "other blocks"));
        var data = Bytes(1, 2 << 20);
        await image.WriteAsync(0, data);
        await image.FlushAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(bench.HostOptions());
        await EnableAsync(host, 0xC);
        long length = storage.Length;
        Assert.Equal(
            NvmeStatus.Success, (await CopyAsync(host, 3, 2, 4 << 20, new CopyRange(2, 0, 2048), new CopyRange(2, 2048, 2048))).Status);
        await image.FlushAsync();
        Assert.InRange(storage.Length, length, length + 65536);
        Assert.Equal(data, await ReadAsync(image, 4 << 20, data.Length));
        Assert.Equal(NvmeStatus.Success, (await CopyAsync(host, 1, 2, 0, new CopyRange(2, 100, 2000))).Status);
        Assert.Equal(data[(100 * Block)..(2100 * Block)], await ReadAsync(bench.Zoned, 0, 2000 * Block));
        Assert.Equal(NvmeStatus.IncompatibleNamespace, (await CopyAsync(host, 1, 2, 4 << 20, new CopyRange(4, 0, 1))).Status);
        Assert.Equal(NvmeStatus.Success, (await CopyAsync(host, 4, 0, 1024 * Block, new CopyRange(0, 0, 8))).Status);
    }

    [Theory]
    [InlineData(0, 4096, 3 << 20)]
    [InlineData(4096, 0, 3 << 20)]
    [InlineData(512, 1536, 1 << 20)]
    [InlineData(0, 4 << 20, 4 << 20)]
    public async Task Remote_namespace_copies_ranges_that_may_overlap(int source, int target, int length)
    {
        await using var bench = await Bench.StartAsync();
        bench.Subsystem.Add(new NvmeNamespace(2, CheckedDevice.Wrap(MemoryDisk.Of(8 << 20)), Block, "plain"));
        await using var host = await NvmeTcpHost.ConnectAsync(bench.HostOptions());
        await using var disk = await host.OpenAsync(2, ownsHost: false);
        var data = Bytes(1, 8 << 20);
        await disk.WriteAsync(0, data);
        await disk.RangeCopy!.CopyAsync(source, target, length);
        data.AsSpan(source, length).CopyTo(data.AsSpan(target));
        Assert.Equal(data, await ReadAsync(disk, 0, data.Length));
    }

    [Fact]
    public async Task Written_uncorrectable_blocks_fail_reads_verify_and_compare_until_the_zone_is_reset()
    {
        await using var bench = await Bench.StartAsync();
        await bench.Zoned.WriteAsync(0, Bytes(1, 4096));
        Assert.Equal(NvmeStatus.ZoneInvalidWrite, await MarkAsync(bench, 8192, 1));
        Assert.Equal(NvmeStatus.Success, await MarkAsync(bench, 4096, 8));
        await bench.Zoned.WriteAsync(8192, Bytes(1, 4096));
        var failure = await Assert.ThrowsAsync<BlockException>(async () => await ReadAsync(bench.Zoned, 0, 8192));
        Assert.Equal(BlockError.Unreadable, failure.Error);
        foreach (byte opcode in new[] { Opcode.Verify, Opcode.Compare })
        {
            var data = opcode == Opcode.Compare ? new byte[4096] : default(ReadOnlyMemory<byte>);
            var completion = await bench.Host.RunAsync(Entry(4096, 7, 0, opcode), data, default, default);
            Assert.Equal(NvmeStatus.UnrecoveredReadError, completion.Status);
        }

        await ReadAsync(bench.Zoned, 8192, 4096);
        await bench.Zoned.Zones!.ManageAsync(ZoneAction.Reset, 0, Zone);
        Assert.Equal(new byte[8192], await ReadAsync(bench.Zoned, 0, 8192));
    }

    [Fact]
    public async Task Block_status_lists_allocated_and_unreadable_blocks()
    {
        await using var bench = await Bench.StartAsync();
        await bench.Zoned.WriteAsync(0, Bytes(1, 64 << 10));
        await MarkAsync(bench, 64 << 10, 4);
        await MarkAsync(bench, Zone, 2);
        Assert.Equal("128+4 2048+2", await StatusAsync(bench, 0x10, 0, 0, 1024));
        Assert.Equal("128+4 2048+2", await StatusAsync(bench, 0x11, 0, 0, 1024));
        Assert.Equal("0+132 2048+2", await StatusAsync(bench, 0x02, 0, 0, 1024));
        Assert.Equal("130+2", await StatusAsync(bench, 0x10, 130, 100, 1024));
        Assert.Equal("128+4", await StatusAsync(bench, 0x11, 0, 0, 24, complete: 1));
        Assert.Equal("", await StatusAsync(bench, 0x11, 0, 0, 8, complete: 1));
        Assert.Equal("", await StatusAsync(bench, 0x11, 8192, 0, 64));
    }

    [Fact]
    public async Task Random_copies_agree_with_an_array()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        var storage = new MemoryStorage("disk");
        await Qcow2Image.CreateAsync(storage, new() { Size = 4 << 20, ClusterSize = 4096 });
        await using var bench = await Bench.StartAsync();
        await using var image = new ServedDevice(await Qcow2Image.OpenAsync(storage, new()));
        bench.Subsystem.Add(new NvmeNamespace(2, CheckedDevice.Wrap(image), Block, "plain"));
        await using var host = await NvmeTcpHost.ConnectAsync(bench.HostOptions());
        await EnableAsync(host, 0xC);
        var model = Bytes(seed, 4 << 20);
        await image.WriteAsync(0, model);
        for (int i = 0; i < 400; i++)
        {
            int format = random.Next(8), count = random.Next(1, 6);
            var ranges = Enumerable.Range(0, count).Select(_ => RandomRange(random)).ToArray();
            long target = random.Next(9000) * (random.Next(3) == 0 ? 512L : 4096L);
            var (status, _) = await CopyAsync(host, 2, format, target, ranges);
            if (status == NvmeStatus.Success && CopyRange.HasNamespace(format) && ranges.Any(r => r.NamespaceId != 2))
            {
                // the other namespace is not in the model
                model = await ReadAsync(image, 0, model.Length);
            }
            else if (status == NvmeStatus.Success)
            {
                var copied = ranges.SelectMany(r => model.AsSpan((int)r.StartingLba * Block, r.BlockCount * Block).ToArray()).ToArray();
                bool overlaps = ranges.Any(r => Math.Abs(((long)r.StartingLba * Block) - target) < copied.Length + (r.BlockCount * Block));
                copied.CopyTo(model, target);
                if (overlaps)
                {
                    // any of the sources may have won
                    model = await ReadAsync(image, 0, model.Length);
                }
            }
        }

        Assert.True((await ReadAsync(image, 0, model.Length)).AsSpan().SequenceEqual(model), $"seed {seed}");
    }

    [Fact]
    public async Task Random_fields_give_a_status_and_leave_the_server_alive()
    {
        const int Commands = 1500;
        int seed = TestSeed.Next();
        var random = new Random(seed);
        await using var bench = await Bench.StartAsync();
        await EnableAsync(bench, 0xC);
        await bench.Zoned.WriteAsync(0, Bytes(seed, 64 << 10));
        var data = new byte[10240];
        for (int i = 0; i < Commands; i++)
        {
            random.NextBytes(data);
            for (int at = 0; at < data.Length && random.Next(4) > 0; at += 32)
            {
                // often a range that exists
                new CopyRange(1, (ulong)random.Next(4096), random.Next(1, 300)).WriteTo(data.AsSpan(at), random.Next(2) * 2);
            }

            byte opcode = random.Next(2) == 0 ? Opcode.Copy : Opcode.WriteUncorrectable;
            var entry = new SubmissionEntry
            {
                Opcode = opcode, NamespaceId = random.Next(8) == 0 ? (uint)random.Next() : 1, Dword10 = (uint)random.Next(16384),
                Dword11 = random.Next(16) == 0 ? (uint)random.Next() : 0,
                Dword12 = random.Next(3) == 0 ? (uint)random.Next() : (uint)random.Next(0x400),
            };
            var payload = opcode == Opcode.Copy ? data.AsMemory(0, random.Next(1, data.Length / 4) * 4) : default;
            Assert.NotEqual(NvmeStatus.InternalError, (await bench.Host.RunAsync(entry, payload, default, default)).Status);
            if (random.Next(8) == 0)
            {
                var list = new byte[random.Next(1, 64) * 4];
                byte action = random.Next(3) switch { 0 => 0x02, 1 => 0x10, _ => (byte)random.Next(256) };
                var query = new SubmissionEntry
                {
                    Opcode = AdminOpcode.GetLbaStatus, NamespaceId = entry.NamespaceId, Dword10 = entry.Dword10, Dword11 = entry.Dword11,
                    Dword12 = (uint)((list.Length / 4) - 1),
                    Dword13 = ((uint)action << 24) | (uint)random.Next(65536),
                };
                Assert.NotEqual(NvmeStatus.InternalError, (await bench.Host.RunAdminAsync(query, default, list, default)).Status);
                await bench.Zoned.Zones!.ManageAsync(ZoneAction.Reset, random.Next(8) * Zone, Zone);
            }
        }

        await bench.Zoned.Zones!.ManageAsync(ZoneAction.Reset, 0, 8 * Zone);
        Assert.Equal(new byte[4096], await ReadAsync(bench.Zoned, 0, 4096));
    }

    private static CopyRange RandomRange(Random random) => new(
        random.Next(12) == 0 ? (uint)random.Next(5) : 2, (ulong)random.Next(9000), random.Next(20) == 0 ? 65536 : random.Next(1, 200));

    private static Task<(NvmeStatus Status, ulong Result)> CopyAsync(Bench bench, int format, long target, params CopyRange[] ranges)
        => CopyAsync(bench.Host, 1, format, target, ranges);

    private static async Task<(NvmeStatus Status, ulong Result)> CopyAsync(
        NvmeTcpHost host, uint ns, int format, long target, params CopyRange[] ranges)
    {
        int size = CopyRange.SizeOf(format);
        var data = new byte[ranges.Length * size];
        for (int i = 0; i < ranges.Length; i++)
        {
            ranges[i].WriteTo(data.AsSpan(i * size), format);
        }

        var entry = Entry(target, ranges.Length - 1, format) with { NamespaceId = ns };
        var completion = await host.RunAsync(entry, data, default, default);
        return (completion.Status, completion.Result);
    }

    private static SubmissionEntry Entry(long offset, int count, int format, byte opcode = Opcode.Copy) => new()
    {
        Opcode = opcode, NamespaceId = 1, Dword10 = (uint)(offset / Block), Dword12 = (uint)count | ((uint)format << 8),
    };

    private static async Task<NvmeStatus> MarkAsync(Bench bench, long offset, int blocks)
        => (await bench.Host.RunAsync(Entry(offset, blocks - 1, 0, Opcode.WriteUncorrectable), default, default, default)).Status;

    private static Task EnableAsync(Bench bench, ushort formats) => EnableAsync(bench.Host, formats);

    private static async Task EnableAsync(NvmeTcpHost host, ushort formats)
    {
        var data = new byte[512];
        BitConverter.TryWriteBytes(data.AsSpan(4), formats);
        var entry = new SubmissionEntry { Opcode = AdminOpcode.SetFeatures, Dword10 = HostBehavior };
        Assert.Equal(NvmeStatus.Success, (await host.RunAdminAsync(entry, data, default, default)).Status);
    }

    private static async Task<string> StatusAsync(
        Bench bench, byte action, int first, int blocks, int bytes, int complete = 2)
    {
        var page = new byte[bytes];
        var entry = new SubmissionEntry
        {
            Opcode = AdminOpcode.GetLbaStatus, NamespaceId = 1, Dword10 = (uint)first, Dword12 = (uint)((bytes / 4) - 1),
            Dword13 = (uint)blocks | ((uint)action << 24),
        };
        Assert.Equal(NvmeStatus.Success, (await bench.Host.RunAdminAsync(entry, default, page, default)).Status);
        Assert.Equal(complete, page[4]);
        return string.Join(' ', Enumerable.Range(0, BitConverter.ToInt32(page)).Select(
            i => $"{BitConverter.ToInt64(page, 8 + (16 * i))}+{BitConverter.ToInt32(page, 16 + (16 * i))}"));
    }

    private static byte[] Bytes(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static async Task<byte[]> ReadAsync(IBlockDevice disk, long offset, int length)
    {
        var bytes = new byte[length];
        await disk.ReadAsync(offset, bytes);
        return bytes;
    }
}
