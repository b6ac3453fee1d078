using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Paddock.Testing.Protocols;

/// <summary>
/// The executable as a server: ready when it notifies its service manager (sd_notify(3)), so that no polling is needed, stopped through its
/// process, with its standard error captured.
/// </summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly Task<string> _log;

    private ServerProcess(Process process)
    {
        _process = process;
        _log = process.StandardError.ReadToEndAsync();
        _ = process.StandardOutput.ReadToEndAsync();
    }

    /// <summary>
    /// Command that runs `paddock` from the test's output folder: the runtime and the library that the build placed there.
    /// </summary>
    public static string[] Program
        => [Environment.ProcessPath is { } host && Path.GetFileName(host) == "dotnet" ? host
            : "dotnet", Path.Combine(AppContext.BaseDirectory, "paddock.dll")];

    public int Id => _process.Id;

    /// <summary>Starts `paddock serve` with these arguments.</summary>
    public static Task<ServerProcess> ServeAsync(params string[] words) => StartAsync([.. Program, "serve", .. words]);

    /// <summary>
    /// Starts a command line that becomes `paddock serve`, and waits until it is ready; a shell finds the library in PADDOCK_DLL.
    /// </summary>
    public static async Task<ServerProcess> StartAsync(string[] line, string workingDirectory = "")
    {
        string folder = Directory.CreateTempSubdirectory("paddock-ready-").FullName;
        try
        {
            using var manager = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            manager.Bind(new UnixDomainSocketEndPoint(Path.Combine(folder, "notify")));
            var start = new ProcessStartInfo(line[0], line[1..]) 
            {
                WorkingDirectory = workingDirectory, RedirectStandardError = true, RedirectStandardOutput = true,
            };
            start.Environment["PADDOCK_DLL"] = Program[1];
            start.Environment.Remove("DOTNET_EnableDiagnostics");
            start.Environment["NOTIFY_SOCKET"] = Path.Combine(folder, "notify");
            var server = new ServerProcess(Process.Start(start)!);
            try
            {
                await server.ReadyAsync(manager);
                return server;
            }
            catch
            {
                await server.DisposeAsync();
                throw;
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public bool HasExited => _process.HasExited;

    /// <summary>Sends a signal, such as <c>TERM</c>.</summary>
    public async Task SignalAsync(string signal)
    {
        using var kill = Process.Start("kill", ["-" + signal, Id.ToString(CultureInfo.InvariantCulture)]);
        await kill.WaitForExitAsync();
    }

    /// <summary>Requests a stop.</summary>
    /// <returns>The exit code.</returns>
    public async Task<int> StopAsync(string signal = "TERM")
    {
        await SignalAsync(signal);
        return await ExitAsync();
    }

    /// <summary>Waits for the process to exit.</summary>
    /// <returns>The exit code.</returns>
    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(Limit);
        return _process.ExitCode;
    }

    /// <summary>Kills the process, as a power cut would.</summary>
    public Task KillAsync()
    {
        _process.Kill();
        return ExitAsync();
    }

    /// <summary>Standard error of the process, up to its exit.</summary>
    public Task<string> LogAsync() => _log;

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            await KillAsync();
        }

        _process.Dispose();
    }

    private async Task ReadyAsync(Socket manager)
    {
        using var limit = new CancellationTokenSource(Limit);
        byte[] text = new byte[4096];
        var ended = _process.WaitForExitAsync(limit.Token);
        while (true)
        {
            var message = manager.ReceiveAsync(text, limit.Token).AsTask();
            if (await Task.WhenAny(message, ended) != message)
            {
                Assert.Fail("the server ended before it was ready: " + await _log);
            }

            if (Encoding.UTF8.GetString(text, 0, await message).Split('\n').Contains("READY=1"))
            {
                return;
            }
        }
    }
}
