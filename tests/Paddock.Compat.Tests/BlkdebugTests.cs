namespace Paddock.Compat.Tests;

/// <summary>Driver blkdebug, compared with the peer's.</summary>
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
    [InlineData(
        "open -o file.inject-error.0.event=l2_load,file.inject-error.0.errno=28,file.inject-error.0.once=on "
        + "blkdebug::@i|read 0 4k|read 0 4k")]
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

    // the peer runs first, on the same image: allocated clusters are discarded again
    [InlineData("open blkdebug::@i|break vmstate_load A|break refblock_update B|break cor_write C|break zone_table_updates D|read 0 4k")]
    [InlineData(
        "open -o file.inject-error.0.event=cluster_alloc_space,file.inject-error.0.once=on "
        + "blkdebug::@i|write 2M 512|write 2M 512|discard 2M 64k")]
    [InlineData(
        "open -o file.inject-error.0.event=cluster_alloc_bytes,file.inject-error.0.once=on "
        + "blkdebug::@i|write -c 2M 64k|write -c 2M 64k|discard 2M 64k")]
    [InlineData(
        "open -o file.inject-error.0.event=l2_update_compressed,file.inject-error.0.once=on "
        + "blkdebug::@i|write -c 2M 64k|discard 2M 64k")]
    [InlineData(
        "open blkdebug::@i|break cluster_alloc_space A|aio_write -q 2M 512|"
        + "wait_break A|resume A|aio_flush|read -P 205 2M 512|discard 2M 64k")]
    [InlineData("open blkdebug::@i|break cluster_free A|remove_break A|discard 0 64k|flush")]
    [InlineData("break l2_load A")]
    public async Task It_says_what_the_peer_says(string lines)
    {
        using var peer = new ImgPeer();
        await peer.OursAsync("create -q -f qcow2 @i 4M");
        await peer.IoAsync("i", "write 0 64k");
        await File.WriteAllTextAsync(
            peer.Path("rules"), "[inject-error]\nevent = \"l2_load\"\nerrno = \"5\"\niotype = \"read\"\nonce = \"on\"\n",
            TestContext.Current.CancellationToken);
        await peer.SameIoAsync(lines.Split('|'));
    }

    [Theory]
    [InlineData("head", "-P 10 0x1200 0x200", "-P 11 0x1400 0x200")]
    [InlineData("after_head", "-P 10 0x1200 0x200", "-P 11 0x1400 0x200")]
    [InlineData("tail", "-P 10 0x1000 0x400", "-P 11 0x1200 0x200")]
    [InlineData("after_tail", "-P 10 0x800 0x1000", "-P 11 0x1400 0x200")]
    [InlineData("head", "-P 10 0x200 0x3000", "-P 11 0x1000 0x1000")]
    [InlineData("after_head", "-P 10 0xe00 0x400", "-P 11 0 0x1000")]
    public async Task Write_of_a_part_of_a_block_stops_where_the_peer_stops_and_holds_up_others(string step, string first, string second)
    {
        using var peer = new ImgPeer();
        await peer.OursAsync("create -q -f raw @i 64k");
        await peer.SameIoAsync(
            "open -o driver=raw,file.align=4k blkdebug::@i", $"break pwritev_rmw_{step} A", $"aio_write -q {first}", "wait_break A",
            $"aio_write -q {second}", "resume A", "aio_flush", "read -v 0 0x4000");
    }
}
