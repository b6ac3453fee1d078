using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>Where data goes: gaps are filled, and clusters that no stored table points at are used again at once.</summary>
public class AllocationTests
{
    [Theory]
    [InlineData(512, 1)]
    [InlineData(512, 16)]
    [InlineData(512, 64)]
    [InlineData(1024, 16)]
    [InlineData(4096, 64)]
    [InlineData(65536, 16)]
    public async Task Long_writes_leave_no_gaps_in_the_file(int cluster, int bits)
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = 16 << 20, ClusterSize = cluster, RefcountBits = bits });
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            for (int at = 0; at < 16 << 20; at += 1 << 20)
            {
                await image.WriteAsync(at, new byte[1 << 20]);
            }
        }

        long tables = (16 << 20) / cluster * (8 + (bits / 8));
        Assert.InRange(storage.Length, 16 << 20, (16 << 20) + (tables * 5 / 4) + (12 * cluster));
        await AssertSoundAsync(storage);
    }

    [Theory]
    [InlineData(512)]
    [InlineData(65536)]
    public async Task Data_that_is_discarded_before_a_flush_frees_its_clusters_for_the_next_write(int cluster)
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = 64 << 20, ClusterSize = cluster });
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            for (int i = 0; i < 50; i++)
            {
                await image.WriteAsync(i << 20, new byte[1 << 20]);
                await image.DiscardAsync(i << 20, 1 << 20);
            }

            Assert.InRange(storage.Length, 1 << 20, 3 << 20);
        }

        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Data_that_a_flush_made_durable_keeps_its_clusters_until_the_next_flush()
    {
        const int cluster = 65536;
        var disk = new CrashStorage();
        await Qcow2Image.CreateAsync(disk, new() { Size = 16 * cluster, ClusterSize = cluster });
        var data = new byte[cluster];
        data.AsSpan().Fill(1);
        var image = await Qcow2Image.OpenAsync(disk, new());
        await image.WriteAsync(0, data);
        await image.FlushAsync();
        await image.DiscardAsync(0, cluster);
        await image.WriteAsync(cluster, new byte[cluster]);

        // the power goes: the durable table points at the old cluster, which the second write must not have
        for (int seed = 0; seed < 30; seed++)
        {
            await using var again = await Qcow2Image.OpenAsync(disk.Reboot(seed), new());
            var read = new byte[cluster];
            await again.ReadAsync(0, read);
            Assert.Equal(data, read);
        }
    }

    private static async Task AssertSoundAsync(IStorage storage)
    {
        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, lines.Add);
        Assert.True(report.Corruptions == 0 && report.CheckErrors == 0 && report.Leaks == 0, string.Join("\n", lines));
    }
}
