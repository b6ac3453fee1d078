namespace Paddock.Compat.Tests;

/// <summary>Command <c>rebase</c>, beside QEMU's.</summary>
public class RebaseTests
{
    private static readonly string[] Clusters =
        ["cluster_size=64k", "cluster_size=4k", "cluster_size=512k", "compat=0.10,cluster_size=64k"];

    [Theory]
    [InlineData("rebase")]
    [InlineData("rebase @top")]
    [InlineData("rebase -b ~base @top @middle")]
    [InlineData("rebase -b ~missing -F qcow2 @top")]
    [InlineData("rebase -b ~base @top")]
    [InlineData("rebase -b ~base -F foo @top")]
    [InlineData("rebase -b ~base -F qcow2 -t foo @top")]
    [InlineData("rebase -b ~base -F qcow2 -T foo @top")]
    [InlineData("rebase -b ~base -F qcow2 -f raw @top")]
    [InlineData("rebase -u -b ~base -F qcow2 -f raw @top")]
    [InlineData("rebase -c -b ~base -F qcow2 -f raw @top")]
    [InlineData("rebase -b ~top -F qcow2 @top")]
    [InlineData("rebase -b ~over -F qcow2 @top")]
    [InlineData("rebase -b ~base -F qcow2 @missing")]
    [InlineData("rebase -b ~base -F qcow2 --image-opts driver=qcow2,file.filename=@top")]
    [InlineData("rebase -b ~base -F qcow2 @top")]
    [InlineData("rebase -p -q -t none -T none -b ~base -F qcow2 @top")]
    [InlineData("rebase -U -b ~other -F qcow2 @top")]
    [InlineData("rebase -c -b ~other -F qcow2 @top")]
    [InlineData("rebase -u @top")]
    [InlineData("rebase -u -b ~anything @top")]
    [InlineData("rebase -u -b ~other -F qcow2 @top")]
    [InlineData("rebase -u -b ~anything -F host_device @top")]
    public async Task Output_and_result_are_those_of_QEMU(string line)
    {
        using var chain = await ChainAsync();
        await chain.SameAsync(line);
        await chain.SameMapAsync("middle");
        await chain.SameBackingAsync("top");
        foreach (string side in new[] { "o-", "t-" })
        {
            var check = await chain.Peer.TheirsAsync($"check --image-opts driver=qcow2,backing=,file.filename=@{side}top");
            Assert.True(check.Code == 0, check.Out + check.Error);
        }
    }

    [Fact]
    public async Task Random_overlays_are_rebased_as_by_QEMU()
    {
        using var chain = new ChainPeer();
        for (int round = 0; round < 8; round++)
        {
            string old = $"old{round}", next = $"next{round}", top = $"top{round}";
            long size = chain.Random.Next(1, 4000) * 512L;
            long[] sizes = [.. Enumerable.Range(0, 3).Select(_ => chain.Random.Next(2) == 0 ? chain.Random.Next(1, 4000) * 512L : size)];
            await chain.CreateAsync("base" + round, "qcow2", size, options: Clusters[chain.Random.Next(4)]);
            await chain.CreateAsync(old, "qcow2", sizes[0], "base" + round, Clusters[chain.Random.Next(4)]);
            string? below = chain.Random.Next(4) switch { 0 => old, 1 => "base" + round, _ => null };
            await chain.CreateAsync(next, "qcow2", sizes[1], below);
            await chain.CreateAsync(top, "qcow2", sizes[2], old, Clusters[chain.Random.Next(4)]);
            await chain.FillAsync("base" + round, size, 4);
            await chain.FillAsync(old, sizes[0], 4);
            await chain.FillAsync(next, sizes[1], 4);
            await chain.FillAsync(top, sizes[2], 3);
            await chain.Peer.TheirsAsync($"convert -f qcow2 -O raw @o-{top} @{top}.before");
            string line = chain.Random.Next(4) switch
            {
                0 => $"rebase -b EMPTY @{top}",
                1 => $"rebase -b ~base{round} -F qcow2 @{top}",
                2 => $"rebase -c -b ~{next} -F qcow2 @{top}",
                _ => $"rebase -b ~{next} -F qcow2 @{top}",
            };
            TestContext.Current.TestOutputHelper?.WriteLine($"{line}: {string.Join(' ', sizes)}");
            await chain.SameAsync(line);
            await chain.AgreeAsync(top);
            var same = await chain.Peer.TheirsAsync($"compare -f raw -F qcow2 @{top}.before @o-{top}");
            Assert.True(same.Code == 0, same.Out + same.Error);
            if (!line.Contains(" -c ", StringComparison.Ordinal))
            {
                await chain.SameMapAsync(top);
            }
        }
    }

    [Fact]
    public async Task Image_with_a_raw_data_file_takes_no_backing_file()
    {
        using var peer = new ImgPeer();
        await peer.TheirsAsync("create -q -f qcow2 -o data_file=@data,data_file_raw=on @top 1M");
        await peer.SameAsync("rebase -u -b base -F qcow2 @top");
        await peer.SameAsync("rebase -b EMPTY @top");
        Assert.DoesNotContain("backing", (await peer.TheirsAsync("info @top")).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_both_backing_images_have_is_not_copied()
    {
        using var chain = await ChainAsync();
        await chain.CreateAsync("twin", "qcow2", 1 << 20);
        await chain.Peer.TheirsAsync("convert -f qcow2 -O qcow2 @o-middle @o-twin");
        long before = new FileInfo(chain.Peer.Path("o-top")).Length;
        var run = await chain.Peer.OursAsync("rebase -b o-twin -F qcow2 @o-top");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Equal(before, new FileInfo(chain.Peer.Path("o-top")).Length);
    }

    [Fact]
    public async Task Chain_that_leads_back_to_itself_is_reported_as_by_QEMU()
    {
        using var peer = new ImgPeer();
        await peer.OursAsync("create -q -f qcow2 @a 1M");
        await peer.OursAsync("create -q -f qcow2 -b a -F qcow2 @b");
        Assert.Equal(0, (await peer.OursAsync("rebase -u -b @b -F qcow2 @a")).Code);
        await peer.SameAsync("info --backing-chain @b");
        await peer.SameAsync("info --backing-chain --output=json @a");
        Assert.Equal(1, (await peer.OursAsync("map @a")).Code);
    }

    private static async Task<ChainPeer> ChainAsync()
    {
        var chain = new ChainPeer();
        await chain.CreateAsync("base", "qcow2", 1 << 20);
        await chain.CreateAsync("other", "qcow2", 1 << 20);
        await chain.CreateAsync("middle", "qcow2", 1 << 20, "base");
        await chain.CreateAsync("top", "qcow2", 1 << 20, "middle");
        await chain.CreateAsync("over", "qcow2", 1 << 20, "top");
        await chain.FillAsync("base", 1 << 20, 3);
        await chain.FillAsync("other", 1 << 20, 3);
        await chain.FillAsync("middle", 1 << 20, 3);
        await chain.FillAsync("top", 1 << 20, 2);
        return chain;
    }
}
