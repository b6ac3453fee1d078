using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Paddock.Compat.Img;
using Paddock.Compat.Io;

namespace Paddock.Compat.Tests;

/// <summary>Result of running a tool.</summary>
public sealed record ToolRun(int Code, string Out, string Error);

/// <summary>Temporary folder in which the same command lines run in our qemu-img and in the system's.</summary>
public sealed partial class ImgPeer : IDisposable
{
    // by its bare name, which appears in its messages
    private const string Peer = "qemu-img";

    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-img-").FullName;

    /// <summary>Path of a file in the folder.</summary>
    public string Path(string name) => System.IO.Path.Combine(_folder, name);

    /// <summary>Runs our tool; arguments of the form <c>@name</c> become paths in the folder.</summary>
    public async Task<ToolRun> OursAsync(string line)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        var context = new ToolContext { Program = "qemu-img", Out = output, Error = error };
        int code = await ImgTool.RunAsync(Words(line), context);
        return new ToolRun(code, output.ToString(), error.ToString());
    }

    /// <summary>Runs the system's tool; skips the test if it is not installed.</summary>
    public Task<ToolRun> TheirsAsync(string line) => RunAsync(Peer, Words(line));

    /// <summary>Runs a qemu-io command with the system's tool.</summary>
    public Task<ToolRun> IoAsync(string image, params string[] commands)
        => RunAsync("qemu-io", [.. commands.SelectMany(c => new[] { "-c", c }), Path(image)]);

    /// <summary>Checks that both tools print the same and exit with the same code, ignoring times.</summary>
    public async Task<ToolRun> SameAsync(string line)
    {
        var theirs = await TheirsAsync(line);
        var ours = await OursAsync(line);
        Assert.Equal((theirs.Code, Scrub(theirs.Out), theirs.Error), (ours.Code, Scrub(ours.Out), ours.Error));
        return ours;
    }

    /// <summary>The same for qemu-io commands, all in one run.</summary>
    public Task SameIoAsync(params string[] commands) => SameIoWordsAsync([.. commands.SelectMany(c => new[] { "-c", Expand(c) })]);

    /// <summary>The same for a complete qemu-io command line.</summary>
    public static async Task SameIoWordsAsync(string[] words)
    {
        var theirs = await RunAsync("qemu-io", words);
        var (output, error) = (new StringWriter(), new StringWriter());
        int code = await IoTool.RunAsync(words, new ToolContext { Program = "qemu-io", Out = output, Error = error });
        Assert.Equal((theirs.Code, Scrub(theirs.Out), theirs.Error), (code, Scrub(output.ToString()), error.ToString()));
    }

    /// <summary>Runs our qemu-io in this process; times are left out, names in the folder begin with <c>@</c>.</summary>
    public async Task<(int Code, string Out, string Error)> OursIoAsync(params string[] words)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        var context = new ToolContext { Program = "qemu-io", Out = output, Error = error };
        int code = await Paddock.Compat.ToolRun.GuardAsync(context, c => IoTool.RunAsync([.. words.Select(Expand)], c));
        return Result(code, output.ToString(), error.ToString());
    }

    /// <summary>The same with the system's qemu-io.</summary>
    public async Task<(int Code, string Out, string Error)> TheirsIoAsync(params string[] words)
    {
        var run = await RunAsync("qemu-io", [.. words.Select(Expand)]);
        return Result(run.Code, run.Out, run.Error);
    }

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(_folder, recursive: true);

    // folders differ, and with them names in messages
    private (int Code, string Out, string Error) Result(int code, string output, string error)
        => (code, Scrub(output), error.Replace(_folder, "", StringComparison.Ordinal));

    private static string Scrub(string text) => Speed().Replace(Seconds().Replace(text, "in X seconds"), "ops");

    private static async Task<ToolRun> RunAsync(string program, string[] words)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/" + program), $"{program} is not installed");
        var start = new ProcessStartInfo(program, words) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return new ToolRun(process.ExitCode, await output, await error);
    }

    [GeneratedRegex(@"in \d+\.\d{3} seconds")]
    private static partial Regex Seconds();

    [GeneratedRegex(@"ops; \d.*")]
    private static partial Regex Speed();

    // EMPTY is a word without letters
    private string[] Words(string line)
        => [.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(w => w == "EMPTY" ? "" : Expand(w))];

    private string Expand(string text) => text.Replace("@", _folder + "/", true, CultureInfo.InvariantCulture);
}
