using Paddock.Nbd;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Compat.Tests;

/// <summary>qemu-img and qemu-nbd over TLS.</summary>
public sealed class NbdTlsTests(TlsCertificates made) : IClassFixture<TlsCertificates>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Qemu_img_reads_an_export_by_its_certificates()
    {
        var options = new NbdServerOptions { Tls = TlsMode.Required, Credentials = made.Server };
        await using var server = new NbdServer(options, new NbdExport { Name = "", Device = Bench.Disk(4 << 20).Device });
        var (listener, port) = Peer.Loopback();
        server.Listen(listener);
        string[] node = ["--object", $"tls-creds-x509,id=t,dir={made.Folder("client")},endpoint=client", "--image-opts"];
        string image = $"driver=nbd,host=localhost,port={port},tls-creds=t";
        Assert.Equal(await Peer.MustAsync("qemu-img", ["map", "--output=json", .. node, image]),
            await Ours.ImgAsync(["map", "--output=json", .. node, image]));
        string name = $"nbds://localhost:{port}/?tls-certificates={Uri.EscapeDataString(made.Folder("client"))}";
        Assert.Contains("virtual size: 4 MiB", await Ours.ImgAsync(["info", name]), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Qemu_nbd_lists_the_exports_of_QEMUs_server()
    {
        string image = Path.Combine(made.Root, "listed.raw");
        await File.WriteAllBytesAsync(image, new byte[1 << 20], Token);
        var (listener, port) = Peer.Loopback();
        listener.Dispose();
        await using var server = await NbdProcess.StartAsync(
            "-t", "-b", "127.0.0.1", "-p", $"{port}", "-f", "raw",
            "--object", $"tls-creds-x509,id=t,dir={made.Folder("server")},endpoint=server,verify-peer=yes", "--tls-creds", "t", image);
        var list = await Ours.NbdAsync(
            Token, "-L", "-b", "127.0.0.1", "-p", $"{port}", "--object", $"tls-creds-x509,id=t,dir={made.Folder("client")},endpoint=client",
            "--tls-creds", "t", "--tls-hostname", "localhost");
        Assert.Contains("exports available: 1", list.Out, StringComparison.Ordinal);
    }
}
