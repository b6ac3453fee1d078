using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using Paddock.Posix;
using Paddock.Testing.Protocols;

namespace Paddock.Cli.Tests;

/// <summary>The executable as a process: its standard descriptors, signals and limits.</summary>
public sealed class ProcessTests : IDisposable
{
    private const string Program = "dotnet \"$PADDOCK_DLL\"";

    // a terminal: waits for the output of the command, then presses Ctrl-C
    private const string Terminal = """
        import os, pty, signal, sys
        pid, fd = pty.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execvp(sys.argv[1], sys.argv[1:])
        seen = b''
        while b'standard input' not in seen: seen += os.read(fd, 4096)
        os.write(fd, b'\x03')
        try:
            while True:
                part = os.read(fd, 4096)
                if not part: break
                seen += part
        except OSError: pass
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode())
        """;

    private readonly Workbench _bench = new();

    public void Dispose() => _bench.Dispose();

    [Theory]
    [InlineData("--help", "paddock")]
    [InlineData("zones z.qcow2", "paddock")]
    [InlineData("zones z.qcow2 --json", "paddock")]
    [InlineData("info z.qcow2 --json", "paddock")]
    [InlineData("img info z.qcow2", "qemu-img")]
    [InlineData("img --help", "qemu-img")]
    [InlineData("io -c help", "qemu-io")]
    [InlineData("nbd --help", "qemu-nbd")]
    public async Task Full_output_is_one_line_and_exit_1(string command, string name)
    {
        await CreateAsync();
        var run = await ShellAsync($"{Program} {command} > /dev/full");
        Assert.Equal((1, $"{name}: cannot write to standard output: No space left on device\n"), (run.Code, run.Error));
    }

    [Theory]
    [InlineData("info z.qcow2 >&-", 1, "paddock: cannot write to standard output: Bad file descriptor\n")]
    [InlineData("img info z.qcow2 <&- >&-", 1, "qemu-img: cannot write to standard output: Bad file descriptor\n")]
    [InlineData("info z.qcow2 2>&-", 0, "")]
    [InlineData("append z.qcow2 1 <&-", 1, "paddock: Bad file descriptor\n")]
    [InlineData("io z.qcow2 <&-", 1, "qemu-io: Bad file descriptor\n")]
    public async Task Closed_standard_descriptor_is_an_error_where_it_is_used(string command, int code, string error)
    {
        await CreateAsync();
        var run = await ShellAsync($"{Program} {command}");
        Assert.Equal((code, error), (run.Code, run.Error));
    }

    [Fact]
    public async Task Nbd_forks_when_the_runtime_was_started_by_name()
    {
        await CreateAsync();
        var run = await ShellAsync(
            $"{Program} nbd --fork --pid-file pid -k \"$PWD/s\" -f qcow2 z.qcow2 && nbdinfo --size \"nbd+unix:///?socket=$PWD/s\"; "
            + "kill $(cat pid)");
        Assert.True(long.TryParse(run.Out, out long size) && size > 0, run.Out + run.Error);
    }

    [Fact]
    public async Task Pipe_without_a_reader_is_one_line_and_exit_1()
    {
        await CreateAsync();
        using var io = Start($"{Program} io z.qcow2", input: true);
        io.StandardOutput.Close();
        await io.StandardInput.WriteLineAsync("length");
        io.StandardInput.Close();
        string error = await io.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await io.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal((1, "qemu-io: cannot write to standard output: Broken pipe\n"), (io.ExitCode, error));
    }

