using System.Buffers.Binary;

namespace Paddock.Compat.Tests;

/// <summary>Where the data of an image lie, beside the system's tools: its own tests look at offsets and at subcluster bitmaps.</summary>
public class LayoutTests
{
    private const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;

    [Fact]
    public async Task Bitmaps_and_data_lie_where_the_peer_puts_them()
    {
        using var peer = new ImgPeer();
        foreach (string line in new[] { "create -q -f qcow2 @i 10M", "bitmap --add -g 32k @i b1" })
        {
            Assert.Equal(0, (await peer.TheirsAsync(line)).Code);
        }

        File.Copy(peer.Path("i"), peer.Path("ours"));
        for (int i = 0; i < 8; i++)
        {
            if (i == 5)
            {
                Assert.Equal(0, (await peer.TheirsAsync("bitmap --add -g 64k --disable @i b2")).Code);
                Assert.Equal(0, (await peer.OursAsync("bitmap --add -g 64k --disable @ours b2")).Code);
            }

            await peer.TheirsIoAsync("-c", $"write {i}M 1M", "@i");
            await peer.OursIoAsync("-c", $"write {i}M 1M", "@ours");
            Assert.Equal(Directory(peer.Path("i")), Directory(peer.Path("ours")));
        }
    }

    [Fact]
    public async Task Writes_to_shared_clusters_copy_the_subclusters_that_the_peer_copies()
    {
        using var peer = new ImgPeer();
        Assert.Equal(0, (await peer.TheirsAsync("create -q -f qcow2 -o extended_l2=on @i 1M")).Code);
        for (int c = 0; c < 10; c++)
        {
            await peer.IoAsync("i", $"write -z {(64 * c) + 14}k 2k", $"write -P 7 {(64 * c) + 26}k 2k", $"write -P 9 {(64 * c) + 36}k 2k");
        }

        Assert.Equal(0, (await peer.TheirsAsync("snapshot -c one @i")).Code);
        string[] writes =
        [
            "write 30k 1k", "write 84k 1k", "write 168k 1k", "write 218k 1k", "write 270k 1k", "write 321k 1k",
            "write -z 414k 3k", "write -z 474k 2k", "write -z 538k 1k", "write -z 588k 1k",
        ];
        await AssertSameAsync(peer, writes);
    }

    [Theory]
    [InlineData("write -z -u 1376k 128k", "write -z -u 1567k 129k")]
    [InlineData("write -z -u 1152k 192k", "write -z -u 1759k 128k")]
    [InlineData("discard 1408k 64k", "write 1920k 128k")]
    public async Task Gaps_are_filled_in_the_order_of_the_peer(params string[] writes)
    {
        using var peer = new ImgPeer();
        Assert.Equal(0, (await peer.TheirsAsync("create -q -f qcow2 -o extended_l2=on @i 2M")).Code);
        for (int c = 18; c < 29; c++)
        {
            await peer.IoAsync("i", $"write -c -P {c} {64 * c}k 64k");
        }

        await AssertSameAsync(peer, writes);
    }

    private static async Task AssertSameAsync(ImgPeer peer, string[] writes)
    {
        File.Copy(peer.Path("i"), peer.Path("ours"));
        foreach (string write in writes)
        {
            await peer.TheirsIoAsync("-c", write, "@i");
            await peer.OursIoAsync("-c", write, "@ours");
            Assert.Equal(Entries(peer.Path("i")), Entries(peer.Path("ours")));
        }

        Assert.Equal(0, (await peer.TheirsAsync("check @ours")).Code);
        Assert.Equal(0, (await peer.TheirsAsync("compare @i @ours")).Code);
    }

    // where the directory of bitmaps is, what it names, and where the file ends
    private static (long At, string Entries, int End) Directory(string path)
    {
        const int type = 0x23852875;
        var file = File.ReadAllBytes(path);
        int at = BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(100));
        while (BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at)) != type)
        {
            at += 8 + ((BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at + 4)) + 7) & ~7);
        }

        long size = BinaryPrimitives.ReadInt64BigEndian(file.AsSpan(at + 16));
        long offset = BinaryPrimitives.ReadInt64BigEndian(file.AsSpan(at + 24));
        return (offset, Convert.ToHexString(file, (int)offset, (int)size), file.Length);
    }

    // of the first L2 table, for people to read when they differ
    private static string[] Entries(string path)
    {
        var file = File.ReadAllBytes(path);
        long l1 = BinaryPrimitives.ReadInt64BigEndian(file.AsSpan(40));
        long l2 = (long)(BinaryPrimitives.ReadUInt64BigEndian(file.AsSpan((int)l1)) & OffsetMask);
        return [.. Enumerable.Range(0, 32).Select(i => $"{i}: {Convert.ToHexString(file, (int)l2 + (i * 16), 16)}")];
    }
}
