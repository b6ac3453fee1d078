namespace Paddock.Compat.Tests;

/// <summary>Persistent bitmaps, beside QEMU's tools.</summary>
public class BitmapTests
{
    [Theory]
    [InlineData("bitmap")]
    [InlineData("bitmap @i")]
    [InlineData("bitmap @i b")]
    [InlineData("bitmap --add @i")]
    [InlineData("bitmap --add -g 3 @i n")]
    [InlineData("bitmap --add -g 511 @i n")]
    [InlineData("bitmap --add -g 4G @i n")]
    [InlineData("bitmap --add -g x @i n")]
    [InlineData("bitmap --add -g 0 @i n")]
    [InlineData("bitmap -g 64k --remove @i b")]
    [InlineData("bitmap -F qcow2 --merge b @i b")]
    [InlineData("bitmap -b @i --add @i c")]
    [InlineData("bitmap -F x -g 64k --remove @i b")]
    [InlineData("bitmap --add @i b")]
    [InlineData("bitmap --add --add @i n")]
    [InlineData("bitmap --disable --add @i n")]
    [InlineData("bitmap --clear @i nope")]
    [InlineData("bitmap --enable @i nope")]
    [InlineData("bitmap --remove @i nope")]
    [InlineData("bitmap --remove --remove @i b")]
    [InlineData("bitmap --merge nope @i b")]
    [InlineData("bitmap --merge b @i b")]
    [InlineData("bitmap --merge s -b @small @i b")]
    [InlineData("bitmap --merge s -b @missing @i b")]
    [InlineData("bitmap --merge broken @i b")]
    [InlineData("bitmap --clear @i broken")]
    [InlineData("bitmap --enable @i broken")]
    [InlineData("bitmap --merge b @i broken")]
    [InlineData("bitmap --add @i broken")]
    [InlineData("bitmap --remove @i broken")]
    [InlineData("bitmap -z @i b")]
    [InlineData("bitmap --merge")]
    [InlineData("bitmap -f raw --clear @small s")]
    [InlineData("resize @i 65M")]
    [InlineData("convert --bitmaps -O qcow2 @i @out")]
    [InlineData("convert --bitmaps --skip-broken-bitmaps -O qcow2 @i @out")]
    [InlineData("convert --bitmaps --skip-broken-bitmaps -O raw @i @out")]
    [InlineData("convert --bitmaps --skip-broken-bitmaps -O qcow2 -o compat=0.10 @i @out")]
    [InlineData("convert --bitmaps -n -O qcow2 @small @i")]
    [InlineData("measure -O qcow2 @i")]
    [InlineData("check @i")]
    public async Task Bitmap_prints_what_the_peer_prints(string line)
    {
        using var peer = new ImgPeer();
        await PrepareAsync(peer);
        File.Copy(peer.Path("i"), peer.Path("kept"));
        var theirs = await peer.TheirsAsync(line);
        var listed = (await peer.TheirsAsync("info --output=json @i")).Out;
        File.Copy(peer.Path("kept"), peer.Path("i"), overwrite: true);
        File.Delete(peer.Path("out"));
        var ours = await peer.OursAsync(line);
        Assert.Equal((theirs.Code, theirs.Out, theirs.Error), (ours.Code, ours.Out, ours.Error));
        Assert.Equal(Bitmaps(listed), Bitmaps((await peer.TheirsAsync("info --output=json @i")).Out));
        Assert.Equal(0, (await peer.TheirsAsync("check @i")).Code);
        Assert.Equal(0, (await peer.OursAsync("check @i")).Code);
    }

    [Fact]
    public async Task Bitmaps_that_both_tools_copied_are_the_same()
    {
        using var peer = new ImgPeer();
        await peer.TheirsAsync("create -q -f qcow2 @i 64M");
        await peer.TheirsAsync("bitmap --add -g 4k @i fine");
        await peer.TheirsAsync("bitmap --add @i still");
        await peer.IoAsync("i", "write 1M 100k", "write -z 20M 3M", "discard 40M 1M");
        await peer.TheirsAsync("bitmap --disable @i still");
        Assert.Equal("", (await peer.OursAsync("convert --bitmaps -O qcow2 @i @ours")).Error);
        Assert.Equal("", (await peer.TheirsAsync("convert --bitmaps -O qcow2 @i @theirs")).Error);
        Assert.Equal(
            Bitmaps((await peer.TheirsAsync("info --output=json @theirs")).Out),
            Bitmaps((await peer.TheirsAsync("info --output=json @ours")).Out));
        Assert.Equal(0, (await peer.TheirsAsync("check @ours")).Code);
    }

    [Fact]
    public async Task Image_without_its_last_bitmap_is_one_without_bitmaps()
    {
        using var peer = new ImgPeer();
        await peer.OursAsync("create -q -f qcow2 @i 64M");
        await peer.OursAsync("bitmap --add @i b");
        await peer.OursAsync("bitmap --remove @i b");
        Assert.DoesNotContain("bitmaps", (await peer.SameAsync("info @i")).Out, StringComparison.Ordinal);
        Assert.Equal("", (await peer.TheirsAsync("bitmap --add @i theirs")).Error);
        Assert.Contains("theirs", (await peer.OursAsync("info @i")).Out, StringComparison.Ordinal);
        Assert.Equal(0, (await peer.TheirsAsync("check @i")).Code);
    }

    private static string Bitmaps(string info)
    {
        int start = info.IndexOf("\"bitmaps\"", StringComparison.Ordinal);
        return start < 0 ? "" : info[start..info.IndexOf("\"refcount-bits\"", start, StringComparison.Ordinal)];
    }

    // b is sound, and broken was in memory when a program ended
    private static async Task PrepareAsync(ImgPeer peer)
    {
        await peer.TheirsAsync("create -q -f qcow2 @i 64M");
        await peer.TheirsAsync("create -q -f qcow2 @small 32M");
        await peer.TheirsAsync("bitmap --add @small s");
        await peer.TheirsAsync("bitmap --add @i broken");
        await peer.IoAsync("i", "abort");
        await peer.TheirsAsync("bitmap --add @i b");
    }
}
