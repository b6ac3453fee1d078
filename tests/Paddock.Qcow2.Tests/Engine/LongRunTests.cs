using Paddock.Block;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>Runs of clusters that are longer than what one refcount block counts.</summary>
public class LongRunTests
{
    [Theory]
    [InlineData(512, 16, 4L << 30)]
    [InlineData(512, 64, 4L << 30)]
    [InlineData(512, 1, 64L << 30)]
    [InlineData(4096, 64, 1L << 41)]
    public async Task Growing_to_an_L1_table_of_many_refcount_blocks_leaves_a_sound_image(int cluster, int bits, long size)
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = 1 << 20, ClusterSize = cluster, RefcountBits = bits });
        await using (var image = await Qcow2Image.OpenAsync(storage, new()))
        {
            await image.WriteAsync(4096, new byte[] { 1, 2, 3 });
            await image.ResizeAsync(size);
            await image.WriteAsync(size - 512, new byte[] { 4, 5, 6 });
        }

        await AssertSoundAsync(storage, (4096, [1, 2, 3]), (size - 512, [4, 5, 6]));
    }

    [Theory]
    [InlineData(512)]
    [InlineData(1024)]
    [InlineData(4096)]
    public async Task Write_as_long_as_a_refcount_block_counts_leaves_a_sound_image(int cluster)
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = 32 << 20, ClusterSize = cluster, RefcountBits = 64 });
        var data = new byte[8 << 20];
        new Random(cluster).NextBytes(data);
        await using (var image = await Qcow2Image.OpenAsync(storage, new()))
        {
            await image.WriteAsync(0, data);
            await image.WriteAsync(16 << 20, data);
        }

        await AssertSoundAsync(storage, (0, data), (16 << 20, data));
    }

    private static async Task AssertSoundAsync(MemoryStorage storage, params (long Offset, byte[] Data)[] contents)
    {
        string path = Path.GetTempFileName();
        try
        {
            PeerImage.Save(storage, path);
            PeerImage.Run("qemu-img", "check", path);
            await using var image = await Qcow2Image.OpenAsync(storage, new() { ReadOnly = true });
            foreach (var (offset, data) in contents)
            {
                var read = new byte[data.Length];
                await image.ReadAsync(offset, read);
                Assert.Equal(data, read);
            }
        }
        finally
        {
            File.Delete(path);
        }
    }
}
