using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>Writing of guest data: copy on write, in place, by entry and ahead of the data.</summary>
public class ClusterWriterTests
{
    private const int Cluster = EngineKit.Cluster;

    [Fact]
    public async Task Part_of_a_new_cluster_is_written_with_the_rest_from_the_backing_image_in_one_request()
    {
        var backing = MemoryDisk.Of(1 << 20);
        await backing.WriteAsync(0, Filled(Cluster, 0xbb));
        var (kit, parts) = await ComposeAsync(backing);
        await parts.Writer.WriteAsync(new GuestOffset(100), Filled(10, 0xaa), WriteFlags.None, CancellationToken.None);
        Assert.Equal(1, kit.Storage.Log.Count(static line => line == "write_aio"));
        Assert.Contains($"write {5 * Cluster}+{Cluster}", kit.Storage.Log);
        var read = new byte[Cluster];
        await parts.Reader.ReadAsync(default, read, CancellationToken.None);
        Assert.Equal([.. Filled(100, 0xbb), .. Filled(10, 0xaa), .. Filled(Cluster - 110, 0xbb)], read);
    }

    [Fact]
    public async Task Cluster_of_the_image_alone_is_written_in_place()
    {
        var (kit, parts) = await ComposeAsync(null);
        await parts.Writer.WriteAsync(default, Filled(Cluster, 1), WriteFlags.None, CancellationToken.None);
        kit.Storage.Restart();
        await parts.Writer.WriteAsync(new GuestOffset(8), Filled(16, 2), WriteFlags.None, CancellationToken.None);
        Assert.Equal(["write_aio"], kit.Storage.Steps);
    }

    [Fact]
    public async Task Failed_write_of_new_clusters_frees_them()
    {
        var (kit, parts) = await ComposeAsync(null);
        await parts.Session.StartAsync();
        await parts.Writer.WriteAsync(default, Filled(Cluster, 1), WriteFlags.None, CancellationToken.None);
        kit.Storage.FailWriteAt = 6 * Cluster;
        await Assert.ThrowsAsync<BlockException>(async () => await parts.Writer.WriteAsync(
            new GuestOffset(Cluster), Filled(Cluster, 2), WriteFlags.None, CancellationToken.None));
        Assert.Equal(0UL, await parts.Counts.GetAsync(new HostCluster(6)));
        await parts.Writer.WriteAsync(new GuestOffset(Cluster), Filled(Cluster, 3), WriteFlags.None, CancellationToken.None);
        Assert.Equal(1UL, await parts.Counts.GetAsync(new HostCluster(6)));
    }

    [Fact]
    public async Task Write_with_fua_ends_with_a_flush()
    {
        var (kit, parts) = await ComposeAsync(null);
        await parts.Writer.WriteAsync(default, Filled(Cluster, 1), WriteFlags.Fua, CancellationToken.None);
        Assert.Equal("flush", kit.Storage.Log[^1]);
        Assert.Contains("l1_update", kit.Storage.Log);
    }

    [Fact]
    public async Task Zeroes_over_whole_clusters_write_no_data()
    {
        var (kit, parts) = await ComposeAsync(null);
        await parts.Writer.WriteAsync(default, Filled(2 * Cluster, 1), WriteFlags.None, CancellationToken.None);
        kit.Storage.Restart();
        await parts.Zeroes.WriteZeroesAsync(default, 2 * Cluster, ZeroFlags.None, CancellationToken.None);
        Assert.DoesNotContain("write_aio", kit.Storage.Log);
        var status = await parts.Status.GetAsync(default, 2 * Cluster, CancellationToken.None);
        Assert.Equal((2L * Cluster, true), (status.Length, (status.Flags & BlockStatusFlags.Zero) != 0));
    }

    [Fact]
    public async Task Reserved_range_reads_as_zeroes_and_is_written_in_place()
    {
        var (kit, parts) = await ComposeAsync(null);
        Assert.True(await parts.Space.TryReserveAsync(default, 4 * Cluster));
        var read = Filled(Cluster, 9);
        await parts.Reader.ReadAsync(default, read, CancellationToken.None);
        Assert.Equal(new byte[Cluster], read);
        kit.Storage.Restart();
        await parts.Writer.WriteAsync(default, Filled(4 * Cluster, 1), WriteFlags.None, CancellationToken.None);
        Assert.DoesNotContain("cluster_alloc", kit.Storage.Log);
    }

    [Fact]
    public async Task Range_over_a_backing_image_is_not_reserved()
    {
        var (_, parts) = await ComposeAsync(MemoryDisk.Of(1 << 20));
        Assert.False(await parts.Space.TryReserveAsync(default, Cluster));
    }

    [Fact]
    public async Task First_change_sets_the_required_features_and_reading_sets_none()
    {
        var (_, parts) = await ComposeAsync(null);
        parts.Session.Require(IncompatibleFeatures.Zoned);
        await parts.Reader.ReadAsync(default, new byte[1], CancellationToken.None);
        await parts.Flush.RunAsync();
        Assert.False(parts.Session.IsOpen);
        Assert.False(parts.Header.Has(IncompatibleFeatures.Zoned));
        await parts.Session.StartAsync();
        Assert.True(parts.Session.IsOpen);
        Assert.True(parts.Header.Has(IncompatibleFeatures.Zoned));
    }

    private static byte[] Filled(int length, byte value)
    {
        var bytes = new byte[length];
        bytes.AsSpan().Fill(value);
        return bytes;
    }

    private static async Task<(EngineKit Kit, ImageParts Parts)> ComposeAsync(IBlockDevice? backing)
    {
        var kit = await EngineKit.CreateAsync();
        var parts = new ImageParts(
            kit.Storage, new Qcow2OpenOptions(), new LoadedHeader(kit.Fields, [], null), new ulong[EngineKit.L1Entries], [], backing);
        return (kit, parts);
    }
}
