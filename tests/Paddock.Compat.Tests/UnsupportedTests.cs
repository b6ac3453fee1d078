namespace Paddock.Compat.Tests;

/// <summary>Images with unsupported features: reported by info, rejected elsewhere, and never lost silently.</summary>
public class UnsupportedTests
{
    private static readonly string[] Readers =
        ["map @i", "convert -O raw @i @out", "compare @i @i", "measure -O qcow2 @i", "resize @i 2M", "bench -c 1 @i"];

    [Theory]
    [InlineData("info @i")]
    [InlineData("info --output=json @i")]
    [InlineData("measure -O qcow2 @i")]
    [InlineData("measure -O qcow2 --output=json @i")]
    [InlineData("measure -O qcow2 -o cluster_size=512 @i")]
    [InlineData("measure -O qcow2 -o cluster_size=2M @i")]
    public async Task Snapshots_and_bitmaps_are_listed_as_by_the_peer(string line)
    {
        using var peer = new ImgPeer();
        foreach (string step in new[]
        {
            "create -q -f qcow2 @i 5M", "snapshot -c before @i", "snapshot -c a-name-that-is-longer-than-its-column @i",
            "bitmap --add @i backup1", "bitmap --add --disable -g 4096 @i b2",
        })
        {
            Assert.Equal(0, (await peer.TheirsAsync(step)).Code);
        }

        await peer.SameAsync(line);
    }

    [Fact]
    public async Task Names_of_snapshots_and_bitmaps_are_escaped_for_people()
    {
        using var peer = new ImgPeer();
        await peer.TheirsAsync("create -q -f qcow2 @i 1M");
        await peer.TheirsAsync("snapshot -c \u001b[31mred @i");
        await peer.TheirsAsync("bitmap --add @i \u001b[31mred");
        var run = await peer.OursAsync("info @i");
        Assert.DoesNotContain('\u001b', run.Out);
        Assert.Equal(2, run.Out.Split("\\x1b[31mred").Length - 1);
    }

    [Fact]
    public async Task Encrypted_image_is_described_without_its_key_and_opened_by_nothing_else()
    {
        using var peer = new ImgPeer();
        var made = await peer.TheirsAsync(
            "create -q -f qcow2 --object secret,id=s,data=abc -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 @i 1M");
        Assert.Equal("", made.Error);
        var run = await peer.OursAsync("info @i");
        Assert.Equal(0, run.Code);
        Assert.Contains("virtual size: 1 MiB (1048576 bytes)", run.Out, StringComparison.Ordinal);
        Assert.Contains("encrypted: yes", run.Out, StringComparison.Ordinal);
        Assert.Equal("", run.Error);
        Assert.Contains("\"encrypted\": true", (await peer.OursAsync("info --output=json @i")).Out, StringComparison.Ordinal);
        await AllRefuseAsync(peer, "Parameter 'encrypt.key-secret' is required for cipher");
    }

    [Theory]
    [InlineData("convert -l before -O raw @i @out")]
    public async Task Unsupported_feature_is_reported_with_exit_code_1(string line)
    {
        using var peer = new ImgPeer();
        await peer.OursAsync("create -q -f qcow2 @i 1M");
        var run = await peer.OursAsync(line);
        Assert.NotEqual(0, run.Code);
        Assert.NotEqual("", run.Error);
        Assert.False(File.Exists(peer.Path("out")));
    }

    private static async Task AllRefuseAsync(ImgPeer peer, string says)
    {
        foreach (string line in Readers)
        {
            var run = await peer.OursAsync(line);
            Assert.True(run.Code != 0 && run.Error.Contains(says, StringComparison.Ordinal), $"{line}: {run.Code} {run.Error}");
            Assert.False(File.Exists(peer.Path("out")), line);
        }
    }
}
