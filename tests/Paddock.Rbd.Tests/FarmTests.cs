using System.Text.Json;
using Paddock.Cli.Native;
using Paddock.Testing.Protocols;

namespace Paddock.Rbd.Tests;

/// <summary>`paddock farm` with a golden image in RBD.</summary>
public sealed class FarmTests(CephCluster cluster) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-rbd-farm-").FullName;

    private static string Paddock => string.Join(' ', ServerProcess.Program);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Clones_are_alike_and_independent_and_leave_nothing_behind()
    {
        string golden = await GoldenAsync();
        await MustFarmAsync(
            $"{cluster.NameOf(golden)} --count 3 --clone",
            $"base=${{PADDOCK_NVME_URI%-1}}; head -c 8192 /dev/zero | {Paddock} append $base-2 1 >&2; {Paddock} zone reset $base-3 3 >&2; "
            + $"for i in 1 2 3; do {Paddock} zones --json $base-$i > zones-$i; done; rbd -c {cluster.Configuration} --id paddock ls > ls");
        Assert.Equal([0, 0, 0, 4096], Written("zones-1"));
        Assert.Equal([0, 8192, 0, 4096], Written("zones-2"));
        Assert.Equal([0, 0, 0, 0], Written("zones-3"));
        string during = await File.ReadAllTextAsync(At("ls"), TestContext.Current.CancellationToken);
        Assert.Contains($"{golden}-3", during, StringComparison.Ordinal);
        Assert.DoesNotContain($"{golden}-", await cluster.RbdAsync("ls"), StringComparison.Ordinal);
        Assert.Equal("", await cluster.RbdAsync("snap", "ls", "--all", $"rbd/{golden}"));
    }

    [Fact]
    public async Task Clones_of_a_raw_snapshot_have_its_data_and_the_image_may_be_written()
    {
        string image = CephCluster.NewImage();
        await RbdImage.CreateAsync(cluster.TargetOf(image), 8 << 20);
        await using var storage = new RbdStorage(await RbdImage.OpenAsync(cluster.TargetOf(image), readOnly: false));
        await storage.WriteAsync(0, Enumerable.Repeat((byte)7, 65536).ToArray(), TestContext.Current.CancellationToken);
        await storage.FlushAsync(TestContext.Current.CancellationToken);
        await cluster.RbdAsync("snap", "create", "--no-progress", $"rbd/{image}@s");
        await storage.WriteAsync(0, new byte[65536], TestContext.Current.CancellationToken);
        await MustFarmAsync(
            $"{cluster.NameOf(image + "@s")} --format raw --count 2 --clone --nbd unix:n",
            $"{Paddock} io -r -f raw -c 'read -P 7 0 64k' 'nbd+unix:///{image}-2?socket=n' | tee out; ! grep failed out");
        Assert.Contains("s", await cluster.RbdAsync("snap", "ls", $"rbd/{image}"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Kept_overlays_in_a_pool_are_the_drives_of_one_server_of_several()
    {
        string golden = await GoldenAsync();
        await MustFarmAsync(
            $"{cluster.NameOf(golden)} --count 5 --part 2/2 --pool rbd --keep",
            $"cp $PADDOCK_LIST list; head -c 4096 /dev/zero | {Paddock} append $PADDOCK_URI 3");
        var list = JsonDocument.Parse(await File.ReadAllTextAsync(At("list"), TestContext.Current.CancellationToken)).RootElement;
        Assert.Equal(
            [$"{golden}-3", $"{golden}-4", $"{golden}-5"], list.EnumerateArray().Select(static d => d.GetProperty("name").GetString()));
        string kept = cluster.NameOf(golden + "-3");
        await Peer.MustAsync("bash", "-c", $"cd {_folder}; {Paddock} zones --json {kept} > zones");
        Assert.Equal([0, 0, 0, 8192], Written("zones"));
        await Peer.MustAsync("bash", "-c", $"{Paddock} check {kept}");
    }

    [Fact]
    public async Task Overlays_in_files_read_from_the_cluster_that_the_name_of_the_image_chooses()
    {
        string golden = await GoldenAsync();
        var run = await FarmAsync(
            $"{cluster.NameOf(golden)} --count 20", $"{Paddock} zones --json ${{PADDOCK_NVME_URI%-1}}-20 > zones", "CEPH_CONF=");
        Assert.True(run.Code == 0, run.Out + run.Error);
        Assert.Equal([0, 0, 0, 4096], Written("zones"));
    }

    [Fact]
    public async Task Existing_drive_is_neither_replaced_nor_removed()
    {
        string golden = await GoldenAsync();
        await RbdImage.CreateAsync(cluster.TargetOf(golden + "-2"), 1 << 20);
        var run = await FarmAsync($"{cluster.NameOf(golden)} --count 3 --clone", "true");
        Assert.Contains($"{golden}-2:id=paddock", run.Error, StringComparison.Ordinal);
        Assert.Contains("exists", run.Error, StringComparison.Ordinal);
        string[] images = (await cluster.RbdAsync("ls")).Split('\n');
        Assert.Equal([golden + "-2"], images.Where(i => i.StartsWith(golden + "-", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Image_that_somebody_writes_has_clones_but_no_overlays()
    {
        string golden = await GoldenAsync();
        await using var writer = await RbdImage.OpenAsync(cluster.TargetOf(golden), readOnly: false);
        var run = await FarmAsync($"{cluster.NameOf(golden)} --count 2", "true");
        Assert.Equal(1, run.Code);
        Assert.Contains("is in use by client.", run.Error, StringComparison.Ordinal);
        await MustFarmAsync($"{cluster.NameOf(golden)} --count 2 --clone", "true");
        await writer.ConfirmAsync();
        await writer.WriteAsync(8 << 20, new byte[512]);
        await writer.FlushAsync();
    }

    [Theory]
    [InlineData("rbd:rbd/g --count 2 --clone --dir d", "choose one")]
    [InlineData("g.qcow2 --count 2 --clone", "--clone requires a GOLDEN image in RBD")]
    [InlineData("g.qcow2 --count 2 --pool rbd", "--pool requires a GOLDEN image in RBD")]
    [InlineData("rbd:rbd/g --count 2 --keep", "--keep requires --dir, --pool or --clone")]
    [InlineData("rbd:rbd/g --count 2 --part 0/2", "--part '0/2': expected K/N")]
    [InlineData("rbd:rbd/g --count 2 --part 2", "--part '2': expected K/N")]
    [InlineData("rbd:rbd/g --count 2 --part 3/4", "server 3 of 4 has 0 of the 2 drives")]
    [InlineData("rbd:rbd/g:keyring=k --count 2", "must not name options of Ceph (keyring=)")]
    public async Task Wrong_command_line_is_rejected(string line, string message)
    {
        using MemoryStream output = new(), error = new();
        int code = await Cli.NativeTools.RunAsync(["farm", .. line.Split(' ')], new NativeConsole(output, error, new MemoryStream()));
        Assert.NotEqual(0, code);
        Assert.Contains(message, System.Text.Encoding.UTF8.GetString(error.ToArray()), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(10, 4)]
    [InlineData(3, 3)]
    [InlineData(100_000, 999)]
    public void Parts_divide_the_drives_evenly_and_without_gaps(int count, int servers)
    {
        int next = 1;
        for (int i = 1; i <= servers; i++)
        {
            var part = FarmPart.Parse($"{i}/{servers}");
            Assert.Equal(next, part.First(count));
            Assert.InRange(part.Count(count), count / servers, (count / servers) + 1);
            next += part.Count(count);
        }

        Assert.Equal(count + 1, next);
    }

    private string At(string name) => Path.Combine(_folder, name);

    // four zones, with data in the last one
    private async Task<string> GoldenAsync()
    {
        string image = CephCluster.NewImage(), name = cluster.NameOf(image);
        await Peer.MustAsync(
            "bash", "-c", $"{Paddock} create {name} 16M --zone-size 4M; head -c 4096 /dev/zero | {Paddock} append {name} 3");
        return image;
    }

    // bytes written to each zone
    private long[] Written(string file)
        => [.. JsonDocument.Parse(File.ReadAllText(At(file))).RootElement.GetProperty("zones").EnumerateArray()
            .Select(static z => z.GetProperty("write_pointer").GetInt64() - z.GetProperty("start").GetInt64())];

    private async Task MustFarmAsync(string words, string command)
    {
        var run = await FarmAsync(words, command);
        Assert.True(run.Code == 0, run.Out + run.Error);
    }

    private async Task<PeerRun> FarmAsync(string words, string command, string variables = "")
    {
        await File.WriteAllTextAsync(At("command"), command, TestContext.Current.CancellationToken);
        return await Peer.RunAsync(
            "bash", "-c", $"cd {_folder}; {variables} DOTNET_EnableDiagnostics=0 TMPDIR={_folder} {Paddock} farm {words} -- sh ./command");
    }
}
