using Paddock.Block;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>What the simulator found, each in as few steps as show it.</summary>
public class ZonedRegressionTests
{
    [Fact]
    public async Task Read_far_above_the_write_pointer_returns_zeroes_while_data_is_buffered()
    {
        await using var disk = await OpenAsync(await CreateAsync(1 << 20, 1 << 20, 65536));
        await disk.WriteAsync(0, new byte[512]);
        byte[] found = new byte[4096];
        found.AsSpan().Fill(1);
        await disk.ReadAsync(512 << 10, found);
        Assert.False(found.AsSpan().ContainsAnyExcept((byte)0));
    }

    [Fact]
    public async Task Shrinking_zone_table_frees_its_clusters()
    {
        var storage = await CreateAsync(77 * 512, 512, 512);
        await using (var disk = await OpenAsync(storage))
        {
            await disk.ResizeAsync(20 * 512);
        }

        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, line => Assert.Fail(line));
        Assert.Equal(0, report.Leaks);
    }

    private static async Task<MemoryStorage> CreateAsync(long size, long zoneSize, int cluster)
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = size, ClusterSize = cluster, Zoned = new ZonedCreateOptions { ZoneSize = zoneSize },
        });
        return storage;
    }

    private static async Task<IBlockDevice> OpenAsync(IStorage storage)
        => await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());
}
