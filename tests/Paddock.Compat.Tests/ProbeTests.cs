using System.Text;
using Paddock.Block;
using Paddock.Images;
using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Compat.Tests;

/// <summary>Format probing of images opened without a stated format.</summary>
public class ProbeTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, string> Magics => new()
    {
        { "vmdk", "KDMV" }, { "vmdk", "COWD" }, { "vmdk", "# Disk DescriptorFile\n\n# more\r\nversion=1\nCID=1\n" }, { "vhdx", "vhdxfile" },
        { "vpc", "conectix" }, { "qed", "QED\0" }, { "parallels", "WithoutFreeSpace" }, { "parallels", "WithouFreSpacExt" },
        { "bochs", "Bochs Virtual HD Image" }, { "cloop", "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0" }, { "luks", "LUKS\xba\xbe" },
        { "qcow", "QFI\xfb\0\0\0\u0001" }, { "qcow2", "QFI\xfb\0\0\0\u0003" }, { "vdi", new string('\0', 64) + "\x7f\x10\xda\xbe" },
    };

    [Theory]
    [MemberData(nameof(Magics))]
    public async Task A_probed_raw_disk_refuses_every_magic_in_block_0(string format, string magic)
    {
        using var peer = new ImgPeer();
        byte[] bytes = Encoding.Latin1.GetBytes(magic);
        await using var node = await RawAsync(peer);

        // in one write, with trailing data, and byte by byte: the resulting block decides
        var failure = await Assert.ThrowsAsync<BlockException>(() => node.Device.WriteAsync(0, bytes, WriteFlags.None, Token).AsTask());
        Assert.Equal((BlockError.NotPermitted, 1), (failure.Error, failure.Errno));
        Assert.Contains($"a {format} image", failure.Message, StringComparison.Ordinal);
        byte[] large = new byte[1 << 20];
        bytes.CopyTo(large, 0);
        await Assert.ThrowsAsync<BlockException>(() => node.Device.WriteAsync(0, large, WriteFlags.Fua, Token).AsTask());
        bool refused = false;
        for (int i = bytes.Length - 1; i >= 0; i--)
        {
            try
            {
                await node.Device.WriteAsync(i, bytes.AsMemory(i, 1), WriteFlags.None, Token);
            }
            catch (BlockException e) when (e.Error == BlockError.NotPermitted)
            {
                refused = true;
            }
        }

        Assert.True(refused);
        await node.DisposeAsync();
        Assert.Contains("file format: raw", (await peer.OursAsync("info @r")).Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Zeroing_what_hides_a_magic_is_refused(bool discard)
    {
        using var peer = new ImgPeer();
        await using var node = await RawAsync(peer);
        byte[] hidden = Encoding.ASCII.GetBytes("# hidden\nx\nversion=1\n");
        await node.Device.WriteAsync(0, hidden, WriteFlags.None, Token);
        byte[] spaces = Encoding.ASCII.GetBytes("#");
        var failure = await Assert.ThrowsAsync<BlockException>(() => node.Device.WriteAsync(9, spaces, WriteFlags.None, Token).AsTask());
        Assert.Equal(BlockError.NotPermitted, failure.Error);

        // zeroes are not a magic number: the block may be cleared
        await (discard ? node.Device.DiscardAsync(0, 512, Token) : node.Device.WriteZeroesAsync(0, 512, ZeroFlags.None, Token));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    public async Task A_trailer_at_the_end_of_a_probed_raw_disk_is_refused_and_a_resize_to_it_too(int ragged)
    {
        using var peer = new ImgPeer();
        byte[] trailer = new byte[512];
        "koly\0\0\0\u0004\0\0\u0002\0"u8.CopyTo(trailer);
        await using var node = await RawAsync(peer, (1 << 20) - ragged);
        long end = node.Device.Length;
        Assert.Equal(1 << 20, end);
        foreach (long at in new[] { end - 512, end - 512 - ragged })
        {
            var failure = await Assert.ThrowsAsync<BlockException>(
                () => node.Device.WriteAsync(at, trailer, WriteFlags.None, Token).AsTask());
            Assert.Contains("a dmg image", failure.Message, StringComparison.Ordinal);
        }

        await node.Device.WriteAsync(65536, trailer, WriteFlags.None, Token);
        Assert.Equal(
            BlockError.NotPermitted,
            (await Assert.ThrowsAsync<BlockException>(
                () => node.Device.ResizeAsync(65536 + 512, Preallocation.Off, Token).AsTask())).Error);
        await node.Device.ResizeAsync(65536, Preallocation.Off, Token);
        await node.Device.ResizeAsync(2 << 20, Preallocation.Off, Token);
    }

    [Fact]
    public async Task Parallel_writes_cannot_put_a_magic_together()
    {
        using var peer = new ImgPeer();
        byte[] magic = Encoding.Latin1.GetBytes("QFI\xfb\0\0\0\u0003");
        for (int round = 0; round < 50; round++)
        {
            await using var node = await RawAsync(peer);
            var parts = Enumerable.Range(0, magic.Length).Select(i => Task.Run(
                () => node.Device.WriteAsync(i, magic.AsMemory(i, 1), WriteFlags.None, Token).AsTask(), Token));
            await Assert.ThrowsAsync<BlockException>(() => Task.WhenAll(parts));
        }
    }

    [Fact]
    public async Task With_its_format_stated_a_raw_disk_takes_any_bytes()
    {
        using var peer = new ImgPeer();
        await File.WriteAllBytesAsync(peer.Path("r"), new byte[1 << 20], Token);
        await using var node = await Opener().OpenAsync(peer.Path("r"), new OpenSettings { Format = "raw", ReadOnly = false });
        await node.Device.WriteAsync(0, Encoding.ASCII.GetBytes("KDMV"), WriteFlags.None, Token);
    }

    [Theory]
    [InlineData("vmdk")]
    [InlineData("vdi")]
    [InlineData("vhdx")]
    [InlineData("vpc")]
    [InlineData("vpc -o subformat=fixed")]
    [InlineData("qed")]
    [InlineData("parallels")]
    [InlineData("qcow")]
    public async Task A_file_of_another_format_is_refused_by_name_and_raw_when_told_so(string format)
    {
        using var peer = new ImgPeer();
        Assert.Equal(0, (await peer.TheirsAsync($"create -q -f {format} @d 1M")).Code);
        await CreateOverlayAsync(peer.Path("top"), peer.Path("d"));
        string says = $"is a {format.Split(' ')[0]} image; Paddock reads raw, qcow2 and luks";
        foreach (string line in new[]
        {
            "info @d", "map @d", "measure -O qcow2 @d", "convert -O raw @d @out", "compare @d @d", "dd if=@d of=@out", "bench -c 1 @d",
            "resize @d 2M", "convert -O raw @top @out", "create -f qcow2 -b @d @other",
        })
        {
            var run = await peer.OursAsync(line);
            Assert.True(run.Code != 0 && run.Error.Contains(says, StringComparison.Ordinal), $"{line}: {run.Code} {run.Error}");
            Assert.False(File.Exists(peer.Path("out")), line);
        }

        Assert.Contains("file format: raw", (await peer.OursAsync("info -f raw @d")).Out, StringComparison.Ordinal);
        Assert.Equal(0, (await peer.OursAsync("convert -f raw -O raw @d @out")).Code);
    }

    // the tools refuse to create an overlay that does not name its backing file's format; old images have none
    private static async Task CreateOverlayAsync(string path, string backing)
    {
        File.WriteAllBytes(path, []);
        await using var storage = FileStorage.Open(new FileOpenOptions { Path = path });
        await Qcow2Image.CreateAsync(storage, new() { Size = 1 << 20, BackingFile = backing }, Token);
    }

    private static async Task<ImageNode> RawAsync(ImgPeer peer, int size = 1 << 20)
    {
        await File.WriteAllBytesAsync(peer.Path("r"), new byte[size], Token);
        return await Opener().OpenAsync(peer.Path("r"), new OpenSettings { ReadOnly = false });
    }

    private static ImageOpener Opener() => new("t", TextWriter.Null);
}
