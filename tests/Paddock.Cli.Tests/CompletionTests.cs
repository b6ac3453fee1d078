using System.Diagnostics;

namespace Paddock.Cli.Tests;

/// <summary>Completion: the candidates, and the scripts in the shells themselves.</summary>
public sealed class CompletionTests : IDisposable
{
    private readonly Workbench _bench = new();

    public void Dispose() => _bench.Dispose();

    [Theory]
    [InlineData("paddock versi", "version\tShows the version\n")]
    [InlineData(
        "paddock zone res", "reset\tEmpties zones and frees their space\nrestore\tMakes read-only and offline zones usable again\n")]
    [InlineData("paddock create x 1G --max-o", "--max-open\tMaximum number of open zones; 0: no limit (default: --max-active)\n")]
    [InlineData("paddock create x 1G --layout ", "a\nc\n")]
    [InlineData("paddock create x --layout=", "--layout=a\n--layout=c\n")]
    [InlineData("paddock create x 1G ", "")]
    [InlineData("paddock zone reset x.qcow2 ", "all\n")]
    [InlineData("paddock snapshot cr", "create\n")]
    [InlineData("paddock backup r", "restore\tMakes a new image from a full backup and increments\n")]
    [InlineData("paddock help zone fi", "finish\tMakes zones full; unwritten blocks read as zeroes\n")]
    [InlineData("paddock help img am", "amend\tChanges options of an image\n")]
    [InlineData("paddock img conv", "convert\tConverts an image to another format\n")]
    [InlineData("paddock img convert --target-is", "--target-is-zero\twith -n: the output reads as zeroes\n")]
    [InlineData("paddock img convert ", "")]
    [InlineData("paddock io --read", "--read-only\topen read-only\n")]
    [InlineData("paddock nbd --sha", "--shared\tmaximum number of clients, 0: no limit (1)\n")]
    [InlineData("paddock fault /run/p.sock power", "powercut\tdrops unflushed data and reopens the images\n")]
    [InlineData("paddock fault /run/p.sock fail nth=2 n", "ns=\tNVMe namespace\nnqn=\tNVMe subsystem\n")]
    [InlineData("paddock fault /run/p.sock fail command=re", "command=read\ncommand=reset\ncommand=report\n")]
    [InlineData("paddock fault /run/p.sock hang error=", "")]
    [InlineData("paddock fault /run/p.sock fail error=ENOS", "error=ENOSPC\n")]
    [InlineData("paddock completion ", "bash\nfish\nzsh\n")]
    [InlineData("paddock nothing ", "")]
    public async Task Candidates_have_descriptions(string line, string candidates)
        => Assert.Equal(candidates, await CompleteAsync(line));

    [Fact]
    public async Task Every_verb_and_option_has_a_description()
    {
        foreach (string command in Workbench.Commands())
        {
            foreach (string line in new[] { $"paddock {command} --", $"paddock {command} " })
            {
                string[] candidates = (await CompleteAsync(line)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
                Assert.DoesNotContain(
                    candidates, c => (c.StartsWith('-') || command.Length == 0) && !c.Contains('\t', StringComparison.Ordinal));
            }
        }
    }

    [Theory]
    [InlineData("paddock zones", 9, "zones")]
    [InlineData("paddock zone re", 9, "reset|readonly|restore")]
    [InlineData("paddock zone rese", 63, "reset")]
    [InlineData("paddock zone re", 63, "reset     (Empties zones and frees their space)|readonly  (Makes zones read-only permanently")]
    [InlineData("paddock fault s fail command=rep", 9, "report")]
    [InlineData("paddock fault s fail prob", 9, "probability=")]
    public async Task Bash_completes_with_the_script(string line, int type, string replies)
    {
        string[] expected = replies.Split('|');
        string shown = await ShellAsync(
            "bash", ["--norc", "-c", $$"""
            paddock() { dotnet "$PADDOCK_DLL" "$@"; }
            source "$SCRIPT"
            COMP_LINE='{{line}}' COMP_POINT={{line.Length}} COMP_TYPE={{type}} COLUMNS=80
            COMP_WORDS=({{line}}) COMP_CWORD={{line.Split(' ').Length - 1}}
            _paddock
            printf '%s\n' "${COMPREPLY[@]}"
            """], "bash");
        string[] shownLines = shown.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.True(shownLines.Length >= expected.Length, shown);
        Assert.All(expected.Zip(shownLines), static pair => Assert.StartsWith(pair.First, pair.Second, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Zsh_completes_with_the_script()
    {
        // the completion system's own commands are replaced: they work inside its widgets only
        string shown = await ShellAsync(
            "zsh", ["-f", "-c", """
            paddock() { dotnet "$PADDOCK_DLL" "$@" }
            compdef() { }
            _files() { print files }
            compadd() { print -r -- "$@"; print -rl -- "${texts[@]}" "${opentexts[@]}" }
            source "$SCRIPT"
            complete() { words=("$@") CURRENT=$# PREFIX=$words[-1]; _paddock }
            complete paddock zone rea
            complete paddock fault s fail nt
            complete paddock create x
            """], "zsh");
        Assert.Equal(
            "-l -d texts -- readonly\nreadonly  -- Makes zones read-only permanently, as on a worn drive\n"
            + "-l -S  -d opentexts -- nth=\nnth=  -- first matching request\nfiles\n",
            shown.Replace("\n\n", "\n", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Fish_completes_with_the_script()
    {
        string shown = await ShellAsync(
            "fish", ["--no-config", "-c", """
            function paddock; dotnet $PADDOCK_DLL $argv; end
            source $SCRIPT
            complete -C 'paddock zone rea'
            complete -C 'paddock create x 1G --max-ap'
            """], "fish");
        Assert.Contains("readonly\tMakes zones read-only permanently, as on a worn drive\n", shown, StringComparison.Ordinal);
        Assert.Contains("--max-append\tMaximum size of a zone append", shown, StringComparison.Ordinal);
    }

    private static async Task<string> CompleteAsync(string line)
    {
        using var output = new MemoryStream();
        int code = await NativeTools.RunAsync(["[complete]", line], new Native.NativeConsole(output, Stream.Null, Stream.Null));
        Assert.Equal(0, code);
        return System.Text.Encoding.UTF8.GetString(output.ToArray());
    }

    private async Task<string> ShellAsync(string program, string[] arguments, string shell)
    {
        string script = _bench["script"];
        await File.WriteAllTextAsync(
            script, (await _bench.MustAsync($"completion {shell}")).Out, TestContext.Current.CancellationToken);
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path.GetDirectoryName(script),
        };
        start.Environment["PADDOCK_DLL"] = Path.Combine(AppContext.BaseDirectory, "paddock.dll");
        start.Environment["SCRIPT"] = script;
        start.Environment["HOME"] = Path.GetDirectoryName(script);
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        string shown = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal("", await errors);
        return shown;
    }
}
