using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;

namespace Paddock.Docs.Tests.Commands;

/// <summary>
/// A directory in which the commands of one page run. Absolute paths of the page are inside it, ports are free ones, and servers run in the
/// background until the page ends.
/// </summary>
internal sealed partial class Sandbox : IAsyncDisposable
{
    private static readonly string[] Ports = ["4420", "10809", "9100", "8080"];

    private static readonly string[] Folders = ["run", "tmp", "etc/paddock", "var/lib/paddock", "backups"];

    private readonly string _folder = Directory.CreateTempSubdirectory("pd").FullName;

    private readonly Dictionary<string, string> _ports = Ports.Zip(FreePorts(Ports.Length)).ToDictionary(p => p.First, p => p.Second);

    public Sandbox()
    {
        string[] scripts = ["paddock", "stop-servers"];
        Directory.CreateDirectory(Path.Combine(_folder, "bin"));
        Directory.CreateDirectory(Work);
        foreach (string folder in Folders)
        {
            Directory.CreateDirectory(Path.Combine(_folder, folder));
        }

        foreach (string script in scripts)
        {
            File.CreateSymbolicLink(
                Path.Combine(_folder, "bin", script), Path.Combine(Place.Root, "tests/Paddock.Docs.Tests/Commands", script));
        }

        File.CreateSymbolicLink(Path.Combine(Work, "paddock"), Path.Combine(_folder, "bin", "paddock"));
    }

    private string Work => Path.Combine(_folder, "work");

    /// <summary>Runs a script with <c>bash -e</c>.</summary>
    /// <returns>Its exit code and output, with the page's own paths and ports.</returns>
    public async Task<(int Code, string Out, string Error)> RunAsync(string script)
    {
        string path = $"{Path.Combine(_folder, "bin")}:{Environment.GetEnvironmentVariable("PATH")}";
        var run = await Place.RunAsync(
            Work, new Dictionary<string, string>
            {
                ["PATH"] = path, ["SANDBOX"] = _folder, ["HOME"] = _folder, ["TMPDIR"] = Path.Combine(_folder, "tmp"),
                ["PADDOCK_PROGRAM"] = Path.Combine(AppContext.BaseDirectory, "paddock"), ["LC_ALL"] = "C.UTF-8",
            },
            "timeout", "300", "bash", "-e", "-o", "pipefail", "-c", Inside(script));
        return (run.Code, Outside(run.Out), Outside(run.Error));
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await RunAsync("stop-servers");
        Directory.Delete(_folder, recursive: true);
    }

    // a server in the background is ready when the command returns: `&` would only hide that it failed
    private string Inside(string script)
    {
        script = BackgroundServer().Replace(script.Replace("\\\n", " ", StringComparison.Ordinal), "$1");
        script = AbsolutePath().Replace(script, _folder + "$0");
        script = NbdHost().Replace(script, "$0:10809");
        return Ports.Aggregate(script, (text, port) => Regex.Replace(text, $@"\b{port}\b", _ports[port]));
    }

    private string Outside(string text)
        => _ports.Aggregate(
            text.Replace(_folder, "", StringComparison.Ordinal), (t, port) => t.Replace(port.Value, port.Key, StringComparison.Ordinal));

    // all are bound at once, so they differ
    private static string[] FreePorts(int count)
    {
        var sockets = Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0)).ToList();
        sockets.ForEach(s => s.Start());
        string[] ports = [.. sockets.Select(s => $"{((IPEndPoint)s.LocalEndpoint).Port}")];
        sockets.ForEach(s => s.Dispose());
        return ports;
    }

    [GeneratedRegex(@"^(.*paddock (?:serve|nbd|farm) .*?) *&(?=\s*(?:#.*)?$)", RegexOptions.Multiline)]
    private static partial Regex BackgroundServer();

    [GeneratedRegex(@"(?<![\w.$}/-])/(?:run|tmp|etc/paddock|var/lib/paddock|backups)\b")]
    private static partial Regex AbsolutePath();

    [GeneratedRegex(@"nbd://127\.0\.0\.1(?=[/\s]|$)")]
    private static partial Regex NbdHost();
}
