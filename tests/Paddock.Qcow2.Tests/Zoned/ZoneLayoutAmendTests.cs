using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Zoned;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Zoned;

public class ZoneLayoutAmendTests
{
    [Theory]
    [InlineData(ZoneLayout.A, ZoneLayout.C, 512)]
    [InlineData(ZoneLayout.C, ZoneLayout.A, 512)]
    [InlineData(ZoneLayout.A, ZoneLayout.C, 65536)]
    [InlineData(ZoneLayout.B, ZoneLayout.C, 4096)]
    [InlineData(ZoneLayout.C, ZoneLayout.B, 4096)]
    public async Task Zones_pointers_and_data_are_the_same_in_another_layout(ZoneLayout from, ZoneLayout to, int cluster)
    {
        await using var storage = await CreateAsync(from, cluster, maxAppend: 0);
        ZoneDescriptor[] before;
        await using (var disk = await OpenAsync(storage))
        {
            await disk.WriteAsync(2 << 17, Pattern(5 * 512));
            await disk.Zones!.ManageAsync(ZoneAction.Finish, 3 << 17, 1 << 17);
            await ((IQcow2Device)disk).SetZoneLayoutAsync(to, TestContext.Current.CancellationToken);
            await disk.WriteAsync((2 << 17) + (5 * 512), Pattern(512));
            await disk.Zones!.ManageAsync(ZoneAction.Close, 2 << 17, 1 << 17);
            before = await ReportAsync(disk);
        }

        await using (var disk = await OpenAsync(storage))
        {
            var zoned = ((IQcow2Device)disk).Info.Zoned!;
            Assert.Equal(to, zoned.Layout);
            Assert.False(zoned.TableInForeignOrder);
            Assert.Equal(before, await ReportAsync(disk));
            byte[] found = new byte[5 * 512];
            await disk.ReadAsync(2 << 17, found);
            Assert.Equal(Pattern(5 * 512), found);
        }

        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, line => Assert.Fail(line));
        Assert.Equal(0, report.Leaks);
    }

    [Theory]
    [InlineData(ZoneLayout.A, ZoneLayout.C)]
    [InlineData(ZoneLayout.C, ZoneLayout.A)]
    public async Task Power_cut_leaves_old_or_new_layout_and_the_same_zones(ZoneLayout from, ZoneLayout to)
    {
        var image = new PagedStorage();
        await using (var made = await CreateAsync(from, 4096, maxAppend: 0))
        {
            byte[] bytes = new byte[made.Length];
            await made.ReadAsync(0, bytes);
            image.Write(0, bytes);
        }

        ZoneDescriptor[] before;
        await using (var disk = await OpenAsync(image))
        {
            await disk.WriteAsync(2 << 17, Pattern(512));
            await disk.Zones!.ManageAsync(ZoneAction.Close, 2 << 17, 1 << 17);
            before = await ReportAsync(disk);
        }

        var crashing = new CrashStorage(image);
        await using (var disk = await OpenAsync(crashing))
        {
            await ((IQcow2Device)disk).SetZoneLayoutAsync(to, TestContext.Current.CancellationToken);
        }

        var cut = new PowerCut(crashing.Log);
        var seen = new HashSet<ZoneLayout>();
        for (int position = 0; position <= crashing.Log.Count; position++)
        {
            for (int seed = 0; seed < 8; seed++)
            {
                var left = cut.At(position, seed);
                await using (var disk = await OpenAsync(left))
                {
                    seen.Add(((IQcow2Device)disk).Info.Zoned!.Layout);
                    Assert.Equal(before, await ReportAsync(disk));
                }

                var report = await Qcow2Image.CheckAsync(left, Qcow2Repair.None, _ => { });
                Assert.True(report.Corruptions == 0, $"position {position}, seed {seed}: {report}");
            }
        }

        Assert.True(seen.SetEquals([from, to]), string.Join(", ", seen));
    }

    [Fact]
    public async Task Layout_that_would_lose_the_append_limit_is_rejected()
    {
        await using var storage = await CreateAsync(ZoneLayout.A, 4096, maxAppend: 8192);
        await using (var disk = await OpenAsync(storage))
        {
            var refusal = await Assert.ThrowsAsync<BlockException>(async () => await ((IQcow2Device)disk).SetZoneLayoutAsync(ZoneLayout.C));
            Assert.Contains("8192", refusal.Message, StringComparison.Ordinal);
        }

        await using var again = await OpenAsync(storage);
        Assert.Equal(ZoneLayout.A, ((IQcow2Device)again).Info.Zoned!.Layout);
    }

    [Fact]
    public async Task Zones_that_are_no_power_of_two_cannot_go_to_layout_c()
    {
        await using var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(
            storage, new Qcow2CreateOptions { Size = 1 << 20, Zoned = new ZonedCreateOptions { ZoneSize = 3 << 16 } });
        await using var disk = await OpenAsync(storage);
        var refusal = await Assert.ThrowsAsync<BlockException>(async () => await ((IQcow2Device)disk).SetZoneLayoutAsync(ZoneLayout.C));
        Assert.Contains("power of two", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Zones_that_are_not_whole_clusters_cannot_go_to_layout_c()
    {
        await using var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(
            storage, new Qcow2CreateOptions { Size = 1 << 20, Zoned = new ZonedCreateOptions { ZoneSize = 1 << 15 } });
        await using var disk = await OpenAsync(storage);
        var refusal = await Assert.ThrowsAsync<BlockException>(async () => await ((IQcow2Device)disk).SetZoneLayoutAsync(ZoneLayout.C));
        Assert.Contains("multiple of the cluster size, 65536", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Foreign_layout_C_image_with_zones_below_a_cluster_is_writable()
    {
        // made as layout a, and its extension and table rewritten as another program would
        await using var storage = new MemoryStorage();
        var options = new Qcow2CreateOptions { Size = 1 << 20, Zoned = new ZonedCreateOptions { ZoneSize = 1 << 15 } };
        await Qcow2Image.CreateAsync(storage, options);
        byte[] cluster = new byte[65536];
        await storage.ReadAsync(0, cluster);
        int at = Qcow2Header.SizeV3 + HeaderExtension.HeadSize;
        var parameters = ZonedExtension.Read(cluster.AsSpan(at, ZonedLayoutA.Size), 1 << 20, 65536, storage.Length)!;
        byte[] data = ZonedExtension.Write(parameters with { Layout = ZoneLayout.C, TableBytes = null });
        BinaryPrimitives.WriteInt32BigEndian(cluster.AsSpan(at - sizeof(int)), data.Length);
        data.CopyTo(cluster, at);
        await storage.WriteAsync(0, cluster);
        byte[] table = new byte[32 * 8];
        for (int zone = 0; zone < 32; zone++)
        {
            BinaryPrimitives.WriteInt64BigEndian(table.AsSpan(zone * 8), (long)zone << 15);
        }

        await storage.WriteAsync((long)parameters.TableOffset, table);
        await using (var disk = await OpenAsync(storage))
        {
            Assert.Equal(ZoneLayout.C, ((IQcow2Device)disk).Info.Zoned!.Layout);
            await disk.WriteAsync(3 << 15, Pattern(1024));
        }

        await using var again = await OpenAsync(storage);
        byte[] found = new byte[1024];
        await again.ReadAsync(3 << 15, found);
        Assert.Equal(Pattern(1024), found);
    }

    [Fact]
    public async Task Layout_change_of_a_plain_image_is_rejected()
    {
        await using var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = 1 << 20 });
        await using var disk = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());
        await Assert.ThrowsAsync<BlockException>(async () => await disk.SetZoneLayoutAsync(ZoneLayout.A));
    }

    private static async Task<MemoryStorage> CreateAsync(ZoneLayout layout, int cluster, uint maxAppend)
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = (8 << 17) - 512,
            ClusterSize = cluster,
            Zoned = new ZonedCreateOptions
            {
                Layout = layout, ZoneSize = 1 << 17, ConventionalZones = 1, MaxOpenZones = 3, MaxActiveZones = 5,
                    MaxAppendBytes = maxAppend,
            },
        });
        return storage;
    }

    private static async Task<IBlockDevice> OpenAsync(IStorage storage)
        => await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());

    private static async Task<ZoneDescriptor[]> ReportAsync(IBlockDevice disk)
    {
        var zones = new ZoneDescriptor[8];
        Assert.Equal(8, await disk.Zones!.ReportAsync(0, zones));
        return zones;
    }

    private static byte[] Pattern(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)(i * 7))];
}
