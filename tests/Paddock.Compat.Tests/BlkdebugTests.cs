namespace Paddock.Compat.Tests;

/// <summary>The driver blkdebug, beside the peer's.</summary>
public class BlkdebugTests
{
    [Theory]
    [InlineData("open blkdebug::@i|read 0 4k|read 130k 1k")]
    [InlineData("open -o file.align=4k blkdebug::@i|write -P 5 512 1k|read -P 5 512 1k|read -P 0 0 512")]
    [InlineData("open -o driver=blkdebug,image.filename=@i|read 0 4k")]
    [InlineData("open -o driver=qcow2,file.driver=blkdebug,file.image.driver=file,file.image.filename=@i|read 0 4k")]
    [InlineData("open blkdebug:@i")]
    [InlineData("open blkdebug:@missing:@i")]
    [InlineData("open blkdebug::@missing")]
    [InlineData("open blkdebug:@rules:@i|read 0 4k|read 0 4k|flush|flush")]
    [InlineData("open -o file.inject-error.0.event=l2_load,file.inject-error.0.errno=28,file.inject-error.0.once=on blkdebug::@i|read 0 4k|read 0 4k")]
    [InlineData("open -o file.colour=red blkdebug::@i")]
    [InlineData("open -o file.align=3 blkdebug::@i")]
    [InlineData("open -o file.max-transfer=100 blkdebug::@i|read 0 512")]
    [InlineData("open -o file.align=4k,file.max-transfer=512 blkdebug::@i")]
    [InlineData("open -o file.inject-error.3.event=none blkdebug::@i")]
    [InlineData("open -o driver=qcow2,file.driver=blkdebug")]
    [InlineData("open -o driver=qcow2,file.driver=blkdebug,file.image=a-node")]
    [InlineData("open @i|break l2_load A|resume A|remove_break A")]
    [InlineData("open blkdebug::@i|break nowhere A|resume A|remove_break A|break l2_load A|remove_break A|remove_break A|read 0 4k")]
    [InlineData("open blkdebug::@i|break l2_load A|aio_read 0 4k|wait_break A|resume A|aio_flush|resume A")]
    [InlineData("break l2_load A")]
    public async Task It_says_what_the_peer_says(string lines)
    {
        using var peer = new ImgPeer();
        await peer.OursAsync("create -q -f qcow2 @i 4M");
        await peer.IoAsync("i", "write 0 64k");
        await File.WriteAllTextAsync(
            peer.Path("rules"), "[inject-error]\nevent = \"l2_load\"\nerrno = \"5\"\niotype = \"read\"\nonce = \"on\"\n", TestContext.Current.CancellationToken);
        await peer.SameIoAsync(lines.Split('|'));
    }
}
