using Paddock.Block;
using Paddock.Qcow2.Engine;
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

    [Theory]
    [InlineData(65536)]
    [InlineData(2 << 20)]
    public async Task Much_discarded_space_is_used_again_before_the_file_grows(int cluster)
    {
        const int length = 48 << 20;
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = 3 * length, ClusterSize = cluster });
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.WriteAsync(0, new byte[length]);
            await image.FlushAsync();
            await image.DiscardAsync(0, length);
            await image.WriteAsync(length, new byte[length]);
            Assert.InRange(storage.Length, length, length + (16 << 20));
        }

        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Short_gaps_are_passed_over_until_there_are_many()
    {
        const int cluster = 4096, most = (int)GapCursors.MaxPassed;
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = 4 << 20, ClusterSize = cluster });
        await using var image = await Qcow2Image.OpenAsync(storage.Kept(), new());
        for (int i = 0; i < 8 * most; i++)
        {
            await image.WriteAsync(i * cluster, new byte[cluster]);
        }

        await image.FlushAsync();
        long first = (await image.GetStatusAsync(0, cluster)).HostOffset, end = storage.Length;
        for (int i = 0; i < 2 * most; i += 2)
        {
            await image.DiscardAsync(i * cluster, cluster);
        }

        await image.FlushAsync();
        await image.WriteAsync(8 * most * cluster, new byte[2 * cluster]);
        var whole = await image.GetStatusAsync(8 * most * cluster, 2 * cluster);
        Assert.Equal((2L * cluster, true), (whole.Length, whole.HostOffset >= end));

        // one more gap is one too many: all are filled, the first one first
        await image.DiscardAsync(2 * most * cluster, cluster);
        await image.FlushAsync();
        await image.WriteAsync(9 * most * cluster, new byte[2 * cluster]);
        Assert.Equal(first, (await image.GetStatusAsync(9 * most * cluster, cluster)).HostOffset);
    }

    [Fact]
    public async Task File_ends_where_its_last_cluster_of_data_ends()
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = 1 << 20 });
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new()))
        {
            await image.WriteAsync(0, new byte[512]);
        }

        Assert.Equal(0, storage.Length % 65536);
        await AssertSoundAsync(storage);
    }

    [Fact]
    public async Task Write_over_data_and_reserved_clusters_side_by_side_is_one_request()
    {
        const int cluster = 4096, count = 4;
        for (int reserved = 0; reserved < 1 << count; reserved++)
        {
            foreach (var (start, end) in new[] { (0, count * cluster), (512, (count * cluster) - 512), (cluster + 512, 3 * cluster) })
            {
                var storage = new RecordingStorage();
                await Qcow2Image.CreateAsync(storage, new() { Size = 2 * count * cluster, ClusterSize = cluster });
                byte[] expected = new byte[2 * count * cluster];
                expected.AsSpan(0, count * cluster).Fill(1);
                await using var image = await Qcow2Image.OpenAsync(storage, new());
                await image.WriteAsync(0, expected.AsMemory(0, count * cluster));
                for (int i = 0; i < count; i++)
                {
                    if ((reserved >> i & 1) != 0)
                    {
                        await image.WriteZeroesAsync(i * cluster, cluster);
                        expected.AsSpan(i * cluster, cluster).Clear();
                    }
                }

                await image.FlushAsync();
                storage.Restart();
                expected.AsSpan(start, end - start).Fill(2);
                await image.WriteAsync(start, expected.AsMemory(start, end - start));
                Assert.Single(storage.Log, static step => step == "write_aio");
                byte[] found = new byte[expected.Length];
                await image.ReadAsync(0, found);
                Assert.Equal(expected, found);
                var status = await image.GetStatusAsync(start, end - start);
                Assert.Equal(end - start, status.Length);
            }
        }
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
