using System.Buffers.Binary;

namespace Paddock.Compat.Tests;

/// <summary>Snapshots of images with invalid tables, and deletions that fail, beside the system's qemu-img.</summary>
public class SnapshotFaultTests
{
    private const int SnapshotTable = 0x70000, L2Table = 0x40000;

    [Theory]
    [InlineData(L2Table, 0xbfff_ffff_ffff_0000)]
    [InlineData(L2Table, 0x8000_00ff_ffff_0000)]
    public async Task Snapshot_of_an_image_with_an_invalid_entry_fails_as_with_the_peer(int at, ulong value)
    {
        using var peer = new ImgPeer();
        await MakeAsync(peer);
        Poke(peer.Path("i"), at, value);
        var (theirs, ours) = await BothAsync(peer, "snapshot -c second @i");
        Assert.Equal(theirs, ours);

        // nothing is left to be repaired by the next opening
        Assert.Equal("", (await peer.OursAsync("snapshot -c second @i")).Out);
    }

    [Theory]
    [InlineData(SnapshotTable, 0x0000_0000_0040_0200)]
    [InlineData(SnapshotTable + 8, 0x1000_0000_0003_0000)]
    public async Task Snapshot_with_an_invalid_table_is_rejected_as_by_the_peer(int at, ulong value)
    {
        foreach (string line in new[]
        {
            "convert -l first @i @out", "amend -o compat=0.10 @i", "snapshot -a first @i", "snapshot -d first @i", "snapshot -l @i",
        })
        {
            using var peer = new ImgPeer();
            await MakeAsync(peer);
            Poke(peer.Path("i"), at, value);
            var (theirs, ours) = await BothAsync(peer, line);
            Assert.Equal(theirs, ours);
        }
    }

    [Theory]
    [InlineData(SnapshotTable, 0x0000_0000_0040_0200)]
    [InlineData(SnapshotTable + 8, 0x1000_0000_0003_0000)]
    public async Task Nothing_is_written_where_the_tables_of_snapshots_are_unknown(int at, ulong value)
    {
        using var peer = new ImgPeer();
        await MakeAsync(peer);
        Poke(peer.Path("i"), at, value);
        var before = await File.ReadAllBytesAsync(peer.Path("i"));
        string[] words = ["-c", "open -o overlap-check.inactive-l2=on @i", "-c", "write 0 4k"];
        var ours = await peer.OursIoAsync(words);
        Assert.Equal(before, await File.ReadAllBytesAsync(peer.Path("i")));
        Assert.Equal(await peer.TheirsIoAsync(words), ours);
    }

    [Fact]
    public async Task Snapshots_past_the_end_of_the_file_count()
    {
        using var peer = new ImgPeer();
        await PeerDoesAsync(peer, "create -q -f qcow2 @i 64M");
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, 65536);
        using (var file = File.OpenHandle(peer.Path("i"), access: FileAccess.ReadWrite))
        {
            RandomAccess.Write(file, bytes, 60);
        }

        Poke(peer.Path("i"), 64, 16 << 20);
        var (theirs, ours) = await BothAsync(peer, "snapshot -c one @i");
        Assert.Equal(theirs, ours);
        Assert.Contains("File too large", ours.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Deletion_that_cannot_free_clusters_is_reported_as_by_the_peer()
    {
        using var peer = new ImgPeer();
        await MakeAsync(peer);
        await File.WriteAllTextAsync(peer.Path("rules"), "[inject-error]\nevent = \"cluster_free\"\nerrno = \"5\"\n");
        string line = $"snapshot -d first blkdebug:{peer.Path("rules")}:{peer.Path("i")}";
        var (theirs, ours) = await BothAsync(peer, line);
        Assert.Equal(theirs, ours);
        Assert.Equal("", (await peer.TheirsAsync("snapshot -l @i")).Out);
        Assert.Contains("4 leaked clusters were found on the image.", (await peer.TheirsAsync("check @i")).Out, StringComparison.Ordinal);
    }

    private static async Task MakeAsync(ImgPeer peer)
    {
        await PeerDoesAsync(peer, "create -q -f qcow2 @i 64M");
        Assert.Equal(0, (await peer.IoAsync("i", "write 0 64k")).Code);
        await PeerDoesAsync(peer, "snapshot -c first @i");
    }

    private static async Task PeerDoesAsync(ImgPeer peer, string line) => Assert.Equal(0, (await peer.TheirsAsync(line)).Code);

    /// <summary>The same on two copies of the image; ours is the one that stays.</summary>
    private static async Task<(ToolRun Theirs, ToolRun Ours)> BothAsync(ImgPeer peer, string line)
    {
        File.Copy(peer.Path("i"), peer.Path("kept"));
        var theirs = await peer.TheirsAsync(line);
        File.Copy(peer.Path("kept"), peer.Path("i"), overwrite: true);
        return (theirs, await peer.OursAsync(line));
    }

    private static void Poke(string path, long at, ulong value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        using var file = File.OpenHandle(path, access: FileAccess.ReadWrite);
        RandomAccess.Write(file, bytes, at);
    }
}
