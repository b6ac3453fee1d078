using Paddock.Block;
using Paddock.Images;
using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Cli.Tests;

/// <summary>What an image may name when a native verb opens it.</summary>
public class StoredNameTests
{
    [Theory]
    [InlineData("http://127.0.0.1:1/base", "must not name an address in the network")]
    [InlineData("json:{\"driver\":\"raw\",\"file\":{\"driver\":\"http\",\"url\":\"http://127.0.0.1:1/base\"}}", "must not name an address")]
    [InlineData("/dev/zero", "regular file")]
    [InlineData("disk.qcow2", "infinite loop")]
    public async Task Stored_backing_name_has_no_more_rights_than_in_img(string backing, string message)
    {
        using var bench = new Workbench();
        string format = backing == "disk.qcow2" ? "qcow2" : "raw";
        await using (var file = FileStorage.Open(new FileOpenOptions { Path = bench["disk.qcow2"], Create = true, Lock = ImageLock.Write }))
        {
            var options = new Qcow2CreateOptions { Size = 1 << 20, BackingFile = backing, BackingFormat = format };
            await Qcow2Image.CreateAsync(file, options, TestContext.Current.CancellationToken);
        }

        Assert.Contains(message, await bench.RefusedAsync("snapshot create disk.qcow2 one"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Zone_verbs_use_the_data_file_of_an_image()
    {
        using var bench = new Workbench();
        var options = new Qcow2CreateOptions { DataFile = bench["data"], Zoned = new ZonedCreateOptions { ZoneSize = 8 << 20 } };
        await using (await Qcow2Disk.CreateAsync(
            bench["disk.qcow2"], 64 << 20, options, cancellationToken: TestContext.Current.CancellationToken))
        {
        }

        await bench.MustAsync("append disk.qcow2 1", Workbench.Bytes(4096, 5));
        Assert.Contains("8392704", (await bench.MustAsync("zones disk.qcow2 --json")).Out, StringComparison.Ordinal);
        Assert.Contains((byte)5, await File.ReadAllBytesAsync(bench["data"], TestContext.Current.CancellationToken));
        await bench.MustAsync("zone reset disk.qcow2 1");
        await bench.MustAsync("check disk.qcow2");
    }
}
