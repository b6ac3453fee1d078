using Paddock.Testing.Protocols;

namespace Paddock.Compat.Tests;

/// <summary>Sources of convert: several at once, standard streams, unreadable places, copies by the file system.</summary>
public sealed class ConvertSourceTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("convertsrc-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("raw", "")]
    [InlineData("qcow2", "")]
    [InlineData("qcow2", "-c")]
    public async Task Several_sources_are_copied_one_behind_the_other(string format, string option)
    {
        string a = At("a.raw"), b = At("b.qcow2"), c = At("c.raw"), ours = At("ours"), theirs = At("theirs");
        await File.WriteAllBytesAsync(a, Bytes(1, 100_000), Token);
        await Peer.MustAsync("qemu-img", "create", "-q", "-f", "raw", At("base.raw"), "512k");
        await Peer.MustAsync("qemu-io", "-f", "raw", "-c", "write -P 7 0 200k", At("base.raw"));
        await Peer.MustAsync("qemu-img", "create", "-q", "-f", "qcow2", "-b", At("base.raw"), "-F", "raw", b, "1M");
        await Peer.MustAsync("qemu-io", "-c", "write -P 9 100k 64k", b);
        await File.WriteAllBytesAsync(c, Bytes(2, 65_536), Token);
        string[] words = [.. option.Split(' ', StringSplitOptions.RemoveEmptyEntries), "-O", format, a, b, c];
        await Ours.ImgAsync(["convert", .. words, ours]);
        await Peer.MustAsync("qemu-img", ["convert", .. words, theirs]);
        Assert.Contains("identical", await Peer.MustAsync("qemu-img", "compare", "-f", format, "-F", format, ours, theirs),
            StringComparison.Ordinal);
        if (format == "qcow2")
        {
            await Peer.MustAsync("qemu-img", "check", ours);
            await Ours.ImgAsync("check", ours);
        }
    }

    [Fact]
    public async Task Backing_file_for_several_sources_is_rejected()
    {
        await File.WriteAllBytesAsync(At("a.raw"), new byte[512], Token);
        var run = await Ours.RunImgAsync("convert", "-O", "qcow2", "-B", At("a.raw"), At("a.raw"), At("a.raw"), At("out"));
        Assert.Equal(
            "qemu-img: Having a backing file for the target makes no sense when concatenating multiple input images\n", run.Error);
    }

    [Fact]
    public async Task Salvaged_copy_reports_what_the_peer_reports()
    {
        string image = At("a.raw");
        await File.WriteAllBytesAsync(image, Bytes(3, 1 << 20), Token);
        string broken = "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"blkdebug\",\"image\":{\"driver\":\"file\",\"filename\":\"" + image
            + "\"},\"inject-error\":[{\"event\":\"none\",\"iotype\":\"block-status\",\"errno\":5,\"sector\":100},"
            + "{\"event\":\"none\",\"iotype\":\"read\",\"errno\":5,\"sector\":900}]}}";
        var ours = await Ours.RunImgAsync("convert", "--salvage", "-O", "raw", broken, At("ours"));
        var theirs = await Peer.RunAsync("qemu-img", "convert", "--salvage", "-O", "raw", broken, At("theirs"));
        Assert.Equal((theirs.Code, theirs.Error), (ours.Code, ours.Error));
        Assert.Equal(await File.ReadAllBytesAsync(At("theirs"), Token), await File.ReadAllBytesAsync(At("ours"), Token));
        Assert.Equal(
            (await Peer.RunAsync("qemu-img", "convert", "-O", "raw", broken, At("theirs"))).Error,
            (await Ours.RunImgAsync("convert", "-O", "raw", broken, At("ours"))).Error);
    }

    [Fact]
    public async Task File_systems_copy_between_raw_files_on_request()
    {
        byte[] data = Bytes(4, 3 << 20);
        Array.Clear(data, 1 << 20, 1 << 20);
        await File.WriteAllBytesAsync(At("a.raw"), data, Token);
        await Ours.ImgAsync("convert", "-C", "-f", "raw", "-O", "raw", At("a.raw"), At("b.raw"));
        Assert.Equal(data, await File.ReadAllBytesAsync(At("b.raw"), Token));
        await Ours.ImgAsync("convert", "-C", "-f", "raw", "-O", "qcow2", At("a.raw"), At("b.qcow2"));
        Assert.Contains("identical", await Ours.ImgAsync("compare", At("a.raw"), At("b.qcow2")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Progress_is_reported_as_JSON_on_request()
    {
        await File.WriteAllBytesAsync(At("a.raw"), Bytes(5, 5 << 20), Token);
        var run = await Ours.RunImgAsync("convert", "--progress=json", "-f", "raw", "-O", "qcow2", At("a.raw"), At("b.qcow2"));
        string[] lines = run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("{\"copied\": 0, \"total\": 5242880, \"percent\": 0.00}", lines[0]);
        Assert.Equal("{\"copied\": 5242880, \"total\": 5242880, \"percent\": 100.00}", lines[^1]);
    }

    [Fact]
    public async Task Only_raw_images_are_written_to_standard_output()
    {
        await File.WriteAllBytesAsync(At("a.raw"), new byte[512], Token);
        var run = await Ours.RunImgAsync("convert", "-O", "qcow2", At("a.raw"), "-");
        Assert.Equal("qemu-img: only a raw image can be written to standard output: use -O raw, not 'qcow2'\n", run.Error);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static byte[] Bytes(int seed, int count)
    {
        byte[] bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private string At(string name) => Path.Combine(_folder, name);
}
