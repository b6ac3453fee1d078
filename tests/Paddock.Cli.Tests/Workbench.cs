using System.CommandLine;
using System.Text;
using System.Text.Json;
using Paddock.Cli.Native;
using Paddock.Images;
using Paddock.Posix;

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
        using var output = new MemoryStream();
        using var error = new MemoryStream();
        var console = new NativeConsole(
            output, error, input) { Colors = Colors, Unicode = Unicode, ShowsProgress = ShowsProgress, Width = Width };
        int code = await NativeTools.RunAsync(Arguments(line), console);
        return new Outcome(code, Text(output), Text(error));
    }

    /// <summary>Every native command, such as <c>zone reset</c>; the root is an empty line.</summary>
    public static IEnumerable<string> Commands()
    {
        static IEnumerable<Command> Below(Command command) => command.Subcommands.SelectMany(Below).Prepend(command);
        var console = new NativeConsole(Stream.Null, Stream.Null, Stream.Null);
        return Below(CommandTree.Build(console)).Where(static c => !CompatibleTools.Names.Contains(c.Name))
            .Select(static c => CommandTree.PathOf(c)["paddock".Length..].Trim());
    }

    /// <summary>Runs a command that must succeed.</summary>
    public async Task<Outcome> MustAsync(string line, byte[]? input = null)
    {
        var outcome = await RunAsync(line, input);
        Assert.True(outcome.Code == 0, $"'{line}' ended with {outcome.Code}: {outcome.Error}");
        return outcome;
    }

    /// <summary>Runs a command that must succeed and returns the bytes on its standard output.</summary>
    public async Task<byte[]> ReadAsync(string line)
    {
        using var output = new MemoryStream();
        using var error = new MemoryStream();
        int code = await NativeTools.RunAsync(Arguments(line), new NativeConsole(output, error, Stream.Null));
        Assert.True(code == 0, $"'{line}' ended with {code}: {Text(error)}");
        return output.ToArray();
    }

    /// <summary>Opens a file as a process does that writes an image.</summary>
    public IDisposable Hold(string file)
        => new Held(FileStorage.Open(new FileOpenOptions { Path = this[file], Lock = ImageLock.Write }));

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

    private string[] Arguments(string line)
    {
        string[] args = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        for (int i = 0; i < args.Length; i++)
        {
            args[i] = args[i].EndsWith(".qcow2", StringComparison.Ordinal) ? this[args[i]] : args[i];
        }

        return args;
    }

    private static string Text(MemoryStream stream) => Encoding.UTF8.GetString(stream.ToArray());

    private sealed class Held(FileStorage storage) : IDisposable
    {
        public void Dispose() => storage.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }
}
