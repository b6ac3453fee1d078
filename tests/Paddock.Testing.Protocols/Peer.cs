using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Paddock.Testing.Protocols;

/// <summary>What a run of a program gave.</summary>
internal sealed record PeerRun(int Code, string Out, string Error);

/// <summary>Runs programs of the system.</summary>
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

    /// <summary>A listener on the loopback with a port of its own.</summary>
    public static (Socket Listener, int Port) Loopback()
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        return (listener, ((IPEndPoint)listener.LocalEndPoint!).Port);
    }

    /// <summary>Waits until a file is there.</summary>
    public static Task ThereAsync(string path) => UntilAsync(() => File.Exists(path));

    /// <summary>Waits until a server listens on its Unix socket.</summary>
    public static Task ListensAsync(string path)
    {
        // the socket's file is there before anybody listens: who connects in between is refused. A try to connect would count as the one
        // client that a server waits for; the kernel's list tells it without
        const string listens = "00010000";
        return UntilAsync(() => File.ReadLines("/proc/net/unix").Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Any(w => w.Length == 8 && w[7] == path && w[3] == listens));
    }

    private static async Task UntilAsync(Func<bool> isSo)
    {
        for (int i = 0; i < 1000 && !isSo(); i++)
        {
            await Task.Delay(10);
        }
    }
}
