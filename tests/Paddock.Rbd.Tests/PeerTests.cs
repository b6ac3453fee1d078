using System.Text;
using Paddock.Cli.Native;
using Paddock.Compat;
using Paddock.Compat.Img;
using Paddock.Compat.Io;
using Paddock.Testing.Protocols;

namespace Paddock.Rbd.Tests;

/// <summary>The same names in QEMU's tools and in ours, and images of each in the other.</summary>
public sealed class PeerTests(CephCluster cluster) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-rbd-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Image_of_qemu_is_read_and_written_here_and_back()
    {
        string name = cluster.NameOf(CephCluster.NewImage());
        await Peer.MustAsync("qemu-img", "create", "-q", "-f", "qcow2", name, "64M");
        await IoAsync(isOurs: false, "-c", "write -P 7 1M 3M", name);
        await IoAsync(isOurs: true, "-c", "read -P 7 1M 3M", "-c", "write -P 9 8M 70k", name);
        await IoAsync(isOurs: false, "-c", "read -P 9 8M 70k", name);
        await SameAsync("check", name);
        await SameAsync("info", name);
        await SameAsync("info", "--output=json", name);
        await SameAsync("map", "--output=json", name);
    }

    [Fact]
    public async Task Image_of_ours_is_read_and_written_by_qemu()
    {
        string name = cluster.NameOf(CephCluster.NewImage());
        await ImgAsync("create", "-q", "-f", "qcow2", "-o", "extended_l2=on,cluster_size=128k", name, "64M");
        await IoAsync(isOurs: true, "-c", "write -P 7 1M 3M", name);
        await IoAsync(isOurs: false, "-c", "read -P 7 1M 3M", "-c", "write -P 9 8M 70k", name);
        await IoAsync(isOurs: true, "-c", "read -P 9 8M 70k", name);
        await SameAsync("info", name);
        await ImgAsync("snapshot", "-c", "before", name);
        await ImgAsync("resize", name, "128M");
        await Peer.MustAsync("qemu-img", "check", name);
    }

    [Fact]
    public async Task Raw_disk_is_described_mapped_resized_and_converted_as_by_qemu()
    {
        string raw = cluster.NameOf(CephCluster.NewImage()), qcow2 = cluster.NameOf(CephCluster.NewImage());
        await ImgAsync("create", "-q", "-f", "raw", "-o", "cluster_size=1M", raw, "32M");
        await IoAsync(isOurs: true, "-f", "raw", "-c", "write -P 3 5M 1M", "-c", "write -P 4 20M 4k", raw);
        await SameAsync("info", raw);
        await SameAsync("info", "--output=json", raw);
        await SameAsync("map", "-f", "raw", "--output=json", raw);
        await ImgAsync("convert", "-f", "raw", "-O", "qcow2", raw, qcow2);
        await Peer.MustAsync("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, qcow2);
        string file = Path.Combine(_folder, "file.raw");
        await ImgAsync("convert", "-O", "raw", qcow2, file);
        await Peer.MustAsync("qemu-img", "compare", "-f", "raw", "-F", "raw", raw, file);
        await ImgAsync("resize", "-f", "raw", raw, "48M");
        await ImgAsync("resize", "-f", "raw", "--shrink", raw, "16M");
        Assert.Contains("16777216 bytes", await Peer.MustAsync("qemu-img", "info", raw), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Snapshot_is_a_source_and_read_only()
    {
        string image = CephCluster.NewImage(), name = cluster.NameOf(image), snapshot = cluster.NameOf(image + "@s");
        await ImgAsync("create", "-q", "-f", "raw", name, "8M");
        await IoAsync(isOurs: true, "-f", "raw", "-c", "write -P 3 0 1M", name);
        await cluster.RbdAsync("snap", "create", "--no-progress", $"rbd/{image}@s");
        await IoAsync(isOurs: true, "-f", "raw", "-c", "write -P 4 0 1M", name);
        await IoAsync(isOurs: true, "-f", "raw", "-r", "-c", "read -P 3 0 1M", snapshot);
        string copy = Path.Combine(_folder, "copy.qcow2");
        await ImgAsync("convert", "-f", "raw", "-O", "qcow2", snapshot, copy);
        await IoAsync(isOurs: false, "-r", "-c", "read -P 3 0 1M", copy);
        var run = await RunIoAsync("-f", "raw", "-c", "write 0 512", snapshot);
        Assert.Contains("rbd snapshots are read-only", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Options_and_json_open_the_same_image_with_a_key_from_a_secret()
    {
        string image = CephCluster.NewImage();
        await ImgAsync("create", "-q", "-f", "raw", cluster.NameOf(image), "8M");
        string key = Path.Combine(_folder, "key"), conf = Path.Combine(_folder, "bare.conf");
        string keyring = await File.ReadAllTextAsync(cluster.Keyring, TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(key, keyring.Split("key = ")[1].Split('\n')[0], TestContext.Current.CancellationToken);
        string options = (await File.ReadAllTextAsync(cluster.Configuration, TestContext.Current.CancellationToken))
            .Replace("keyring = ", "# ", StringComparison.Ordinal);
        await File.WriteAllTextAsync(conf, options, TestContext.Current.CancellationToken);
        string words = $"driver=raw,file.driver=rbd,file.pool=rbd,file.image={image},file.conf={conf},file.user=paddock,"
            + "file.key-secret=k,file.auth-client-required.0=cephx";
        await ImgAsync("info", "--object", $"secret,id=k,file={key}", "--image-opts", words);
        var without = await RunAsync("info", "--image-opts", words.Replace("file.key-secret=k,", "", StringComparison.Ordinal));
        Assert.NotEqual(0, without.Code);
        string file = $$"""{"driver":"rbd","pool":"rbd","image":"{{image}}","user":"paddock"}""";
        await ImgAsync("info", "json:{\"driver\":\"raw\",\"file\":" + file + "}");
        var port = options.Split("mon host = v2:127.0.0.1:")[1].Split('\n')[0];
        string server = $"driver=rbd,pool=rbd,image={image},user=paddock,server.0.host=127.0.0.1,server.0.port={port}";
        await ImgAsync("info", "--image-opts", server);
        var secret = await RunAsync("info", cluster.NameOf(image) + ":key=QVFC");
        Assert.Contains("key-secret", secret.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Zoned_image_is_created_written_checked_and_copied_by_every_verb()
    {
        string name = cluster.NameOf(CephCluster.NewImage());
        await PaddockAsync(null, "create", name, "256M", "--zone-size", "16M", "--conventional", "1");
        await PaddockAsync(new byte[200_000], "append", name, "3", "--pad");
        Assert.Contains("16 zones", await PaddockAsync(null, "zones", name), StringComparison.Ordinal);
        Assert.Contains("zones:", await PaddockAsync(null, "info", name), StringComparison.Ordinal);
        Assert.Contains("no errors", await PaddockAsync(null, "check", name), StringComparison.Ordinal);
        await PaddockAsync(null, "zone", "reset", name, "3");
        await PaddockAsync(null, "bench", name, "--rw", "append", "--bs", "64k", "--size", "4M", "--json");
        string copy = cluster.NameOf(CephCluster.NewImage());
        await ImgAsync("convert", "-O", "qcow2", "-o", "zone_model=host-managed,zone_size=16M,conventional_zones=1", name, copy);
        Assert.Contains("no errors", await PaddockAsync(null, "check", copy), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Existing_image_is_overwritten_only_by_force()
    {
        string name = cluster.NameOf(CephCluster.NewImage());
        await PaddockAsync(null, "create", name, "64M");
        var run = await RunPaddockAsync(null, "create", name, "32M");
        Assert.Contains("overwrite it with --force", run.Error, StringComparison.Ordinal);
        await PaddockAsync(null, "create", name, "32M", "--force");
        Assert.Contains("32 MiB", await PaddockAsync(null, "info", name), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Overlay_names_its_backing_image_but_no_configuration_of_its_own()
    {
        string image = CephCluster.NewImage(), overlay = Path.Combine(_folder, "overlay.qcow2");
        await ImgAsync("create", "-q", "-f", "qcow2", cluster.NameOf(image), "8M");
        await IoAsync(isOurs: true, "-c", "write -P 3 0 1M", cluster.NameOf(image));
        await ImgAsync("create", "-q", "-f", "qcow2", "-b", $"rbd:rbd/{image}:id=paddock", "-F", "qcow2", overlay);
        await IoAsync(isOurs: true, "-c", "read -P 3 0 1M", overlay);
        await IoAsync(isOurs: false, "-c", "read -P 3 0 1M", overlay);

        // the one in CEPH_CONF is the user's
        await ImgAsync("rebase", "-u", "-b", cluster.NameOf(image), "-F", "qcow2", overlay);
        await IoAsync(isOurs: true, "-c", "read -P 3 0 1M", overlay);
        string other = Path.Combine(_folder, "other.conf");
        File.Copy(cluster.Configuration, other);
        await ImgAsync("rebase", "-u", "-b", $"rbd:rbd/{image}:id=paddock:conf={other}", "-F", "qcow2", overlay);
        var run = await RunAsync("compare", overlay, overlay);
        Assert.Contains("that the user has not named", run.Error, StringComparison.Ordinal);
        await ImgAsync("rebase", "-u", "-b", $"rbd:rbd/{image}:log_file=/tmp/x", "-F", "qcow2", overlay);
        Assert.Contains("must not name options of Ceph", (await RunAsync("compare", overlay, overlay)).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Backups_and_overlays_are_made_in_rbd_and_disks_restored_there()
    {
        string name = cluster.NameOf(CephCluster.NewImage()), full = cluster.NameOf(CephCluster.NewImage());
        string increment = cluster.NameOf(CephCluster.NewImage()), restored = cluster.NameOf(CephCluster.NewImage());
        string overlay = cluster.NameOf(CephCluster.NewImage());
        await PaddockAsync(null, "create", name, "64M", "--zone-size", "4M");
        await PaddockAsync(new byte[8192], "append", name, "3");
        await PaddockAsync(null, "backup", name, full, "--full", "--since", "daily");
        await PaddockAsync("changed".PadRight(4096, '.').Select(static c => (byte)c).ToArray(), "append", name, "5");
        await PaddockAsync(null, "backup", name, increment, "--since", "daily");
        await PaddockAsync(null, "backup", "restore", restored, full, increment);
        Assert.Contains("identical", await ImgAsync("compare", name, restored), StringComparison.Ordinal);
        Assert.Equal(
            (await PaddockAsync(null, "zones", name, "--json")).Length, (await PaddockAsync(null, "zones", restored, "--json")).Length);
        var taken = await RunPaddockAsync(null, "backup", name, full);
        Assert.Contains("exists", taken.Error, StringComparison.Ordinal);

        await PaddockAsync(null, "clone", name, overlay);
        await PaddockAsync(new byte[512], "append", overlay, "5");
        Assert.Contains("written 12.5 KiB", await PaddockAsync(null, "zones", overlay), StringComparison.Ordinal);
        Assert.Contains("exists", (await RunPaddockAsync(null, "clone", name, overlay)).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Overlay_may_name_an_image_of_its_own_pool_but_of_no_other()
    {
        string golden = cluster.NameOf(CephCluster.NewImage()), overlay = cluster.NameOf(CephCluster.NewImage());
        await PaddockAsync(null, "create", golden, "16M", "--zone-size", "4M");
        await PaddockAsync(null, "clone", golden, overlay);
        await PaddockAsync(null, "backup", overlay, Path.Combine(_folder, "backup.qcow2"));
        await ImgAsync("rebase", "-u", "-b", golden.Replace("rbd:rbd/", "rbd:other/", StringComparison.Ordinal), "-F", "qcow2", overlay);
        var run = await RunPaddockAsync(null, "backup", overlay, Path.Combine(_folder, "other.qcow2"));
        Assert.Contains("which is not an image in the same pool", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Served_image_grows_and_has_snapshots_and_backups_taken_while_it_is_written()
    {
        string image = CephCluster.NewImage(), name = cluster.NameOf(image), backup = cluster.NameOf(CephCluster.NewImage());
        await PaddockAsync(null, "create", name, "16M", "--zone-size", "4M");
        string control = Path.Combine(_folder, "c"), uri = $"nbd+unix:///{image}?socket={Path.Combine(_folder, "n")}";
        await using var server = await ServerProcess.ServeAsync(name, "--nbd", "unix:" + Path.Combine(_folder, "n"), "--control", control);
        await IoAsync(isOurs: true, "-f", "raw", "-c", "write -P 5 0 1M", uri);
        Assert.Contains("taken", await PaddockAsync(null, "snapshot", "create", "--control", control, "s"), StringComparison.Ordinal);
        await PaddockAsync(null, "backup", "--control", control, image, backup);
        Assert.Contains("20 MiB", await PaddockAsync(null, "resize", "--control", control, "+4M"), StringComparison.Ordinal);
        await IoAsync(isOurs: true, "-f", "raw", "-c", "write -P 6 16M 64k", "-c", "read -P 5 0 1M", uri);
        var refused = await RunPaddockAsync(null, "append", name, "1");
        Assert.Contains("is in use by client.", refused.Error, StringComparison.Ordinal);
        Assert.Equal(0, await server.StopAsync());
        Assert.Contains("no errors", await PaddockAsync(null, "check", name), StringComparison.Ordinal);
        Assert.Contains("16 MiB", await PaddockAsync(null, "info", backup), StringComparison.Ordinal);
        Assert.Contains("written 1 MiB", await PaddockAsync(null, "zones", backup), StringComparison.Ordinal);
    }

    private static async Task SameAsync(params string[] words)
        => Assert.Equal(await Peer.MustAsync("qemu-img", words), await ImgAsync(words));

    private static async Task IoAsync(bool isOurs, params string[] words)
    {
        var run = isOurs ? await RunIoAsync(words) : await Peer.RunAsync("qemu-io", words);
        Assert.True(run.Code == 0, $"{string.Join(' ', words)}: {run.Code}\n{run.Out}{run.Error}");
        Assert.DoesNotContain("failed", run.Out, StringComparison.Ordinal);
    }

    private static async Task<PeerRun> RunIoAsync(params string[] words)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        int code = await IoTool.RunAsync(words, new ToolContext { Program = "qemu-io", Out = output, Error = error });
        return new PeerRun(code, output.ToString(), error.ToString());
    }

    private static async Task<string> ImgAsync(params string[] words)
    {
        var run = await RunAsync(words);
        Assert.True(run.Code == 0, $"{string.Join(' ', words)}: {run.Code}\n{run.Out}{run.Error}");
        return run.Out;
    }

    private static async Task<PeerRun> RunAsync(params string[] words)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        int code = await ImgTool.RunAsync(words, new ToolContext { Program = "qemu-img", Out = output, Error = error });
        return new PeerRun(code, output.ToString(), error.ToString());
    }

    private static async Task<string> PaddockAsync(byte[]? input, params string[] words)
    {
        var run = await RunPaddockAsync(input, words);
        Assert.True(run.Code == 0, $"{string.Join(' ', words)}: {run.Code}\n{run.Out}{run.Error}");
        return run.Out;
    }

    private static async Task<PeerRun> RunPaddockAsync(byte[]? input, params string[] words)
    {
        using MemoryStream output = new(), error = new();
        int code = await Paddock.Cli.NativeTools.RunAsync(words, new NativeConsole(output, error, new MemoryStream(input ?? [])));
        return new PeerRun(code, Encoding.UTF8.GetString(output.ToArray()), Encoding.UTF8.GetString(error.ToArray()));
    }
}
