using Paddock.Compat.Img;
using Paddock.Testing.Protocols;

namespace Paddock.Compat.Tests;

/// <summary>qemu-img and qemu-nbd with exports whose size changes.</summary>
public sealed class NbdResizeTests : IDisposable
{
    private const int Size = 1 << 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("nbdresize-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Paddock_nbd_offers_it_when_told_and_our_qemu_img_resizes_what_is_behind_it()
    {
        string image = At("a.qcow2"), socket = At("s"), uri = $"nbd+unix:///?socket={socket}";
        await Ours.ImgAsync("create", "-q", "-f", "qcow2", image, "8M");
        await using var served = await Ours.ServeAsync("-t", "-e", "4", "--resize", "-o", "1M", "-k", socket, "-f", "qcow2", image);
        Assert.Equal("Image resized.\n", await Ours.ImgAsync("resize", "-f", "raw", uri, "+8M"));
        Assert.Equal($"{15 << 20}\n", await Peer.MustAsync("nbdinfo", "--size", uri));
        await Ours.ImgAsync("resize", "-f", "raw", "--shrink", uri, "2M");
        Assert.Contains("resize", await Peer.MustAsync("qemu-nbd", "-L", "-k", socket), StringComparison.Ordinal);
        await Peer.MustAsync("qemu-io", "-f", "raw", "-c", "write -P 3 0 2M", uri);
        Assert.Equal(0, (await Peer.RunAsync("qemu-img", "compare", "-f", "raw", "-F", "raw", uri, uri)).Code);
        Assert.Equal(0, (await served.StopAsync()).Code);
        Assert.Contains(
            "\"virtual-size\": 3145728", await Peer.MustAsync("qemu-img", "info", "--output=json", image), StringComparison.Ordinal);
        await Peer.MustAsync("qemu-img", "check", image);
    }

    [Fact]
    public async Task An_image_that_is_made_on_a_server_that_resizes_never_cuts_what_is_there()
    {
        string image = At("a.raw"), socket = At("s"), uri = $"nbd+unix:///?socket={socket}";
        await File.WriteAllBytesAsync(image, new byte[8 << 20], Token);
        await using var served = await Ours.ServeAsync("-t", "-e", "4", "--resize", "-k", socket, "-f", "raw", image);
        await Ours.ImgAsync("create", "-q", "-f", "qcow2", uri, "64M");
        Assert.Equal(8 << 20, new FileInfo(image).Length);
        await Ours.ImgAsync("create", "-q", "-f", "raw", uri, "4M");
        Assert.Equal(8 << 20, new FileInfo(image).Length);
        Assert.Equal(0, (await served.StopAsync()).Code);
    }

    [Fact]
    public async Task Resize_of_another_server_is_rejected_by_our_qemu_img()
    {
        string image = At("a.raw"), socket = At("s"), uri = $"nbd+unix:///?socket={socket}";
        await File.WriteAllBytesAsync(image, new byte[Size], Token);
        await using var server = await NbdProcess.StartAsync("-t", "-k", socket, "-f", "raw", image);
        foreach (string size in new[] { "+1M", "512k" })
        {
            var (output, error) = (new StringWriter(), new StringWriter());
            int code = await ImgTool.RunAsync(
                ["resize", "-f", "raw", "--shrink", uri, size], new ToolContext { Program = "qemu-img", Out = output, Error = error });
            Assert.Equal((1, ""), (code, output.ToString()));
            Assert.Contains("Cannot resize NBD nodes: the server does not offer it", error.ToString(), StringComparison.Ordinal);
        }

        Assert.Equal(Size, new FileInfo(image).Length);
    }

    private string At(string name) => Path.Combine(_folder, name);
}
