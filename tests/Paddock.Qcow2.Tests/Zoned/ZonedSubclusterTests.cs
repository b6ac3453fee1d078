using Paddock.Block;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>Zoned disks on images with extended L2 entries.</summary>
public class ZonedSubclusterTests
{
    private const int K = 1024;
    private const long Zone = 1536 * K;

    [Theory]
    [InlineData(ZoneLayout.A, 2048 * K)]
    [InlineData(ZoneLayout.A, 64 * K)]
    [InlineData(ZoneLayout.B, 16 * K)]
    public async Task Zones_are_written_reset_and_written_again(ZoneLayout layout, int cluster)
    {
        var storage = new MemoryStorage();
        await CreateAsync(storage, layout, cluster);
        await using (var device = await Qcow2Image.OpenAsync(new KeptStorage(storage), new()))
        {
            for (int zone = 0; zone < 4; zone++)
            {
                await device.Zones!.AppendAsync(zone * Zone, Filled(300 * K, (byte)(zone + 1)));
                await device.Zones!.AppendAsync(zone * Zone, Filled(5 * K, (byte)(zone + 11)));
            }

            await device.FlushAsync();
            await device.Zones!.ManageAsync(ZoneAction.Reset, Zone, Zone);
            await device.Zones!.AppendAsync(Zone, Filled(K, 99));
        }

        await AssertSoundAsync(storage);
        await using (var device = await Qcow2Image.OpenAsync(new KeptStorage(storage), new()))
        {
            var found = new byte[device.Length];
            await device.ReadAsync(0, found);
            var expected = new byte[device.Length];
            for (int zone = 0; zone < 4; zone++)
            {
                var at = expected.AsSpan((int)(zone * Zone));
                at[..(300 * K)].Fill((byte)(zone + 1));
                at.Slice(300 * K, 5 * K).Fill((byte)(zone + 11));
            }

            expected.AsSpan((int)Zone, 305 * K).Clear();
            expected.AsSpan((int)Zone, K).Fill(99);
            Assert.Equal(expected.Length, found.AsSpan().CommonPrefixLength(expected));
            await device.Zones!.ManageAsync(ZoneAction.Reset, 0, device.Length);
        }

        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Reset_inside_a_shared_cluster_leaves_the_neighbour_alone()
    {
        // zones of 1.5 MiB in clusters of 2 MiB: the second zone begins inside the cluster in which the first ends
        var storage = new MemoryStorage();
        await CreateAsync(storage, ZoneLayout.A, 2048 * K);
        await using var device = await Qcow2Image.OpenAsync(new KeptStorage(storage), new());
        await device.WriteAsync(0, Filled((int)Zone, 1));
        await device.WriteAsync(Zone, Filled((int)Zone, 2));
        await device.FlushAsync();
        await device.Zones!.ManageAsync(ZoneAction.Reset, Zone, Zone);
        var found = new byte[Zone];
        await device.ReadAsync(0, found);
        Assert.Equal(-1, found.AsSpan().IndexOfAnyExcept((byte)1));
        await device.WriteAsync(Zone, Filled(K, 3));
        await device.ReadAsync(Zone, found);
        Assert.Equal(K, found.AsSpan().IndexOf((byte)0));
        Assert.Equal(-1, found.AsSpan(K).IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public async Task Broken_pointer_is_repaired_to_the_end_of_the_last_subcluster()
    {
        var storage = new MemoryStorage();
        await CreateAsync(storage, ZoneLayout.A, 2048 * K);
        long table;
        await using (var device = await Qcow2Image.OpenAsync(new KeptStorage(storage), new()))
        {
            await device.WriteAsync(Zone, Filled(70 * K, 1));
            table = device.Info.Zoned!.TableOffset;
        }

        await storage.WriteAsync(table + 8, new byte[] { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x07 });
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.All);
        Assert.Equal(1, report.CorruptionsFixed);
        await using var repaired = await Qcow2Image.OpenAsync(new KeptStorage(storage), new());
        var zones = new ZoneDescriptor[1];
        await repaired.Zones!.ReportAsync(Zone, zones);
        Assert.Equal(Zone + (128 * K), zones[0].WritePointer);
    }

    private static async Task CreateAsync(MemoryStorage storage, ZoneLayout layout, int cluster)
        => await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = 4 * Zone, ClusterSize = cluster, ExtendedL2 = true, Zoned = new ZonedCreateOptions { Layout = layout, ZoneSize = Zone },
        });

    private static async Task AssertSoundAsync(MemoryStorage storage)
    {
        List<string> lines = [];
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, lines.Add);
        Assert.Equal((0L, 0L, 0L), (report.Corruptions, report.Leaks, report.CheckErrors));
        Assert.Empty(lines);
    }

    private static byte[] Filled(int length, byte value)
    {
        var bytes = new byte[length];
        Array.Fill(bytes, value);
        return bytes;
    }
}
