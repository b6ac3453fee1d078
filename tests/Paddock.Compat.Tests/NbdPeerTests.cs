using Paddock.Block;
using Paddock.Posix;
using Paddock.Qcow2;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Compat.Tests;

/// <summary>Third-party clients with our server, and our client with third-party servers.</summary>
public sealed class NbdPeerTests : IDisposable
{
    private const int Size = 8 << 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("nbdpeer-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Libnbd_sees_what_the_export_is()
    {
        await using var bench = await ServeAsync();
        string info = await Peer.MustAsync("nbdinfo", bench.Uri);
        foreach (string fact in new[]
        {
            "export-size: 8388608", "base:allocation", "can_cache: true", "can_df: true", "can_fast_zero: true", "can_flush: true",
                "can_fua: true",
            "can_multi_conn: true", "can_trim: true", "can_zero: true", "is_read_only: false", "block_size_maximum: 33554432",
        })
        {
            Assert.Contains(fact, info, StringComparison.Ordinal);
        }

        Assert.Contains("8388608", await Peer.MustAsync("nbdinfo", "--size", bench.Uri), StringComparison.Ordinal);
        string map = await Peer.MustAsync("nbdinfo", "--map", bench.Uri);
        Assert.Contains("hole,zero", map, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--connections=4")]
    [InlineData("--synchronous")]
    public async Task Nbdcopy_copies_both_ways(string how)
    {
        await using var bench = await ServeAsync();
        string copy = At("copy.raw"), source = At("source.raw");
        await Peer.MustAsync("nbdcopy", how, bench.Uri, copy);
        Assert.True((await File.ReadAllBytesAsync(copy, Token)).AsSpan().SequenceEqual(Content()));
        byte[] other = new byte[Size];
        new Random(8).NextBytes(other.AsSpan(0, Size / 2));
        await File.WriteAllBytesAsync(source, other, Token);
        await Peer.MustAsync("nbdcopy", how, source, bench.Uri);
        await Peer.MustAsync("nbdcopy", bench.Uri, copy);
        Assert.True((await File.ReadAllBytesAsync(copy, Token)).AsSpan().SequenceEqual(other));
    }

    [Fact]
    public async Task Qemu_img_converts_maps_compares_and_measures_speed()
    {
        await using var bench = await ServeAsync();
        string local = At("local.qcow2");
        await Peer.MustAsync("qemu-img", "convert", "-f", "raw", "-O", "qcow2", bench.Uri, local);
        await Peer.MustAsync("qemu-img", "compare", "-f", "raw", "-F", "qcow2", bench.Uri, local);
        await Peer.MustAsync("qemu-img", "bench", "-f", "raw", "-c", "2000", "-d", "32", bench.Uri);
        await Peer.MustAsync("qemu-img", "bench", "-w", "-f", "raw", "-c", "500", "-d", "8", "--flush-interval=50", bench.Uri);
        await Peer.MustAsync("qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", local, bench.Uri);
        await Peer.MustAsync("qemu-img", "compare", "-f", "raw", "-F", "qcow2", bench.Uri, local);
        Assert.Contains(
            "\"zero\": true", await Peer.MustAsync("qemu-img", "map", "--output=json", "-f", "raw", bench.Uri), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Qemu_io_reads_back_what_it_writes_zeroes_and_discards()
    {
        await using var bench = await ServeAsync();
        string said = await Peer.MustAsync(
            "qemu-io", "-f", "raw", "-c", "write -P 3 0 3M", "-c", "write -f -P 4 1M 64k", "-c", "write -z -u 2M 64k", "-c",
            "discard 4M 1M", "-c", "flush",
            "-c", "read -P 3 0 1M", "-c", "read -P 4 1M 64k", "-c", "read -P 0 2M 64k", "-c", "aio_write -P 9 5M 1M", "-c", "aio_flush",
            "-c", "read -P 9 5M 1M",
            bench.Uri);
        Assert.DoesNotContain("Pattern verification failed", said, StringComparison.Ordinal);
        var refused = await Peer.RunAsync("qemu-io", "-f", "raw", "-c", "write 8M 512", bench.Uri);
        Assert.NotEqual(0, refused.Code);
    }

    [Theory]
    [InlineData("raw", false)]
    [InlineData("raw", true)]
    [InlineData("qcow2", false)]
    public async Task Old_bytes_of_an_export_do_not_come_through_a_copy(string format, bool noCreate)
    {
        await using var at = await StartAsync(theirs: false);
        await Peer.MustAsync("qemu-io", "-f", "raw", "-c", "write -q -P 0xee 0 1M", at.Uri);
        string sparse = At("sparse");
        await Ours.ImgAsync("create", "-q", "-f", "qcow2", sparse, "256k");
        await Peer.MustAsync("qemu-io", "-c", "write -q -P 1 64k 64k", sparse);
        string[] n = noCreate ? ["-n"] : [];
        await Ours.ImgAsync(["convert", .. n, "-f", "qcow2", "-O", format, sparse, at.Uri]);
        await Peer.MustAsync(
            "qemu-io", "-r", "-f", format, "-c", "read -P 0 0 64k", "-c", "read -P 1 64k 64k", "-c", "read -P 0 128k 128k", at.Uri);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Our_tools_are_clients_of_both_servers(bool theirs)
    {
        await using var at = await StartAsync(theirs);
        string copy = At("copy.qcow2");
        Assert.Contains($"image: nbd+unix://?socket={at.Socket}", await Ours.ImgAsync("info", at.Uri), StringComparison.Ordinal);
        Assert.Equal(await Peer.MustAsync("qemu-img", "info", at.Uri), await Ours.ImgAsync("info", at.Uri));
        Assert.Equal(
            await Peer.MustAsync("qemu-img", "map", "--output=json", "-f", "raw", at.Uri),
            await Ours.ImgAsync("map", "--output=json", "-f", "raw", at.Uri));
        await Ours.ImgAsync("convert", "-f", "raw", "-O", "qcow2", at.Uri, copy);
        await Ours.ImgAsync("compare", "-f", "raw", "-F", "qcow2", at.Uri, copy);
        await Ours.ImgAsync("bench", "-f", "raw", "-c", "2000", "-d", "32", at.Uri);
        await Ours.ImgAsync("bench", "-w", "-f", "raw", "-c", "500", "-d", "8", at.Uri);
        await Ours.ImgAsync("convert", "-n", "-f", "qcow2", "-O", "raw", copy, at.Uri);
        await Ours.ImgAsync(
            "compare", "--image-opts", $"driver=raw,file.driver=nbd,file.server.type=unix,file.server.path={at.Socket}",
            $"driver=qcow2,file.filename={copy}");
        Assert.Contains(
            "identical", await Peer.MustAsync("qemu-img", "compare", "-f", "raw", "-F", "qcow2", at.Uri, copy), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Both_tools_list_the_same_of_both_servers()
    {
        foreach (bool theirs in new[] { false, true })
        {
            await using var at = await StartAsync(theirs);
            var ours = await Ours.NbdAsync(Token, "-L", "-k", at.Socket);
            Assert.Equal((0, await Peer.MustAsync("qemu-nbd", "-L", "-k", at.Socket), ""), (ours.Code, ours.Out, ours.Error));
        }
    }

    [Fact]
    public async Task Our_qemu_nbd_ends_when_its_client_has_left()
    {
        string image = await ImageAsync(), socket = At("n.sock");
        var served = Ours.NbdAsync(Token, "-k", socket, "-f", "qcow2", "-x", "disk", "-D", "a disk", "--pid-file", At("pid"), image);
        await Peer.ThereAsync(At("pid"), served);
        Assert.Contains(
            "description: a disk", await Peer.MustAsync("nbdinfo", $"nbd+unix:///disk?socket={socket}"), StringComparison.Ordinal);
        var run = await served;
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.False(File.Exists(socket) || File.Exists(At("pid")));
    }

    [Theory]
    [InlineData("-k relative disk", "socket path must be absolute")]
    [InlineData("-p nine -f raw @disk", "address resolution failed for 0.0.0.0:nine: Servname not supported for ai_socktype")]
    [InlineData("-d @nothing", "Cannot open @nothing: No such file or directory")]
    [InlineData("-c @nothing --tls-creds t @disk", "TLS is not supported with a host device")]
    [InlineData("-L @disk", "List mode is incompatible with a file name")]
    [InlineData("-L -A", "List mode is incompatible with per-device settings")]
    [InlineData("-L --fork", "List mode is incompatible with forking")]
    [InlineData("--discard=x @disk", "Invalid discard mode `x'")]
    [InlineData("--discard=on --discard=off @disk", "--discard can only be specified once")]
    [InlineData("-n --cache=none @disk", "-n and --cache can only be specified once")]
    [InlineData("--aio=x @disk", "Invalid aio mode 'x'")]
    [InlineData("--detect-zeroes=unmap @disk", "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap")]
    [InlineData("-k @s --tls-creds t @disk", "Failed to get TLS creds: No TLS credentials with id 't'")]
    [InlineData("-k @s --tls-authz t @disk", "--tls-authz is not permitted without --tls-creds")]
    [InlineData("-k @s --tls-hostname t @disk", "--tls-hostname is not permitted without --tls-creds")]
    [InlineData("-k @s --object tls-creds-psk,id=t --tls-creds t @disk", "Missing 'dir' property value")]
    [InlineData("-k @s --object tls-creds-psk,id=t,x=y @disk", "Parameter 'x' is unexpected")]
    [InlineData("-k @s --object nothing,id=t @disk", "Parameter 'qom-type' does not accept value 'nothing'")]
    [InlineData("-k @s -T on,x=y @disk", "Invalid parameter 'x'")]
    public async Task Invalid_option_is_rejected_in_the_words_of_the_peer(string line, string message)
    {
        var run = await Ours.NbdAsync(Token, [.. line.Split(' ').Select(w => w.Replace("@", _folder + "/", StringComparison.Ordinal))]);
        Assert.Equal((1, $"qemu-nbd: {message.Replace("@", _folder + "/", StringComparison.Ordinal)}\n"), (run.Code, run.Error));
    }

    [Fact]
    public async Task Options_of_the_export_do_what_they_say()
    {
        string image = await ImageAsync(), socket = At("n.sock");
        await using var served = await Ours.ServeAsync(
            "-t", "-k", socket, "-f", "qcow2", "-o", "1M", "--discard=unmap", "--detect-zeroes=unmap", "-A", image);
        string uri = $"nbd+unix:///?socket={socket}";
        Assert.Equal($"{Size - (1 << 20)}\n", await Peer.MustAsync("nbdinfo", "--size", uri));
        Assert.Contains("qemu:allocation-depth", await Peer.MustAsync("nbdinfo", uri), StringComparison.Ordinal);
        await Peer.MustAsync("qemu-io", "-f", "raw", "-c", "write -P 0 0 64k", "-c", "read -P 0 0 64k", uri);
        Assert.Contains("hole,zero", await Peer.MustAsync("nbdinfo", "--map", uri), StringComparison.Ordinal);
        Assert.Equal(0, (await served.StopAsync()).Code);
        await Peer.MustAsync("qemu-img", "check", image);
    }

    [Theory]
    [InlineData("-f raw", "[1000, 0][24, 3]", 1)]
    [InlineData("", "[1024, 0]", 512)]
    public async Task The_end_of_a_raw_image_inside_a_sector_is_told_as_the_peer_tells_it(string options, string status, int block)
    {
        string image = At("odd.raw"), socket = At("n.sock");
        await File.WriteAllBytesAsync(image, [.. Enumerable.Repeat((byte)1, 1000)], Token);
        await using var served = await Ours.ServeAsync(
            ["-t", "-k", socket, .. options.Split(' ', StringSplitOptions.RemoveEmptyEntries), image]);
        string map = await Peer.MustAsync("nbdinfo", "--json", "--map", $"nbd+unix:///?socket={socket}");
        using var parsed = System.Text.Json.JsonDocument.Parse(map);
        Assert.Equal(status,
            string.Concat(parsed.RootElement.EnumerateArray().Select(e => $"[{e.GetProperty("length")}, {e.GetProperty("type")}]")));
        Assert.Contains(
            $"block_size_minimum: {block}\n", await Peer.MustAsync("nbdinfo", $"nbd+unix:///?socket={socket}"), StringComparison.Ordinal);
        Assert.Equal(0, (await served.StopAsync()).Code);
    }

    [Fact]
    public async Task A_snapshot_takes_changes_and_drops_them_at_the_end()
    {
        string image = await ImageAsync(), socket = At("n.sock");
        byte[] before = await File.ReadAllBytesAsync(image, Token);
        await using var served = await Ours.ServeAsync("-t", "-s", "-k", socket, "-f", "qcow2", image);
        string said = await Peer.MustAsync(
            "qemu-io", "-f", "raw", "-c", "write -P 7 0 64k", "-c", "read -P 7 0 64k", $"nbd+unix:///?socket={socket}");
        Assert.DoesNotContain("failed", said, StringComparison.Ordinal);
        Assert.Equal(0, (await served.StopAsync()).Code);
        Assert.Equal(before, await File.ReadAllBytesAsync(image, Token));
    }

    [Fact]
    public async Task A_qcow2_image_behind_a_server_is_an_image_and_a_backing_image()
    {
        string image = await ImageAsync(), socket = At("n.sock"), overlay = At("overlay.qcow2");
        await using var served = await Ours.ServeAsync("-t", "-e", "4", "-k", socket, "-f", "raw", image);
        string uri = $"nbd+unix:///?socket={socket}";
        Assert.Contains("file format: qcow2", await Ours.ImgAsync("info", uri), StringComparison.Ordinal);
        await Ours.ImgAsync("check", uri);
        await Ours.ImgAsync("create", "-q", "-f", "qcow2", "-b", uri, "-F", "qcow2", overlay);
        Assert.Equal(
            await Peer.MustAsync("qemu-img", "map", "--output=json", overlay), await Ours.ImgAsync("map", "--output=json", overlay));
        await Ours.ImgAsync("convert", "-O", "raw", overlay, At("flat.raw"));
        Assert.Equal(Content(), await File.ReadAllBytesAsync(At("flat.raw"), Token));
        Assert.Equal(0, (await served.StopAsync()).Code);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    // a quarter of data, a quarter of never written zeroes, and so on
    private static byte[] Content()
    {
        byte[] content = new byte[Size];
        new Random(4).NextBytes(content.AsSpan(0, Size / 4));
        new Random(5).NextBytes(content.AsSpan(Size / 2, Size / 4));
        return content;
    }

    private string At(string name) => Path.Combine(_folder, name);

    private async Task<string> ImageAsync()
    {
        string image = At("image.qcow2");
        await Ours.ImgAsync("create", "-q", "-f", "qcow2", image, $"{Size}");
        await using var device = CheckedDevice.Wrap(await Qcow2Image.OpenAsync(
            FileStorage.Open(new FileOpenOptions { Path = image }), new Qcow2OpenOptions()));
        byte[] content = Content();
        await device.WriteAsync(0, content.AsMemory(0, Size / 4));
        await device.WriteAsync(Size / 2, content.AsMemory(Size / 2, Size / 4));
        return image;
    }

    private async Task<Bench> ServeAsync()
    {
        var device = CheckedDevice.Wrap(await Qcow2Image.OpenAsync(
            FileStorage.Open(new FileOpenOptions { Path = await ImageAsync() }), new Qcow2OpenOptions()));
        return Bench.Of(device);
    }

    private async Task<Running> StartAsync(bool theirs)
    {
        string image = await ImageAsync(), socket = At("run.sock");
        string[] words = ["-t", "-e", "4", "-k", socket, "-f", "qcow2", image];
        return new Running(socket, theirs ? await NbdProcess.StartAsync(words) : await Ours.ServeAsync(words));
    }

    /// <summary>Server that stops at the end of the test.</summary>
    private sealed class Running(string socket, IAsyncDisposable server) : IAsyncDisposable
    {
        public string Socket => socket;

        public string Uri => $"nbd+unix:///?socket={socket}";

        public async ValueTask DisposeAsync()
        {
            await server.DisposeAsync();
            File.Delete(socket);
        }
    }
}
