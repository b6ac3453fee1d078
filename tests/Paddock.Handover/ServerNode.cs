using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Paddock.Handover;

/// <summary>One of the servers of an image: a process, its address, and its control socket.</summary>
/// <param name="options">The lane.</param>
/// <param name="number">Its <c>--node</c>.</param>
internal sealed class ServerNode(HandoverOptions options, int number) : IAsyncDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    private readonly string _control = Path.Combine(options.Folder, $"{number}.control");
    private readonly string _ports = Path.Combine(options.Folder, $"{number}.port");
    private Process? _process;

    /// <summary>The port of NVMe/TCP; the same after each start.</summary>
    public int Port { get; private set; }

    /// <summary>How often the process was started.</summary>
    public int Starts { get; private set; }

    /// <summary>File of the log.</summary>
    public string Log => Path.Combine(options.Folder, $"{number}.log");

    /// <summary>Starts the process, and waits until it accepts clients.</summary>
    public async Task StartAsync()
    {
        File.Delete(_ports);
        string[] words =
        [
            .. options.Program.Skip(1), "serve", options.Image, "--standby", "--node", Text(number), "--nvme", $"127.0.0.1:{Port}",
            "--nqn", Lane.Nqn, "--control", _control, "--port-file", _ports, "--log-file", Log, "--drain-timeout", "5",
            "--exit-with-parent", "--log-level", "debug", .. options.WriteThrough ? (string[])["--write-through"] : [],
        ];
        var start = new ProcessStartInfo(options.Program[0], words) { RedirectStandardOutput = true, RedirectStandardError = true };
        _process = Process.Start(start)!;

        // whoever ends the harness can kill it, even while it is stopped
        await File.WriteAllTextAsync(Path.Combine(options.Folder, $"{number}.pid"), Text(_process.Id));
        var output = _process.StandardOutput.ReadToEndAsync();
        var error = _process.StandardError.ReadToEndAsync();
        var limit = Stopwatch.StartNew();
        while (!File.Exists(_ports) || !int.TryParse((await File.ReadAllTextAsync(_ports)).Trim(), out _))
        {
            if (_process.HasExited || limit.Elapsed > options.Patience)
            {
                throw new HandoverException($"server {number} does not start: {(_process.HasExited ? await output + await error : "")}");
            }

            await Task.Delay(Pause);
        }

        Port = HandoverOptions.Number((await File.ReadAllTextAsync(_ports)).Trim());
        Starts++;
    }

    /// <summary>Kills the process, and waits until it has ended.</summary>
    public async Task KillAsync()
    {
        _process!.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
        _process = null;
    }

    /// <summary>Whether the process was killed.</summary>
    public bool IsDead => _process is null;

    /// <summary>Sends a signal.</summary>
    /// <param name="name">STOP or CONT.</param>
    public async Task SignalAsync(string name)
    {
        using var kill = Process.Start("kill", ["-" + name, Text(_process!.Id)]);
        await kill.WaitForExitAsync();
    }

    /// <summary>Has the server hand the image over.</summary>
    /// <returns>Its answer, which begins with <c>ok</c> or <c>error</c>.</returns>
    public Task<string> HandOverAsync() => AskAsync("handover", lines: 1);

    /// <summary>Waits until the server is on standby, or active.</summary>
    public async Task ReachAsync(string state)
    {
        var limit = Stopwatch.StartNew();
        while (!await IsAsync(state))
        {
            if (limit.Elapsed > options.Patience)
            {
                throw new HandoverException($"server {number} does not become {state}");
            }

            await Task.Delay(Pause);
        }
    }

    /// <summary>Whether the server is on standby, or active.</summary>
    public async Task<bool> IsAsync(string state)
        => (await AskAsync("watch", lines: 2)).Contains($"\"state\":\"{state}\"", StringComparison.Ordinal);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_process is { HasExited: false })
        {
            await KillAsync();
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    // the last of the first lines of the answer
    private async Task<string> AskAsync(string line, int lines)
    {
        using var limit = new CancellationTokenSource(options.Patience);
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(_control), limit.Token);
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(Encoding.UTF8.GetBytes(line + "\n"), limit.Token);
        using var reader = new StreamReader(stream);
        string answer = "";
        for (int i = 0; i < lines; i++)
        {
            answer = await reader.ReadLineAsync(limit.Token) ?? "";
        }

        return answer;
    }
}