    [Fact]
    public async Task Write_beyond_the_file_size_limit_fails_and_does_not_end_the_process()
    {
        // the runtime's own memory files would exceed the limit; the native executable has none
        await _bench.MustAsync("create plain.qcow2 64M");
        var run = await ShellAsync($"ulimit -f 2048; DOTNET_EnableWriteXorExecute=0 {Program} io -c 'write 0 32M' -c length plain.qcow2");
        Assert.Equal(1, run.Code);
        Assert.StartsWith("write failed: File too large\n64 MiB\n", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Demo_names_a_temporary_directory_that_does_not_exist()
    {
        var run = await ShellAsync($"TMPDIR=/nonexistent {Program} demo");
        Assert.Equal(
            (1, "paddock: the temporary directory '/nonexistent/' does not exist: set TMPDIR to one that does\n"), (run.Code, run.Error));
    }

    [Fact]
    public async Task Compatible_tool_tells_which_tool_it_is()
    {
        var run = await ShellAsync($"{Program} img snapshoot");
        Assert.Equal(1, run.Code);
        Assert.Equal(
            "qemu-img: Command not found: snapshoot\nTry 'qemu-img --help' for more info\n"
            + "This is 'paddock img', Paddock's replacement for qemu-img (did you mean 'snapshot'?).\n", run.Error);
        Assert.EndsWith(
            "\nThis is 'paddock nbd', Paddock's replacement for qemu-nbd.\n", (await ShellAsync($"{Program} nbd --help")).Out,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("HUP")]
    [InlineData("TERM")]
    [InlineData("INT")]
    public async Task Signal_stops_a_server_gracefully(string signal)
    {
        // tests run in the background or under nohup ignore these signals
        await using var server = await ServeAsync(
            $"exec env --default-signal={signal} {Program} serve big.raw --format raw --nbd unix:{_bench["s"]}");
        Assert.Equal(0, await server.StopAsync(signal));
        Assert.Contains(" stopped\n", await server.LogAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Second_signal_ends_a_stop_that_waits_for_a_client()
    {
        await using var server = await ServeAsync(
            $"exec {Program} serve big.raw --format raw --drain-timeout 600 --nbd unix:{_bench["s"]}");
        using var client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await client.ConnectAsync(new UnixDomainSocketEndPoint(_bench["s"]), TestContext.Current.CancellationToken);
        await AskAndTakeNothingAsync(client);
        while (!server.HasExited)
        {
            // signals in quick succession count as one
            await ShellAsync($"kill -TERM {server.Id} && sleep 0.3");
        }

        string log = await server.LogAsync();
        Assert.Contains(" stopping immediately\n", log, StringComparison.Ordinal);
        Assert.Contains(" stopped\n", log, StringComparison.Ordinal);
        Assert.Equal(0, await server.ExitAsync());
    }

    [Fact]
    public async Task Server_that_cannot_flush_at_its_end_exits_with_1_and_closes_its_other_images()
    {
        await File.WriteAllTextAsync(
            _bench["rules"], "[inject-error]\nevent = \"flush_to_disk\"\n", TestContext.Current.CancellationToken);
        await _bench.MustAsync("create z.qcow2 8M --zone-size 1M");
        await using var server = await ServeAsync(
            $"exec {Program} serve blkdebug:rules:big.raw z.qcow2 --nbd unix:{_bench["s"]}");

        // without a write a flush has nothing to lose, and succeeds
        await ShellAsync($"{Program} io -f raw -c 'write 0 512' 'nbd+unix:///blkdebug:rules:big?socket={_bench["s"]}'");
        Assert.Equal(1, await server.StopAsync());
        Assert.Contains("flush failed image=", await server.LogAsync(), StringComparison.Ordinal);
        Assert.Contains("clean", (await ShellAsync($"{Program} info z.qcow2")).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Signals_that_the_parent_ignores_stay_ignored_and_the_diagnostics_socket_is_not_there()
    {
        await using var server = await ServeAsync($"trap '' INT HUP; exec {Program} serve big.raw --format raw --nbd unix:{_bench["s"]}");
        string status = await File.ReadAllTextAsync($"/proc/{server.Id}/status", TestContext.Current.CancellationToken);
        string mask = status.Split('\n').Single(static l => l.StartsWith("SigIgn:", StringComparison.Ordinal))[7..].Trim();
        Assert.Equal(3UL, ulong.Parse(mask, NumberStyles.HexNumber, CultureInfo.InvariantCulture) & 3);
        Assert.Empty(Directory.GetFiles(Path.GetTempPath(), $"dotnet-diagnostic-{server.Id}-*"));
        Assert.Equal(0, await server.StopAsync());
    }

    [Fact]
    public async Task Append_prompts_for_input_and_stops_at_once()
    {
        await CreateAsync();
        await File.WriteAllTextAsync(_bench["terminal.py"], Terminal, TestContext.Current.CancellationToken);
        var run = await ShellAsync($"python3 terminal.py {Program} append z.qcow2 1");
        Assert.StartsWith("130 ", run.Out, StringComparison.Ordinal);
        Assert.Contains("reading data from standard input", run.Out, StringComparison.Ordinal);
        Assert.Contains("paddock: stopped", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Demo_leaves_nothing_behind()
    {
        // a separate folder: other runs of the demo on this machine use the common one
        string folder = Directory.CreateDirectory(_bench["tmp"]).FullName;
        Directory.SetLastWriteTimeUtc(folder, DateTime.UnixEpoch);
        var run = await ShellAsync($"DOTNET_EnableDiagnostics=0 TMPDIR='{folder}' {Program} demo");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Empty(Directory.GetFileSystemEntries(folder));
        Assert.NotEqual(DateTime.UnixEpoch, Directory.GetLastWriteTimeUtc(folder));
    }

    [Fact]
    public async Task Message_about_a_locked_image_names_it()
    {
        await CreateAsync();
        await using var held = FileStorage.Open(new FileOpenOptions { Path = _bench["z.qcow2"], Lock = ImageLock.Write });
        foreach (string verb in new[] { "zones z.qcow2", "info z.qcow2", "check z.qcow2", "append z.qcow2 0", "create z.qcow2 1M --force" })
        {
            string error = await _bench.RefusedAsync(verb);
            Assert.Contains($"Is another process using the image [{_bench["z.qcow2"]}]?", error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Server_runs_under_the_filter_of_its_systemd_unit()
    {
        string root = Root(), unit = Path.Combine(root, "packaging/systemd/paddock@.service"),
            native = Path.Combine(root, "artifacts/aot/paddock");
        string[] lines = await File.ReadAllLinesAsync(unit, TestContext.Current.CancellationToken);
        foreach (string wanted in new[]
        {
            "SystemCallFilter=@system-service", "SystemCallErrorNumber=EPERM", "MemoryDenyWriteExecute=yes", "NoNewPrivileges=yes",
            "Environment=DOTNET_EnableDiagnostics=0",
        })
        {
            Assert.Contains(wanted, lines);
        }

        Assert.Contains(lines, static l => l.StartsWith("MemoryMax=", StringComparison.Ordinal));
        Assert.Contains(lines, static l => l.StartsWith("TasksMax=", StringComparison.Ordinal));
        if (!File.Exists(native))
        {
            // the unit is for the native executable: the runtime itself does not start under it
            return;
        }

        using var server = Start(
            $"exec python3 '{root}/packaging/systemd/run-filtered.py' '{unit}' '{native}' serve big.raw --format raw --nbd "
                + $"unix:{_bench["s"]}");
        string? line = await server.StandardError.ReadLineAsync(TestContext.Current.CancellationToken);
        if (line is not null)
        {
            Assert.Contains(" listening ", line, StringComparison.Ordinal);
            await ShellAsync($"kill -TERM {server.Id}");
        }

        // 77: systemd-analyze, which lists the groups of the filter, is not installed
        await server.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(line is null ? 77 : 0, server.ExitCode);
    }

    internal static string Root()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Paddock.slnx")))
        {
            folder = Path.GetDirectoryName(folder)!;
        }

        return folder;
    }

    private async Task CreateAsync()
    {
        await _bench.MustAsync("create z.qcow2 8M --zone-size 1M");
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    // reads more than the socket buffers hold, so that replies stay in the server
    private static async Task AskAndTakeNothingAsync(Socket client)
    {
        const int Requests = 64, Length = 1 << 20;
        byte[] name = "big"u8.ToArray(), greeting = new byte[18], chosen = new byte[10];
        await ReceiveAsync(client, greeting);
        await client.SendAsync((byte[])[0, 0, 0, 3, .. "IHAVEOPT"u8, 0, 0, 0, 1, 0, 0, 0, (byte)name.Length, .. name], SocketFlags.None);
        await ReceiveAsync(client, chosen);
        for (int i = 0; i < Requests; i++)
        {
            byte[] request = new byte[28];
            BinaryPrimitives.WriteUInt32BigEndian(request, 0x25609513);
            BinaryPrimitives.WriteInt32BigEndian(request.AsSpan(24), Length);
            await client.SendAsync(request, SocketFlags.None);
        }

        // the first reply has begun: the requests are in flight
        await ReceiveAsync(client, new byte[1]);
    }

    private static async Task ReceiveAsync(Socket client, byte[] bytes)
    {
        for (int done = 0, count; done < bytes.Length; done += count)
        {
            count = await client.ReceiveAsync(bytes.AsMemory(done), TestContext.Current.CancellationToken);
            Assert.NotEqual(0, count);
        }
    }

    private Task<ServerProcess> ServeAsync(string command)
    {
        File.WriteAllBytes(_bench["big.raw"], new byte[1 << 20]);
        return ServerProcess.StartAsync(["bash", "-c", command], Path.GetDirectoryName(_bench["x"])!);
    }

    private async Task<Outcome> ShellAsync(string command)
    {
        using var shell = Start(command);
        var output = shell.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        string error = await shell.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await shell.WaitForExitAsync(TestContext.Current.CancellationToken);
        return new Outcome(shell.ExitCode, await output, error);
    }

    private Process Start(string command, bool input = false)
    {
        File.WriteAllBytes(_bench["big.raw"], new byte[1 << 20]);
        var start = new ProcessStartInfo("bash", ["-c", command])
        {
            WorkingDirectory = Path.GetDirectoryName(_bench["x"]), RedirectStandardOutput = true, RedirectStandardError = true,
                RedirectStandardInput = input,
        };
        start.Environment["PADDOCK_DLL"] = Path.Combine(AppContext.BaseDirectory, "paddock.dll");
        start.Environment.Remove("DOTNET_EnableDiagnostics");
        return Process.Start(start)!;
    }
}
