namespace Paddock.Compat.Tests;

public class DdTests
{
    [Theory]
    [InlineData("-f raw -O raw bs=1M")]
    [InlineData("-f raw -O qcow2 bs=64k")]
    [InlineData("-f raw bs=777")]
    [InlineData("-f raw bs=1k count=5")]
    [InlineData("-f raw bs=1k count=0")]
    [InlineData("-f raw bs=1k count=12 skip=4")]
    [InlineData("-f raw bs=1000 skip=7")]
    [InlineData("-f raw bs=1k count=3 skip=5")]
    [InlineData("-f raw bs=1M skip=100")]
    [InlineData("-f raw -U bs=1M count=9223372036854775807")]
    public async Task Dd_copies_what_the_peer_copies(string options)
    {
        using var peer = new ImgPeer();
        byte[] bytes = new byte[300 << 10];
        new Random(17).NextBytes(bytes);
        await File.WriteAllBytesAsync(peer.Path("in"), bytes, TestContext.Current.CancellationToken);
        var theirs = await peer.TheirsAsync($"dd {options} if=@in of=@theirs");
        var ours = await peer.OursAsync($"dd {options} if=@in of=@ours");
        Assert.Equal(theirs, ours);
        string format = options.Contains("-O qcow2", StringComparison.Ordinal) ? "qcow2" : "raw";
        Assert.Equal(0, (await peer.TheirsAsync($"compare -s -f {format} -F {format} @theirs @ours")).Code);
    }

    [Theory]
    [InlineData("dd")]
    [InlineData("dd if=@in")]
    [InlineData("dd of=@out")]
    [InlineData("dd if=@in of=@out foo=1")]
    [InlineData("dd if=@in of=@out foo")]
    [InlineData("dd if=@in of=@out bs")]
    [InlineData("dd if=@in of=@out bs=")]
    [InlineData("dd if=@in of=@out bs=0")]
    [InlineData("dd if=@in of=@out bs=3G")]
    [InlineData("dd if=@in of=@out bs=-1")]
    [InlineData("dd if=@in of=@out count=x")]
    [InlineData("dd if=@in of=@out skip=x")]
    [InlineData("dd if=@missing of=@out")]
    [InlineData("dd if=@in of=@missing/out")]
    [InlineData("dd -O foo if=@in of=@out")]
    [InlineData("dd -f foo if=@in of=@out")]
    [InlineData("dd -f raw --image-opts if=@in of=@out")]
    [InlineData("dd --image-opts if=driver=raw,file.filename=@in of=@out")]
    [InlineData("dd -n if=@in of=@out")]
    public async Task Dd_says_what_the_peer_says(string line)
    {
        using var peer = new ImgPeer();
        await File.WriteAllBytesAsync(peer.Path("in"), new byte[4096], TestContext.Current.CancellationToken);
        await peer.SameAsync(line);
    }
}
