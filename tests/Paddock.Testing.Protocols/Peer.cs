using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Paddock.Testing.Protocols;

/// <summary>Result of running a program.</summary>
internal sealed record PeerRun(int Code, string Out, string Error);

/// <summary>Runs installed programs.</summary>
internal static class Peer
{
    /// <summary>Runs a program that must be installed; <c>./test</c> installs them.</summary>
    public static async Task<PeerRun> RunAsync(string program, params string[] words)
    {
        using var process = Start(program, words);
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill();
            }
        }

        return new PeerRun(process.ExitCode, await output, await error);
    }

    /// <summary>Runs a program that must succeed.</summary>
    public static async Task<string> MustAsync(string program, params string[] words)
    {
        var run = await RunAsync(program, words);
        Assert.True(run.Code == 0, $"{program} {string.Join(' ', words)}: {run.Code}\n{run.Out}{run.Error}");
        return run.Out;
    }

    public static Process Start(string program, params string[] words)
    {
        Assert.True(File.Exists("/usr/bin/" + program), $"{program} is not installed: ./test installs it");
        return Process.Start(new ProcessStartInfo(program, words) { RedirectStandardOutput = true, RedirectStandardError = true })!;
    }

    /// <summary>Listener on the loopback with its own port.</summary>
    public static (Socket Listener, int Port) Loopback()
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        return (listener, ((IPEndPoint)listener.LocalEndPoint!).Port);
    }

    /// <summary>Waits for the file by which a server reports readiness.</summary>
    /// <param name="path">Path of the file.</param>
    /// <param name="ended">Completes when the server exits.</param>
    public static async Task ThereAsync(string path, Task ended)
    {
        var ready = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var watcher = new FileSystemWatcher(Path.GetDirectoryName(path)!, Path.GetFileName(path));
        watcher.Created += (_, _) => Check();
        watcher.Changed += (_, _) => Check();
        watcher.Renamed += (_, _) => Check();
        watcher.EnableRaisingEvents = true;
        Check();
        if (await Task.WhenAny(ready.Task, ended).WaitAsync(TimeSpan.FromSeconds(60)) == ended)
        {
            Assert.Fail("the server ended before it was ready");
        }

        // an empty file is not enough: QEMU creates it, locks it, and fails if it is removed before the number is written
        void Check()
        {
            var file = new FileInfo(path);
            if (file.Exists && file.Length > 0)
            {
                ready.TrySetResult();
            }
        }
    }
}
