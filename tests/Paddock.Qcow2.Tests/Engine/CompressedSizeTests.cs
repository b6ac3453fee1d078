using Paddock.Block;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>How long a file is whose last bytes are compressed.</summary>
public class CompressedSizeTests
{
    [Theory]
    [InlineData(Qcow2Compression.Zlib, 65536)]
    [InlineData(Qcow2Compression.Zstd, 65536)]
    [InlineData(Qcow2Compression.Zlib, 512)]
    [InlineData(Qcow2Compression.Zlib, 2 << 20)]
    public async Task File_with_compressed_clusters_ends_at_a_whole_sector(Qcow2Compression compression, int cluster)
    {
        const int Clusters = 20;
        var storage = new MemoryStorage();
        var options = new Qcow2CreateOptions { Size = Clusters * (long)cluster, ClusterSize = cluster, Compression = compression };
        await Qcow2Image.CreateAsync(storage, options);
        var random = new Random(6);
        byte[] data = new byte[Clusters * cluster];
        random.NextBytes(data);
        for (int i = 0; i < data.Length; i++)
        {
            data[i] &= 1;
        }

        await using (var image = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions()))
        {
            foreach (int at in Enumerable.Range(0, Clusters).OrderBy(_ => random.Next()))
            {
                await image.WriteCompressedAsync(
                    (long)at * cluster, data.AsMemory(at * cluster, cluster), TestContext.Current.CancellationToken);
                Assert.Equal(0, storage.Length % 512);
            }
        }

        await using var again = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());
        byte[] found = new byte[data.Length];
        await again.ReadAsync(0, found);
        Assert.True(data.AsSpan().SequenceEqual(found));
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, line => Assert.Fail(line));
        Assert.Equal((0, 0), (report.Corruptions, report.Leaks));
    }
}
