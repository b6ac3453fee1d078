using System.Globalization;
using Paddock.Images;
using Paddock.Testing.Protocols;

namespace Paddock.Cli.Tests.Serve;

/// <summary>`paddock run`: a command and the server it uses, as processes.</summary>
public sealed class RunTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("run-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Nbdinfo_finds_a_temporary_zoned_disk_which_is_gone_afterwards()
    {
        var run = await RunAsync("--temporary", "1G", "--zone-size", "4M", "--nbd", "--", "nbdinfo", "--size", "$PADDOCK_URI");
        Assert.Equal((0, "1073741824\n", ""), (run.Code, run.Out, run.Error));
        Assert.Empty(Directory.GetFileSystemEntries(At("tmp")));
    }

    [Fact]
    public async Task Nvme_host_sees_the_zones_of_a_disk_with_conventional_zones()
    {
        var run = await RunAsync(
            [
                "--temporary", "64M", "--zone-size", "4M", "--conventional", "2", "--nvme", "--", .. ServerProcess.Program, "zones",
                "--json", "$PADDOCK_URI",
            ]);
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Equal(14, System.Text.Json.JsonDocument.Parse(run.Out).RootElement.GetProperty("zones").GetArrayLength());
    }

    [Theory]
    [InlineData("exit 7", 7)]
    [InlineData("kill -KILL $$", 137)]
    [InlineData("kill -TERM $$", 143)]
    public async Task Exit_code_is_that_of_the_command(string script, int code)
    {
        var run = await RunAsync("--temporary", "1M", "--nbd", "--", "sh", "-c", script);
        Assert.Equal((code, "", ""), (run.Code, run.Out, run.Error));
        Assert.Empty(Directory.GetFileSystemEntries(At("tmp")));
    }

    [Theory]
    [InlineData("no-such-program", 127, "No such file or directory")]
    [InlineData("/etc/passwd", 126, "Permission denied")]
    public async Task Command_that_cannot_be_started_is_named(string command, int code, string why)
    {
        var run = await RunAsync("--temporary", "1M", "--nbd", "--", command);
        Assert.Equal((code, "", $"paddock: cannot run '{command}': {why}\n"), (run.Code, run.Out, run.Error));
        Assert.Empty(Directory.GetFileSystemEntries(At("tmp")));
    }

    [Fact]
    public async Task Single_word_with_blanks_is_a_line_for_the_shell()
    {
        var run = await RunAsync("--temporary", "1M", "--tcp", "--", "nbdinfo --size nbd://127.0.0.1:$PADDOCK_PORT/disk && echo done");
        Assert.Equal((0, "1048576\ndone\n", ""), (run.Code, run.Out, run.Error));
    }

    [Fact]
    public async Task Each_listener_has_its_variables()
    {
        var run = await RunAsync("--temporary", "1M", "--nbd", "--nvme", "--vhost-user", "--vfio-user", "--", "env");
        var found = run.Out.Split('\n').Where(static l => l.StartsWith("PADDOCK_", StringComparison.Ordinal))
            .Select(static l => l.Split('=', 2)).ToDictionary(static l => l[0], static l => l[1]);
        Assert.Equal(found["PADDOCK_NBD_URI"], found["PADDOCK_URI"]);
        Assert.Equal("nbd+unix:///disk?socket=" + found["PADDOCK_NBD_SOCKET"], found["PADDOCK_URI"]);
        Assert.Equal(found["PADDOCK_NVME_PORT"], found["PADDOCK_PORT"]);
        Assert.Equal(
            $"nvme+tcp://127.0.0.1:{found["PADDOCK_PORT"]}/{found["PADDOCK_NQN"]}", found["PADDOCK_NVME_URI"]);
        Assert.Equal("unix:" + found["PADDOCK_VHOST_USER_SOCKET"], found["PADDOCK_VHOST_USER_URI"]);
        Assert.Equal("unix:" + found["PADDOCK_VFIO_USER_SOCKET"], found["PADDOCK_VFIO_USER_URI"]);
        Assert.StartsWith(At("tmp"), found["PADDOCK_CONTROL"], StringComparison.Ordinal);
        Assert.False(found.ContainsKey("PADDOCK_NBD_PORT"));
    }

    [Fact]
    public async Task Written_data_is_in_the_image_afterwards()
    {
        await File.WriteAllBytesAsync(At("in"), Workbench.Bytes(1 << 20, 7), TestContext.Current.CancellationToken);
        await ImageFile.CreateAsync(At("a.qcow2"), 4 << 20);
        var run = await RunAsync(At("a.qcow2"), "--nbd", "--", "nbdcopy", "--flush", At("in"), "$PADDOCK_URI");
        Assert.Equal((0, ""), (run.Code, run.Error));
        string read = await Peer.MustAsync("qemu-io", "-r", "-c", "read -P 7 0 1M", "-c", "read -P 0 1M 3M", At("a.qcow2"));
        Assert.DoesNotContain("failed", read, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Failed_flush_at_the_end_is_an_error_although_the_command_succeeded()
    {
        await File.WriteAllTextAsync(At("rules"), "[inject-error]\nevent = \"flush_to_disk\"\n", TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(At("big.raw"), new byte[1 << 20], TestContext.Current.CancellationToken);
        var run = await RunAsync(
            [
                $"blkdebug:{At("rules")}:{At("big.raw")}", "--nbd", "--", .. ServerProcess.Program, "io", "-f", "raw", "-t", "unsafe", "-c",
                "write 0 512", "$PADDOCK_URI",
            ]);
        Assert.Equal(1, run.Code);
        Assert.Contains("flush failed image=", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Power_cut_through_the_control_socket_loses_what_was_not_flushed()
    {
        string paddock = string.Join(' ', ServerProcess.Program);
        var run = await RunAsync(
            "--temporary", "1M", "--nbd", "--volatile-cache", "1M", "--",
            $"{paddock} io -f raw -t unsafe -c 'write -P 9 0 64k' \"$PADDOCK_URI\" && {paddock} fault \"$PADDOCK_CONTROL\" powercut "
            + $"&& {paddock} io -r -f raw -c 'read -P 0 0 64k' \"$PADDOCK_URI\"");
        Assert.Equal(0, run.Code);
        Assert.DoesNotContain("Pattern verification failed", run.Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    [InlineData("USR1")]
    public async Task Signal_reaches_the_command(string signal)
    {
        // the script tells its server's process ID by its parent's; it ends by itself after the trap
        string script = $"trap 'echo caught; exit 3' {signal}; kill -{signal} $PPID; while :; do sleep 0.05; done";
        var run = await Peer.RunAsync(
            "env",
            [
                "--default-signal=" + signal, "TMPDIR=" + Temporary(), .. ServerProcess.Program, "run", "--temporary", "1M", "--nbd", "--",
                "env", "--default-signal=" + signal, "sh", "-c", script,
            ]);
        Assert.Equal((3, "caught\n"), (run.Code, run.Out));
        Assert.Empty(Directory.GetFileSystemEntries(At("tmp")));
    }

    [Fact]
    public async Task Server_reports_that_it_is_ready_and_removes_its_files_at_the_end()
    {
        await ImageFile.CreateAsync(At("a.qcow2"), 4 << 20);
        await using var server = await ServerProcess.StartAsync(
            [
                "bash", "-c", $"exec dotnet \"$PADDOCK_DLL\" serve a.qcow2 --nvme 127.0.0.1:0 --nbd 127.0.0.1:0 --vhost-user v.sock "
                    + "--ready-fd 7 --pid-file pid --port-file ports 7>ready",
            ],
            _folder);
        string[] uris = await File.ReadAllLinesAsync(At("ready"), TestContext.Current.CancellationToken);
        string[] ports = await File.ReadAllLinesAsync(At("ports"), TestContext.Current.CancellationToken);
        Assert.Equal(
            [$"nvme+tcp://127.0.0.1:{ports[0]}/nqn.2026-01.io.paddock:a", $"nbd://127.0.0.1:{ports[1]}/a", "unix:" + At("v.sock")], uris);
        Assert.Equal(server.Id.ToString(CultureInfo.InvariantCulture) + "\n",
            await File.ReadAllTextAsync(At("pid"), TestContext.Current.CancellationToken));
        Assert.Equal("4194304\n", await Peer.MustAsync("nbdinfo", "--size", uris[1]));
        Assert.Equal(0, await server.StopAsync());
        Assert.False(File.Exists(At("pid")) || File.Exists(At("ports")));
        string[] log = (await server.LogAsync()).Split('\n');
        string? ready = Array.Find(log, static l => l.Contains(" ready ", StringComparison.Ordinal));
        Assert.EndsWith($" ready uris=\"{string.Join(' ', uris)}\"", ready, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Server_prints_how_to_connect()
    {
        await ImageFile.CreateAsync(At("a.qcow2"), 4 << 20);
        var run = await Peer.RunAsync(
            "bash", "-c",
            $"cd {_folder}; mkfifo ready; {string.Join(' ', ServerProcess.Program)} serve a.qcow2 --nvme 127.0.0.1:0 --pid-file pid "
            + "--ready-fd 7 7>ready & cat ready > uri; kill $(cat pid); wait $!");
        Assert.Equal(0, run.Code);
        string uri = (await File.ReadAllTextAsync(At("uri"), TestContext.Current.CancellationToken)).Trim();
        Assert.Equal($"nvme connect -t tcp -a 127.0.0.1 -s {new Uri(uri).Port} -n nqn.2026-01.io.paddock:a\n{uri}\n", run.Out);
    }

    [Fact]
    public async Task Server_stops_when_its_parent_ends()
    {
        await ImageFile.CreateAsync(At("a.qcow2"), 4 << 20);

        // the shell ends after the server is ready; reading its pipe to the end waits for the server as well
        var run = await Peer.RunAsync(
            "bash", "-c",
            $"cd {_folder}; mkfifo ready; {string.Join(' ', ServerProcess.Program)} serve a.qcow2 --nbd unix:n.sock --exit-with-parent "
            + "--ready-fd 7 7>ready & cat ready");
        Assert.Equal(0, run.Code);
        Assert.Contains(" parent ended\n", run.Error, StringComparison.Ordinal);
        Assert.EndsWith(" stopped\n", run.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(At("n.sock")));
    }

    [Theory]
    [InlineData("run --temporary 1M --nbd", "specify a command after '--'")]
    [InlineData("run --temporary 1M -- true", "specify what is served: --nbd, --tcp, --nvme, --vhost-user or --vfio-user")]
    [InlineData("run --nbd -- true", "specify an IMAGE, or a size with --temporary")]
    [InlineData("run a.qcow2 --temporary 1M --nbd -- true", "--temporary creates the disk: leave out IMAGE")]
    [InlineData("run a.qcow2 --zone-size 1M --nbd -- true", "--zone-size requires --temporary")]
    [InlineData("run a.qcow2 --nbdd -- true", "unknown option '--nbdd' (did you mean '--nbd'?)")]
    [InlineData("serve a.qcow2 --nbd unix:n --ready-fd 999", "--ready-fd 999: the process was started without this file descriptor")]
    public async Task Incomplete_command_line_is_rejected(string line, string message)
    {
        using var bench = new Workbench();
        Assert.Contains(message, await bench.RefusedAsync(line, code: NativeExit.Usage), StringComparison.Ordinal);
    }

    private string At(string name) => Path.Combine(_folder, name);

    private string Temporary() => Directory.CreateDirectory(At("tmp")).FullName;

    private Task<PeerRun> RunAsync(params string[] words)
        => Peer.RunAsync("env", ["DOTNET_EnableDiagnostics=0", "TMPDIR=" + Temporary(), .. ServerProcess.Program, "run", .. words]);
}
