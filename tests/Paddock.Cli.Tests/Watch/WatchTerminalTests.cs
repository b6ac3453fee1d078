using System.Diagnostics;
using Paddock.Cli.Native.Watch;
using Paddock.Images;
using Paddock.Testing.Protocols;

namespace Paddock.Cli.Tests.Watch;

/// <summary>The live view in a terminal: what is on the screen, and that the terminal is as before after every end.</summary>
public sealed class WatchTerminalTests : IDisposable
{
    // Runs a command in a terminal of 100 by 30. Its steps are lines: "until TEXT" reads until the text was sent, "key TEXT" types,
    // "signal NAME" sends a signal, "size COLUMNS ROWS", "run COMMAND" runs a shell command, "stopped" and "resume" are for job control.
    // Prints the exit code, whether the terminal's mode is the one before, and the last bytes that were sent.
    private const string Terminal = """
        import fcntl, os, pty, signal, struct, subprocess, sys, termios
        steps, command = sys.argv[1].splitlines(), sys.argv[2:]
        signal.alarm(180)
        master, slave = pty.openpty()
        def size(columns, rows): fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', int(rows), int(columns), 0, 0))
        size(100, 30)
        before = termios.tcgetattr(slave)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for n in (0, 1, 2): os.dup2(slave, n)
            for s in (signal.SIGINT, signal.SIGTERM, signal.SIGTSTP, signal.SIGCONT, signal.SIGHUP): signal.signal(s, signal.SIG_DFL)
            os.execvp(command[0], command)
        sent = b''
        def read():
            global sent
            sent += os.read(master, 65536)
        for step in steps:
            verb, _, rest = step.partition(' ')
            if verb == 'until':
                while rest.encode() not in sent: read()
                sent = sent[sent.index(rest.encode()) + len(rest.encode()):]
            elif verb == 'key': os.write(master, rest.encode().decode('unicode_escape').encode())
            elif verb == 'signal': os.kill(pid, getattr(signal, 'SIG' + rest))
            elif verb == 'size':
                size(*rest.split())
                os.kill(pid, signal.SIGWINCH)
            elif verb == 'run': subprocess.run(rest, shell=True, check=True, stdout=subprocess.DEVNULL)
            elif verb == 'stopped':
                _, status = os.waitpid(pid, os.WUNTRACED)
                assert os.WIFSTOPPED(status), status
                print('stopped, restored', termios.tcgetattr(slave) == before)
            elif verb == 'resume': os.kill(pid, signal.SIGCONT)
        _, status = os.waitpid(pid, 0)
        fcntl.fcntl(master, fcntl.F_SETFL, os.O_NONBLOCK)
        try: read()
        except OSError: pass
        print('exit', os.waitstatus_to_exitcode(status), 'restored', termios.tcgetattr(slave) == before)
        print('last', ascii(sent.decode()[-40:]))
        """;

    private const string Leaves = @"\x1b[0m\x1b[?25h\x1b[?1049l";

    private readonly Workbench _bench = new();

    public void Dispose() => _bench.Dispose();

