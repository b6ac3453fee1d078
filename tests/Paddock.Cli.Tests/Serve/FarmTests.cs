using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Paddock.Images;
using Paddock.Testing.Protocols;

namespace Paddock.Cli.Tests.Serve;

/// <summary>`paddock farm`: many drives made of one image, as processes.</summary>
public sealed class FarmTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("farm-test-").FullName;

    private static string Paddock => string.Join(' ', ServerProcess.Program);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Drives_are_alike_and_independent_and_the_image_is_unchanged()
    {
        await GoldenAsync();
        byte[] before = SHA256.HashData(await File.ReadAllBytesAsync(At("g.qcow2"), TestContext.Current.CancellationToken));

        // the second drive gets more data in zone 1, the third loses what zone 0 has
        var run = await FarmAsync(
            "g.qcow2", "--count", "3", "--nbd", "unix:n", "--",
            "cp \"$PADDOCK_LIST\" list; base=${PADDOCK_NVME_URI%-1}; "
            + $"{Paddock} append $base-2 1 --pad < in >&2; {Paddock} zone reset $base-3 0 >&2; "
            + $"for i in 1 2 3; do {Paddock} zones --json $base-$i > zones-$i; done; "
            + $"{Paddock} io -r -f raw -c 'read -P 7 0 64k' 'nbd+unix:///g-2?socket=n'");
        Assert.True(run.Code == 0, run.Out + run.Error);
        Assert.DoesNotContain("failed", run.Out, StringComparison.Ordinal);
        Assert.Equal([65536, 0], Written("zones-1"));
        Assert.Equal([65536, 65536], Written("zones-2"));
        Assert.Equal([0, 0], Written("zones-3"));
        var list = JsonDocument.Parse(await File.ReadAllTextAsync(At("list"), TestContext.Current.CancellationToken)).RootElement;
        Assert.Equal(
            ["nqn.2026-01.io.paddock:g-1", "nqn.2026-01.io.paddock:g-2", "nqn.2026-01.io.paddock:g-3"],
            list.EnumerateArray().Select(static d => d.GetProperty("nqn").GetString()));
        Assert.Equal(before, SHA256.HashData(await File.ReadAllBytesAsync(At("g.qcow2"), TestContext.Current.CancellationToken)));
        Assert.Empty(Directory.GetFileSystemEntries(At("tmp")));
    }

    [Fact]
    public async Task Kept_overlays_have_what_was_written()
    {
        await GoldenAsync();
        var run = await FarmAsync(
            "g.qcow2", "--count", "2", "--dir", "overlays", "--keep", "--", $"{Paddock} append $PADDOCK_URI 1 --pad < in");
        Assert.True(run.Code == 0, run.Out + run.Error);
        Assert.Equal(["g-1.qcow2", "g-2.qcow2"], Directory.GetFiles(At("overlays")).Select(Path.GetFileName).Order());
        await Peer.MustAsync("bash", "-c", $"cd {_folder}; {Paddock} zones --json overlays/g-1.qcow2 > zones");
        Assert.Equal([65536, 65536], Written("zones"));
    }

    [Fact]
    public async Task Overlays_in_a_directory_are_removed_unless_they_are_kept()
    {
        await GoldenAsync();
        Directory.CreateDirectory(At("mine"));
        await File.WriteAllTextAsync(At("mine/other"), "", TestContext.Current.CancellationToken);
        Assert.Equal(0, (await FarmAsync("g.qcow2", "--count", "2", "--dir", "mine", "--", "ls mine/g-2.qcow2")).Code);
        Assert.Equal(0, (await FarmAsync("g.qcow2", "--count", "2", "--dir", "new", "--", "ls new/g-2.qcow2")).Code);
        Assert.Equal(["other"], Directory.GetFiles(At("mine")).Select(Path.GetFileName));
        Assert.False(Directory.Exists(At("new")));
    }

    [Theory]
    [InlineData("touch d/other", "other")]
    [InlineData("rm -r d; exit 3", null)]
    public async Task Directory_with_other_files_is_left_and_the_exit_code_is_that_of_the_command(string command, string? left)
    {
        await GoldenAsync();
        var run = await FarmAsync("g.qcow2", "--count", "3", "--dir", "d", "--", command);
        Assert.Equal((left is null ? 3 : 0, ""), (run.Code, run.Error));
        Assert.Equal(left is null ? [] : [left], Directory.Exists(At("d")) ? Directory.GetFiles(At("d")).Select(Path.GetFileName) : []);
    }

    [Fact]
    public async Task Plan_has_the_command_of_each_server_and_the_place_of_each_drive()
    {
        var run = await FarmAsync(
            "rbd:rbd/my golden", "--count", "5", "--plan", "lab1,[fd00::2]:4500", "--clone", "--nqn", "nqn.2026-11.example:d", "--");
        Assert.Equal(
            """
            # lab1:4420: drives 1 to 2
            paddock farm 'rbd:rbd/my golden' --count 5 --clone --part 1/2 --nvme 0.0.0.0:4420
            # [fd00::2]:4500: drives 3 to 5
            paddock farm 'rbd:rbd/my golden' --count 5 --clone --part 2/2 --nvme '[fd00::2]:4500'
            # drives
            my golden-1 nvme+tcp://lab1:4420/nqn.2026-11.example:d-1
            my golden-2 nvme+tcp://lab1:4420/nqn.2026-11.example:d-2
            my golden-3 nvme+tcp://[fd00::2]:4500/nqn.2026-11.example:d-3
            my golden-4 nvme+tcp://[fd00::2]:4500/nqn.2026-11.example:d-4
            my golden-5 nvme+tcp://[fd00::2]:4500/nqn.2026-11.example:d-5

            """.Replace(" --part", " --nqn nqn.2026-11.example:d --part", StringComparison.Ordinal), run.Out);
    }

    [Fact]
    public async Task Drives_are_where_the_plan_has_them()
    {
        await GoldenAsync();
        var planned = await FarmAsync("g.qcow2", "--count", "3", "--plan=127.0.0.1:4420,127.0.0.1:4421", "--json");
        var plan = JsonDocument.Parse(planned.Out).RootElement;
        var server = plan.GetProperty("servers")[1];
        Assert.Equal((2, 2), (server.GetProperty("first").GetInt32(), server.GetProperty("count").GetInt32()));
        string command = server.GetProperty("command").GetString()!;
        Assert.Equal("paddock farm g.qcow2 --count 3 --part 2/2 --nvme 127.0.0.1:4421", command);
        string[] words = command.Replace(":4421", ":0", StringComparison.Ordinal).Split(' ')[2..];
        var run = await FarmAsync([.. words, "--", "cp \"$PADDOCK_LIST\" list"]);
        Assert.True(run.Code == 0, run.Out + run.Error);
        var list = JsonDocument.Parse(await File.ReadAllTextAsync(At("list"), TestContext.Current.CancellationToken)).RootElement;
        Assert.Equal(Of(plan.GetProperty("drives")).Skip(1), Of(list));

        static IEnumerable<string> Of(JsonElement drives)
            => drives.EnumerateArray().Select(static d => d.GetProperty("name").GetString() + " " + d.GetProperty("nqn").GetString());
    }

    [Theory]
    [InlineData("--plan a,b --part 1/2", "--plan chooses --part and --nvme for each server")]
    [InlineData("--plan a,b --nvme 0.0.0.0:1", "--plan chooses --part and --nvme for each server")]
    [InlineData("--plan a,b -- true", "serves nothing")]
    [InlineData("--plan a,b,A:4420", "a:4420 is given twice")]
    [InlineData("--plan a,,b", "'' is not HOST or HOST:PORT")]
    [InlineData("--plan a:0", "'a:0' is not HOST or HOST:PORT")]
    [InlineData("--plan fd00::1", "'fd00::1' is not HOST or HOST:PORT")]
    [InlineData("--plan a;rm", "'a;rm' is not HOST or HOST:PORT")]
    [InlineData("--plan a,b,c", "server 1 of 3 has 0 of the 2 drives (--count); expected 1 to 10000")]
    [InlineData("--plan a --clone", "--clone requires a GOLDEN image in RBD")]
    public async Task Plan_that_cannot_be_made_is_rejected(string options, string message)
    {
        using var bench = new Workbench();
        Assert.Contains(
            message, await bench.RefusedAsync($"farm g.qcow2 --count 2 {options}", code: NativeExit.Usage), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Idle_drive_uses_less_than_a_mebibyte()
    {
        const int Drives = 200;
        long one = await MemoryAsync(1), many = await MemoryAsync(Drives + 1);
        Assert.InRange((many - one) / Drives, 0, 1 << 20);
    }

    [Theory]
    [InlineData("farm --count 2", "specify a GOLDEN image, or a size with --temporary")]
    [InlineData("farm a.qcow2", "specify the number of drives with --count")]
    [InlineData("farm a.qcow2 --count 0", "--count 0: expected 1 to 10000")]
    [InlineData("farm a.qcow2 b.qcow2 --count 2", "a farm has one GOLDEN image")]
    [InlineData("farm a.qcow2 --count 2 --keep", "--keep requires --dir, --pool or --clone")]
    [InlineData("farm a.qcow2 --count 2 --zone-size 1M", "--zone-size requires --temporary")]
    [InlineData("farm a.qcow2 --count 2 --temporary 1M", "--temporary creates the drives: leave out GOLDEN")]
    public async Task Incomplete_command_line_is_rejected(string line, string message)
    {
        using var bench = new Workbench();
        Assert.Contains(message, await bench.RefusedAsync(line, code: NativeExit.Usage), StringComparison.Ordinal);
    }

    // resident memory of a farm of temporary zoned drives that nobody uses
    private async Task<long> MemoryAsync(int drives)
    {
        await using var server = await ServerProcess.StartAsync(
            [.. ServerProcess.Program, "farm", "--temporary", "16G", "--zone-size", "64M", "--count", Text(drives), "--nbd", "unix:n"],
            _folder);
        using var process = Process.GetProcessById(server.Id);
        long resident = process.WorkingSet64;
        Assert.Equal(0, await server.StopAsync());
        return resident;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private string At(string name) => Path.Combine(_folder, name);

    private async Task GoldenAsync()
    {
        await File.WriteAllBytesAsync(At("in"), Workbench.Bytes(65536, 7), TestContext.Current.CancellationToken);
        await ImageFile.CreateAsync(At("g.qcow2"), 8 << 20, new Qcow2.ZonedCreateOptions { ZoneSize = 4 << 20 });
        await Peer.MustAsync("bash", "-c", $"cd {_folder}; {Paddock} append g.qcow2 0 < in");
    }

    // bytes written to each zone
    private long[] Written(string file)
        => [.. JsonDocument.Parse(File.ReadAllText(At(file))).RootElement.GetProperty("zones").EnumerateArray()
            .Select(static z => z.GetProperty("write_pointer").GetInt64() - z.GetProperty("start").GetInt64())];

    private Task<PeerRun> FarmAsync(params string[] words)
    {
        Directory.CreateDirectory(At("tmp"));
        string[] quoted = [.. words.Select(static w => $"'{w.Replace("'", "'\\''", StringComparison.Ordinal)}'")];
        return Peer.RunAsync(
            "bash", "-c", $"cd {_folder}; DOTNET_EnableDiagnostics=0 TMPDIR={At("tmp")} {Paddock} farm {string.Join(' ', quoted)}");
    }
}
