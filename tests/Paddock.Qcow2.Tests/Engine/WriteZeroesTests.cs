using Paddock.Block;
using Xunit;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>Write-zeroes changes L2 entries where it can, and writes where it must.</summary>
public sealed class WriteZeroesTests
{
    private const int Cluster = 4096;

    [Fact]
    public async Task Zeroing_half_of_two_written_clusters_zeroes_both_halves()
    {
        await using var image = await MakeAsync();
        await image.WriteAsync(0, Filled(2 * Cluster), cancellationToken: TestContext.Current.CancellationToken);
        await image.WriteZeroesAsync(Cluster / 2, Cluster, cancellationToken: TestContext.Current.CancellationToken);
        var expected = Filled(2 * Cluster);
        expected.AsSpan(Cluster / 2, Cluster).Clear();
        var read = new byte[2 * Cluster];
        await image.ReadAsync(0, read, TestContext.Current.CancellationToken);
        Assert.Equal(expected, read);
    }

    [Fact]
    public async Task Zeroing_from_an_empty_cluster_into_a_written_one_zeroes_the_written_part()
    {
        await using var image = await MakeAsync();
        await image.WriteAsync(Cluster, Filled(Cluster), cancellationToken: TestContext.Current.CancellationToken);
        await image.WriteZeroesAsync(Cluster / 2, Cluster, cancellationToken: TestContext.Current.CancellationToken);
        var expected = Filled(2 * Cluster);
        expected.AsSpan(0, Cluster + (Cluster / 2)).Clear();
        var read = new byte[2 * Cluster];
        await image.ReadAsync(0, read, TestContext.Current.CancellationToken);
        Assert.Equal(expected, read);
    }

    [Fact]
    public async Task Zeroing_what_was_never_written_makes_zero_clusters_that_count_as_allocated()
    {
        await using var image = await MakeAsync();
        await image.WriteZeroesAsync(512, 512, ZeroFlags.MayUnmap, TestContext.Current.CancellationToken);
        await image.WriteZeroesAsync(2 * Cluster, Cluster, ZeroFlags.MayUnmap, TestContext.Current.CancellationToken);
        var partly = await image.GetStatusAsync(0, Cluster, TestContext.Current.CancellationToken);
        var wholly = await image.GetStatusAsync(2 * Cluster, Cluster, TestContext.Current.CancellationToken);
        Assert.Equal(BlockStatusFlags.Zero | BlockStatusFlags.Allocated, partly.Flags);
        Assert.Equal(BlockStatusFlags.Zero | BlockStatusFlags.Allocated, wholly.Flags);
    }

    private static byte[] Filled(int length)
    {
        var bytes = new byte[length];
        Array.Fill(bytes, (byte)0x5a);
        return bytes;
    }

    private static async Task<IQcow2Device> MakeAsync()
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(
            storage, new Qcow2CreateOptions { Size = 1 << 20, ClusterSize = Cluster }, TestContext.Current.CancellationToken);
        return await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions(), TestContext.Current.CancellationToken);
    }
}