    [Fact]
    public async Task View_of_a_file_follows_it_and_restores_the_terminal_on_quit()
    {
        await CreateAsync();
        string run = await RunAsync(
            """
            until Active zones
            run head -c 1048576 /dev/zero | dotnet "$PADDOCK_DLL" append z.qcow2 5
            until zone 5: empty to closed
            key s
            until sort: latest change
            key ?
            until Ctrl-C
            size 40 10
            until [2J
            key q
            """,
            "zones z.qcow2 --watch --interval 100ms");
        Assert.Contains("exit 0 restored True", run, StringComparison.Ordinal);
        Assert.Contains(Leaves + "'", run, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("signal INT", 130)]
    [InlineData("signal TERM", 130)]
    [InlineData("signal HUP", 130)]
    [InlineData("key \\x03", 130)]
    public async Task Terminal_is_restored_after_a_signal(string end, int code)
    {
        await CreateAsync();
        string run = await RunAsync($"until Active zones\n{end}", "zones z.qcow2 --watch");
        Assert.Contains($"exit {code} restored True", run, StringComparison.Ordinal);
        Assert.Contains(Leaves + @"paddock: stopped\r\n'", run, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Terminal_is_restored_while_the_view_is_stopped()
    {
        await CreateAsync();
        string run = await RunAsync(
            """
            until Active zones
            key \x1a
            stopped
            until [?1049l
            resume
            until [?1049h
            until Active zones
            key q
            """,
            "zones z.qcow2 --watch");
        Assert.Contains("stopped, restored True", run, StringComparison.Ordinal);
        Assert.Contains("exit 0 restored True", run, StringComparison.Ordinal);
    }

    [Fact]
    public async Task View_of_a_served_disk_shows_requests_and_events_and_the_end_of_the_server()
    {
        await CreateAsync();
        await using var server = await ServerProcess.ServeAsync(
            _bench["z.qcow2"], "--nvme", "127.0.0.1:0", "--control", _bench["c.sock"]);
        string run = await RunAsync(
            $"""
            until live feed
            until append
            run dotnet "$PADDOCK_DLL" fault c.sock offline zone=9
            until zone offline
            until x
            run kill {server.Id}
            until the server has stopped
            key q
            """,
            "zones --watch --control c.sock --interval 100ms --color=never");
        Assert.Contains("exit 0 restored True", run, StringComparison.Ordinal);
    }

    [Fact]
    public async Task View_shows_that_a_disk_was_handed_over()
    {
        await CreateAsync();
        await using var server = await ServerProcess.ServeAsync(
            _bench["z.qcow2"], "--standby", "--node", "1", "--nvme", "127.0.0.1:0", "--control", _bench["c.sock"]);

        // without it, the first would take the disk back
        await using var other = await ServerProcess.ServeAsync(_bench["z.qcow2"], "--standby", "--node", "2", "--nvme", "127.0.0.1:0");
        string run = await RunAsync(
            """
            until live feed
            run dotnet "$PADDOCK_DLL" handover --control c.sock
            until , standby
            key q
            """,
            "zones --watch --control c.sock --interval 100ms --color=never");
        Assert.Contains("exit 0 restored True", run, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "has several zoned disks; name one of them: a, b")]
    [InlineData("nope", "has no disk 'nope'; its zoned disks: a, b")]
    [InlineData("plain", "disk 'plain' has no zones; zoned disks of the server: a, b")]
    public async Task Disk_of_a_server_is_chosen_by_its_name(string name, string message)
    {
        await _bench.MustAsync("create a.qcow2 8M --zone-size 1M");
        await _bench.MustAsync("create b.qcow2 8M --zone-size 1M");
        await _bench.MustAsync("create plain.qcow2 8M");
        await using var server = await ServerProcess.ServeAsync(
            _bench["a.qcow2"], _bench["b.qcow2"], _bench["plain.qcow2"], "--nbd", "127.0.0.1:0", "--control", _bench["c.sock"]);
        await using (var source = new FeedSource(
            _bench["c.sock"], name.Length > 0 ? name : null, TimeSpan.FromSeconds(1), TimeProvider.System))
        {
            var e = await Assert.ThrowsAsync<ToolException>(() => source.StartAsync(TestContext.Current.CancellationToken));
            Assert.Contains(message, e.Message, StringComparison.Ordinal);
        }

        foreach (string known in new[] { "b", _bench["b.qcow2"] })
        {
            await using var source = new FeedSource(_bench["c.sock"], known, TimeSpan.FromSeconds(1), TimeProvider.System);
            var model = await source.StartAsync(TestContext.Current.CancellationToken);
            Assert.Equal(("b.qcow2", 8), (model.Title, model.Zones.Count));
        }
    }

    [Theory]
    [InlineData("zones z.qcow2 --watch", 1, "--watch requires a terminal that can move its cursor")]
    [InlineData("zones --watch", 64, "missing IMAGE")]
    [InlineData("zones", 64, "missing IMAGE")]
    [InlineData("zones z.qcow2 --watch --json", 64, "--watch and --json cannot be combined")]
    [InlineData("zones z.qcow2 --watch --table", 64, "--watch and --table cannot be combined")]
    [InlineData("zones z.qcow2 --control c", 64, "--control requires --watch")]
    [InlineData("zones z.qcow2 --interval 1s", 64, "--interval requires --watch")]
    [InlineData(
        "zones z.qcow2 --watch --interval 10ms", 64,
        "--interval '10ms': expected a duration such as 10, 10s, 500ms or 2m, from 100ms to 10s")]
    [InlineData("zones z.qcow2 --watch --interval soon", 64, "--interval 'soon': expected a duration")]
    public async Task Watch_that_cannot_be_shown_is_explained(string line, int code, string message)
    {
        await CreateAsync();
        Assert.Contains(message, await _bench.RefusedAsync(line, code: code), StringComparison.Ordinal);
    }

    private async Task CreateAsync() => await _bench.MustAsync("create z.qcow2 64M --zone-size 4M --max-open 3 --max-active 6");

    private async Task<string> RunAsync(string steps, string command)
    {
        await File.WriteAllTextAsync(_bench["terminal.py"], Terminal, TestContext.Current.CancellationToken);
        var start = new ProcessStartInfo("python3", ["terminal.py", steps, .. ServerProcess.Program, .. command.Split(' ')])
        {
            WorkingDirectory = Path.GetDirectoryName(_bench["x"]), RedirectStandardOutput = true, RedirectStandardError = true,
        };
        start.Environment["PADDOCK_DLL"] = ServerProcess.Program[1];
        start.Environment["TERM"] = "xterm-256color";
        start.Environment["LC_ALL"] = "C.UTF-8";
        using var python = Process.Start(start)!;
        var output = python.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        string error = await python.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await python.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(python.ExitCode == 0, error);
        return await output;
    }
}
