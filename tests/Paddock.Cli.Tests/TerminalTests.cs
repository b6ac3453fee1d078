using System.Diagnostics;

namespace Paddock.Cli.Tests;

/// <summary>The executable at a terminal.</summary>
public sealed class TerminalTests : IDisposable
{
    // runs a command at a terminal of its own and prints what it wrote there
    private const string Script = """
        import os, pty, sys
        pid, fd = pty.fork()
        if pid == 0:
            os.execvp(sys.argv[1], sys.argv[1:])
        seen = b''
        try:
            while True:
                part = os.read(fd, 4096)
                if not part: break
                seen += part
        except OSError: pass
        os.waitpid(pid, 0)
        sys.stdout.buffer.write(seen)
        """;

    private readonly Workbench _bench = new();

    public void Dispose() => _bench.Dispose();

    [Theory]
    [InlineData("--version")]
    [InlineData("help zone")]
    [InlineData("info z.qcow2")]
    [InlineData("zones z.qcow2")]
    [InlineData("infoo z.qcow2")]
    public async Task Nothing_but_text_is_written_to_a_terminal(string line)
    {
        await _bench.MustAsync("create z.qcow2 64M --zone-size 8M");
        string shown = await AtTerminalAsync(line, "NO_COLOR=1");
        Assert.NotEmpty(shown);
        Assert.DoesNotContain('\u001b', shown);
    }

    [Fact]
    public async Task Data_of_a_zone_is_not_written_to_a_terminal()
    {
        await _bench.MustAsync("create z.qcow2 64M --zone-size 8M");
        Assert.Contains("standard output is a terminal", await AtTerminalAsync("read z.qcow2 1"), StringComparison.Ordinal);
    }

    private async Task<string> AtTerminalAsync(string line, params string[] environment)
    {
        await File.WriteAllTextAsync(_bench["pseudo.py"], Script, TestContext.Current.CancellationToken);
        var start = new ProcessStartInfo(
            "python3", [_bench["pseudo.py"], "dotnet", Path.Combine(AppContext.BaseDirectory, "paddock.dll"), .. line.Split(' ')])
        {
            WorkingDirectory = Path.GetDirectoryName(_bench["x"]), RedirectStandardOutput = true,
        };
        start.Environment["TERM"] = "xterm-256color";
        foreach (string variable in environment)
        {
            start.Environment[variable.Split('=')[0]] = variable.Split('=')[1];
        }

        using var process = Process.Start(start)!;
        string shown = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return shown;
    }
}
