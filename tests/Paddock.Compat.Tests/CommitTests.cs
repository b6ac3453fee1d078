namespace Paddock.Compat.Tests;

/// <summary>Command <c>commit</c>, beside QEMU's.</summary>
public class CommitTests
{
    private static readonly string[] Clusters =
        ["cluster_size=64k", "cluster_size=4k", "cluster_size=512k", "compat=0.10,cluster_size=64k"];

    [Theory]
    [InlineData("commit")]
    [InlineData("commit @a @b")]
    [InlineData("commit @base")]
    [InlineData("commit @missing")]
    [InlineData("commit -b nothing @top")]
    [InlineData("commit -t foo @top")]
    [InlineData("commit -r x @top")]
    [InlineData("commit -f raw @top")]
    [InlineData("commit -f foo @top")]
    [InlineData("commit --image-opts -f qcow2 driver=qcow2,file.filename=@top")]
    [InlineData("commit --image-opts driver=qcow2,file.filename=@top")]
    [InlineData("commit --object foo @top")]
    [InlineData("commit @top")]
    [InlineData("commit -q @top")]
    [InlineData("commit -p -q @top")]
    [InlineData("commit -d @top")]
    [InlineData("commit -b ~base @top")]
    [InlineData("commit -b ~middle -r 100G -t none @top")]
    [InlineData("commit -t writethrough @top")]
    public async Task Output_and_result_are_those_of_QEMU(string line)
    {
        using var chain = new ChainPeer();
        await chain.CreateAsync("base", "qcow2", 1 << 20);
        await chain.CreateAsync("middle", "qcow2", 1 << 20, "base");
        await chain.CreateAsync("top", "qcow2", 1 << 20, "middle");
        await chain.FillAsync("middle", 1 << 20, 3);
        await chain.FillAsync("top", 1 << 20, 3);
        await chain.SameAsync(line);
        foreach (string name in new[] { "base", "middle", "top" })
        {
            await chain.AgreeAsync(name);
        }
    }

    [Fact]
    public async Task Random_chains_are_committed_as_by_QEMU()
    {
        using var chain = new ChainPeer();
        for (int round = 0; round < 8; round++)
        {
            bool isRaw = chain.Random.Next(4) == 0;
            string bottom = $"base{round}{(isRaw ? ".raw" : "")}", middle = $"middle{round}", top = $"top{round}";
            long size = chain.Random.Next(1, 4000) * 512L;
            long[] sizes = [.. Enumerable.Range(0, 3).Select(_ => chain.Random.Next(3) == 0 ? chain.Random.Next(1, 4000) * 512L : size)];

            // QEMU does not let an image of version 2 grow over a backing image
            int kinds = sizes.Distinct().Count() == 1 ? 4 : 3;
            await chain.CreateAsync(bottom, isRaw ? "raw" : "qcow2", sizes[0], options: Clusters[chain.Random.Next(kinds)]);
            await chain.CreateAsync(middle, "qcow2", sizes[1], bottom, Clusters[chain.Random.Next(kinds)]);
            await chain.CreateAsync(top, "qcow2", sizes[2], middle, Clusters[chain.Random.Next(kinds)]);
            if (!isRaw)
            {
                await chain.FillAsync(bottom, sizes[0], 6);
            }

            await chain.FillAsync(middle, sizes[1], 4);
            await chain.FillAsync(top, sizes[2], 4);
            string options = chain.Random.Next(3) switch { 0 => "", 1 => "-d ", _ => $"-b ~{bottom} " }, line = $"commit {options}@{top}";
            TestContext.Current.TestOutputHelper?.WriteLine($"{line}: {string.Join(' ', sizes)}");
            await chain.SameAsync(line);
            await chain.AgreeAsync(bottom);
            await chain.AgreeAsync(middle);
            await chain.AgreeAsync(top);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Base_that_another_process_uses_is_reported_as_by_QEMU(bool readOnly)
    {
        using var peer = new ImgPeer();
        await peer.TheirsAsync("create -q -f qcow2 @base 1M");
        await peer.TheirsAsync("create -q -f qcow2 -b base -F qcow2 @top");
        await using var user = await Images.Qcow2Disk.OpenAsync(peer.Path("base"), new Images.DiskOptions { ReadOnly = readOnly });
        await peer.SameAsync("commit @top");
    }

    [Fact]
    public async Task Progress_ends_with_all_of_it()
    {
        using var chain = new ChainPeer();
        await chain.CreateAsync("base", "qcow2", 4 << 20);
        await chain.CreateAsync("top", "qcow2", 4 << 20, "base");
        await chain.FillAsync("top", 4 << 20, 4);
        var run = await chain.Peer.OursAsync("commit -p @o-top");
        Assert.StartsWith("    (0.00/100%)\r", run.Out, StringComparison.Ordinal);
        Assert.EndsWith("    (100.00/100%)\r\nImage committed.\n", run.Out, StringComparison.Ordinal);
        run = await chain.Peer.OursAsync("rebase -p -b EMPTY @o-top");
        Assert.StartsWith("    (0.00/100%)\r", run.Out, StringComparison.Ordinal);
        Assert.EndsWith("    (100.00/100%)\r\n", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Overlay_without_its_own_contents_is_as_small_as_a_new_one()
    {
        using var chain = new ChainPeer();
        await chain.CreateAsync("base", "qcow2", 8 << 20);
        await chain.CreateAsync("top", "qcow2", 8 << 20, "base");
        foreach (string side in new[] { "o-", "t-" })
        {
            await chain.Peer.IoAsync(side + "top", "write -P 7 0 8M");
        }

        await chain.SameAsync("commit @top");
        long ours = new FileInfo(chain.Peer.Path("o-top")).Length, theirs = new FileInfo(chain.Peer.Path("t-top")).Length;
        Assert.True(ours <= theirs, $"{ours} bytes, and {theirs} of QEMU's");
    }
}
