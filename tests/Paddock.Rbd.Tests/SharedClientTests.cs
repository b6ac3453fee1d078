using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;

namespace Paddock.Rbd.Tests;

/// <summary>Images that share clients of the cluster.</summary>
public class SharedClientTests(CephCluster cluster)
{
    [Fact]
    public async Task Written_images_share_one_client_and_read_ones_another()
    {
        RbdTarget one = await NewAsync(), two = await NewAsync();
        await using var first = await RbdImage.OpenAsync(one, readOnly: false);
        await using var second = await RbdImage.OpenAsync(two, readOnly: false);
        await using var reader = await RbdImage.OpenAsync(one, readOnly: true);
        await using var other = await RbdImage.OpenAsync(two, readOnly: true);
        Assert.Equal(first.ClientId, second.ClientId);
        Assert.Equal(reader.ClientId, other.ClientId);
        Assert.NotEqual(first.ClientId, reader.ClientId);
        await first.ConfirmAsync();
        await second.ConfirmAsync();
        await using var own = await RbdImage.OpenAsync(one with { SharesConnection = false }, readOnly: true);
        Assert.NotEqual(reader.ClientId, own.ClientId);
    }

    [Fact]
    public async Task Second_writer_of_the_same_client_is_refused()
    {
        var target = await NewAsync();
        await using (var first = await RbdImage.OpenAsync(target, readOnly: false))
        {
            var failure = await Assert.ThrowsAsync<BlockException>(() => RbdImage.OpenAsync(target, readOnly: false));
            Assert.Equal(BlockError.Busy, failure.Error);
            await first.ConfirmAsync();
        }

        await using var next = await RbdImage.OpenAsync(target, readOnly: false);
        await next.ConfirmAsync();
    }

    [Fact]
    public async Task Image_that_many_overlays_read_is_open_once()
    {
        var target = await NewAsync();
        await using (var writer = new RbdStorage(await RbdImage.OpenAsync(target, readOnly: false)))
        {
            await writer.WriteAsync(0, Enumerable.Repeat((byte)7, 512).ToArray(), TestContext.Current.CancellationToken);
            await writer.FlushAsync(TestContext.Current.CancellationToken);
        }

        var opener = new ImageOpener("test", TextWriter.Null) { SharesConnections = true };
        var all = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => OpenAsync(opener, target)));
        Assert.Single(all.Select(OpenOf).Distinct());
        foreach (var node in all[1..])
        {
            await node.DisposeAsync();
        }

        byte[] data = new byte[512];
        await all[0].Device.ReadAsync(0, data, TestContext.Current.CancellationToken);
        Assert.Equal(7, data[0]);
        var before = OpenOf(all[0]);
        await all[0].DisposeAsync();
        await using var again = await OpenAsync(opener, target);
        Assert.NotSame(before, OpenOf(again));

        static Task<ImageNode> OpenAsync(ImageOpener opener, RbdTarget target)
            => opener.OpenAsync(target.ToString(), new OpenSettings { Format = "raw" }).AsTask();

        static IStorage OpenOf(ImageNode node) => ((SharedReader)node.Primary!.Storage).Inner;
    }

    [Fact]
    public async Task Client_takes_a_limited_number_of_images()
    {
        var target = await NewAsync();
        var images = await Task.WhenAll(
            Enumerable.Range(0, RbdConnection.MaxUsers + 1).Select(_ => RbdImage.OpenAsync(target, readOnly: true)));
        Assert.Equal(2, images.Select(static i => i.ClientId).Distinct().Count());
        await Task.WhenAll(images.Select(static i => i.DisposeAsync().AsTask()));
    }

    [Fact]
    public async Task Image_is_opened_by_a_new_client_after_the_shared_one_was_blocklisted()
    {
        RbdTarget one = await NewAsync(), two = await NewAsync();
        await using var first = await RbdImage.OpenAsync(one, readOnly: false);
        var refused = await Assert.ThrowsAsync<BlockException>(
            () => RbdImage.OpenAsync(one with { SharesConnection = false }, readOnly: false));
        await cluster.CephAsync("osd", "blocklist", "add", refused.Message.Split(" at ")[1].Split(',')[0]);
        await using var second = await RbdImage.OpenAsync(two, readOnly: false);
        Assert.NotEqual(first.ClientId, second.ClientId);
        await second.WriteAsync(0, new byte[512]);
        await second.FlushAsync();
    }

    private async Task<RbdTarget> NewAsync()
    {
        var target = cluster.TargetOf(CephCluster.NewImage()) with { SharesConnection = true };
        await RbdImage.CreateAsync(target, 1 << 20);
        return target;
    }
}
