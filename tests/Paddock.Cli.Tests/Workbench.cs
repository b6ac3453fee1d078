using System.Text;
using System.Text.Json;
using Paddock.Cli.Native;
using Paddock.Images;

namespace Paddock.Cli.Tests;

/// <summary>Output of a command, and its exit code.</summary>
public sealed record Outcome(int Code, string Out, string Error)
{
    public JsonElement Json() => JsonDocument.Parse(Out).RootElement;
}

/// <summary>Folder of one test, in which Paddock's commands run.</summary>
public sealed class Workbench : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-cli-test-").FullName;

    public TerminalColors Colors { get; init; }

    public bool Unicode { get; init; }

    public bool ShowsProgress { get; init; }

    public int Width { get; init; } = 80;

    public string this[string file] => Path.Combine(_folder, file);

    /// <summary>
    /// Runs a command line; arguments are separated by blanks, and an argument with a dot that names no option is a file of this folder.
    /// </summary>
    public Task<Outcome> RunAsync(string line, byte[]? input = null) => RunOnAsync(line, new MemoryStream(input ?? []));

    public async Task<Outcome> RunOnAsync(string line, Stream input)
    {
        string[] args = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        for (int i = 0; i < args.Length; i++)
        {
            args[i] = args[i].EndsWith(".qcow2", StringComparison.Ordinal) ? this[args[i]] : args[i];
        }

        using var output = new MemoryStream();
        using var error = new MemoryStream();
        var console = new NativeConsole(
            output, error, input) { Colors = Colors, Unicode = Unicode, ShowsProgress = ShowsProgress, Width = Width };
        int code = await NativeTools.RunAsync(args, console);
        return new Outcome(code, Text(output), Text(error));
    }

    /// <summary>Runs a command that must succeed.</summary>
    public async Task<Outcome> MustAsync(string line, byte[]? input = null)
    {
        var outcome = await RunAsync(line, input);
        Assert.True(outcome.Code == 0, $"'{line}' ended with {outcome.Code}: {outcome.Error}");
        return outcome;
    }

    /// <summary>Runs a command that must be rejected, with nothing on standard output, and returns its message.</summary>
    public async Task<string> RefusedAsync(string line, byte[]? input = null, int code = NativeExit.Failure)
    {
        var outcome = await RunAsync(line, input);
        Assert.Equal(code, outcome.Code);
        Assert.Empty(outcome.Out);
        Assert.StartsWith("paddock: ", outcome.Error, StringComparison.Ordinal);
        return outcome.Error;
    }

    public static byte[] Bytes(int length, byte value)
    {
        byte[] data = new byte[length];
        data.AsSpan().Fill(value);
        return data;
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static string Text(MemoryStream stream) => Encoding.UTF8.GetString(stream.ToArray());
}
