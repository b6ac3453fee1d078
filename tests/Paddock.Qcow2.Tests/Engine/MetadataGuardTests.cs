using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>Writes that would land on metadata.</summary>
public class MetadataGuardTests
{
    [Theory]
    [InlineData(0, "qcow2_header")]
    [InlineData(EngineKit.Cluster, "refcount table")]
    [InlineData(2 * EngineKit.Cluster, "refcount block")]
    [InlineData(3 * EngineKit.Cluster, "active L1 table")]
    public async Task Data_on_metadata_are_refused_and_the_image_is_marked_corrupt(long host, string name)
    {
        var kit = await EngineKit.CreateAsync();
        var data = new DataLayer(kit.Storage, kit.Guard, null);
        var e = await Assert.ThrowsAsync<ImageCorruptException>(
            async () => await data.WriteAsync(new HostOffset(host), default, new byte[8], CancellationToken.None));
        Assert.Contains($"overlaps with {name}", e.Message, StringComparison.Ordinal);
        Assert.True(kit.Guard.HasFailed);
        Assert.True(kit.Header.Has(IncompatibleFeatures.Corrupt));
    }

    [Fact]
    public async Task Data_in_free_clusters_are_written()
    {
        var kit = await EngineKit.CreateAsync();
        await new DataLayer(kit.Storage, kit.Guard, null)
            .WriteAsync(new HostOffset(4 * EngineKit.Cluster), default, new byte[512], CancellationToken.None);
        Assert.Equal(["write_aio", "write 2048+512"], kit.Storage.Log);
        Assert.False(kit.Guard.HasFailed);
    }

    [Fact]
    public async Task Checks_that_are_off_refuse_nothing()
    {
        var kit = await EngineKit.CreateAsync(checks: OverlapChecks.None);
        await new DataLayer(kit.Storage, kit.Guard, null)
            .WriteAsync(new HostOffset(EngineKit.Cluster), default, new byte[512], CancellationToken.None);
        Assert.False(kit.Guard.HasFailed);
    }

    [Fact]
    public async Task Guard_follows_a_table_that_moves()
    {
        var kit = await EngineKit.CreateAsync();
        await kit.Header.PutAsync(kit.Fields with { L1Offset = 40 * EngineKit.Cluster });
        kit.Guard.RegisterFixed();
        Assert.Equal(MetadataKind.None, kit.Guard.Map.Find(new HostOffset(3 * EngineKit.Cluster), 1));
        Assert.Equal(MetadataKind.ActiveL1, kit.Guard.Map.Find(new HostOffset(40 * EngineKit.Cluster), 1));
    }
}
